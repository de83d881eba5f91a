import pytest

TOKEN = "0123456789abcdef"


def test_token(start):
    client = start(token=TOKEN)
    for path in ("/api/search?title=red", "/api/index", "/api/items/p1", "/metrics", "/nothing"):
        for given in (None, "Bearer wrong", TOKEN, f"bearer {TOKEN}", f"Bearer {TOKEN}x"):
            headers = {} if given is None else {"Authorization": given}
            answer = client.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "token" in answer.json()["error"]
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get("/api/search?title=red", headers=right).status_code == 200
    for path in ("/", "/page/app.js", "/healthz", "/openapi.json"):
        assert client.get(path).status_code == 200


def test_hosts(start):
    client = start(hosts={"localhost", "127.0.0.1", "[::1]"})
    for host in ("localhost", "LOCALHOST:80", "127.0.0.1:8000", "[::1]:8000"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200
    for host in ("evil.example", "127.0.0.1.evil.example:8000", "localhost.evil.example"):
        answer = client.get("/healthz", headers={"Host": host})
        assert answer.status_code == 421
        assert "--allow-host" in answer.json()["error"]


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/api/index", "/nothing", "/api/search"])
def test_headers(client, path):
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "path",
    ["/page/../app.py", "/page/%2e%2e/app.py", "/page/..%2fapp.py", "/page//etc/passwd",
     "/page/%2e%2e%2f%2e%2e%2fcommands/serve.py", "/api/images/..%2f..%2findex%2fmeta.json",
     "/api/images/%2fetc%2fpasswd", "/api/items/..%2f..%2findex"],
)  # fmt: skip
def test_no_way_out(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "error" in answer.json()


def test_image_names_lead_nowhere(start, make, tmp_path, monkeypatch):
    """A catalogue may name any file as an image; only those below the image root are read."""
    (tmp_path / "secret.png").write_bytes(make.photo())
    leading_out = {"p1": "../secret.png", "p2": f"{tmp_path}/secret.png"}
    index = make.build(tmp_path, images_of=leading_out)
    client = start(index=index, image_root=str(tmp_path / "images"))
    for item in ("p1", "p2"):
        assert client.get(f"/api/images/{item}").status_code == 404
    assert client.get("/api/images/p3").status_code == 200
