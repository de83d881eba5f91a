"""One image from a server that means well, and from those that do not."""

import gzip
import shutil
import socket
import ssl
import subprocess
import time
from email.utils import formatdate

import pytest

from fairseq_item.fetch.client import Client
from fairseq_item.fetch.failure import Failure


@pytest.fixture(name="client")
def fixture_client():
    def make(**settings):
        values = {
            "timeout": 0.3, "total": 1.0, "max_bytes": 1 << 16, "allow_private": True,
            "per_host": 2, "user_agent": "test", **settings,
        }  # fmt: skip
        return Client(**values)

    return make


def fails(client, url):
    with pytest.raises(Failure) as failure:
        client.get(url)
    return failure.value


def test_an_image(client, server):
    image = client().get(f"{server.url}/image7.png?width=9")
    assert (image.data, image.format) == (server.png(7), "PNG")


def test_connections_are_kept(client, server):
    ports = []
    server.pages["/a"] = lambda page: (
        ports.append(page.client_address), page.send(server.png(1))
    )  # fmt: skip
    one = client()
    one.get(f"{server.url}/a")
    one.get(f"{server.url}/a")
    assert ports[0] == ports[1]


def test_chunks(client, server):
    def chunked(page):
        page.send_response(200)
        page.send_header("Transfer-Encoding", "chunked")
        page.end_headers()
        data = server.png(3)
        for piece in (data[:10], data[10:], b""):
            page.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    server.pages["/chunks"] = chunked
    assert client().get(f"{server.url}/chunks").data == server.png(3)


@pytest.mark.parametrize(
    ("status", "passing"),
    [(404, False), (410, False), (403, False), (500, True), (503, True), (429, True)],
)
def test_errors(client, server, status, passing):
    server.pages["/x"] = lambda page: page.send(b"", status)
    failure = fails(client(), f"{server.url}/x")
    assert (str(failure), failure.passing) == (f"answers {status}", passing)


def test_retry_after_is_a_number_or_a_date(client, server):
    later = formatdate(time.time() + 90, usegmt=True)
    for text, least, most in (("7", 7, 7), (later, 80, 91), ("soon", 0, 0), ("-5", 0, 0)):
        server.pages["/x"] = lambda page, text=text: page.send(b"", 429, Retry_After=text)
        assert least <= fails(client(), f"{server.url}/x").wait <= most


def test_redirects(client, server):
    server.pages["/a"] = lambda page: page.send(b"", 302, Location="b?x=1")
    server.pages["/b?x=1"] = lambda page: page.send(b"", 308, Location=f"{server.url}/image1.png")
    assert client().get(f"{server.url}/a").data == server.png(1)
    server.pages["/round"] = lambda page: page.send(b"", 301, Location="/round")
    assert "redirects more than 5 times" in str(fails(client(), f"{server.url}/round"))
    assert server.times("/round") == 6


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/1"])
def test_redirects_to_other_schemes(client, server, target):
    server.pages["/a"] = lambda page: page.send(b"", 302, Location=target)
    failure = fails(client(), f"{server.url}/a")
    assert "neither http nor https" in str(failure)
    assert not failure.passing


def test_the_own_network_is_not_asked(client, server):
    failure = fails(client(allow_private=False), f"{server.url}/image1.png")
    assert "no public address" in str(failure)
    assert not failure.passing
    assert server.asked == []


@pytest.mark.parametrize("inside", ["127.0.0.1", "[::ffff:127.0.0.1]", "2130706433", "inside"])
def test_redirects_into_the_own_network_are_not_followed(client, server, names, inside):
    names["shop.example"], names["inside"] = ["93.184.216.34"], ["127.0.0.1"]
    port = server.server_port
    server.pages["/a"] = lambda page: page.send(b"", 302, Location=f"http://{inside}:{port}/image1")
    assert "no public address" in str(
        fails(client(allow_private=False), f"http://shop.example:{port}/a")
    )
    assert server.asked == ["/a"]


def test_a_name_that_changes_its_address(client, server, names):
    """What was judged is what is connected to; another answer later is judged anew."""
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    names["shop.example"] = lambda: next(answers)
    url = f"http://shop.example:{server.server_port}/image1.png"
    assert client(allow_private=False).get(url).data == server.png(1)
    assert "no public address" in str(fails(client(allow_private=False), url))
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "url",
    ["", "image.jpg", "http://", "http:///x", "http://[::1", "http://a..b/", "http://x:99999/"],
)
def test_no_addresses(client, url):
    assert not fails(client(), url).passing


def test_hosts_that_are_not_there(client):
    assert fails(client(), "http://nothing.invalid/x").passing
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    failure = fails(client(), f"http://127.0.0.1:{port}/x")
    assert failure.passing
    assert str(failure) in ("refuses connections", "does not answer in time")


def test_stalls_before_the_answer(client, server):
    server.pages["/x"] = lambda page: server.done.wait(5)
    failure = fails(client(timeout=0.2), f"{server.url}/x")
    assert (str(failure), failure.passing) == ("does not answer in time", True)


@pytest.mark.parametrize("where", ["headers", "body"])
def test_a_byte_now_and_then(client, server, where):
    """Each byte comes in time; the whole never does."""

    def drip(page):
        if where == "body":
            page.send_response(200)
            page.send_header("Content-Length", "10000")
            page.end_headers()
        else:
            page.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not server.done.wait(0.05):
            page.wfile.write(b"x")

    server.pages["/x"] = drip
    start = time.monotonic()
    failure = fails(client(total=0.5), f"{server.url}/x")
    assert time.monotonic() - start < 2
    assert (str(failure), failure.passing) == ("takes over 0.5 seconds", True)


def test_bodies_without_end(client, server):
    def endless(page):
        page.send_response(200)
        page.send_header("Connection", "close")
        page.end_headers()
        while not server.done.is_set():
            page.wfile.write(b"x" * 4096)

    server.pages["/x"] = endless
    failure = fails(client(total=5), f"{server.url}/x")
    assert (str(failure), failure.passing) == ("is larger than 0.0625 MiB", False)


def test_lengths_that_are_not_true(client, server):
    data = server.png(1)

    def short(page):
        page.send(data[:20], length=len(data))
        page.close_connection = True

    server.pages["/short"] = short
    assert fails(client(), f"{server.url}/short").passing
    server.pages["/huge"] = lambda page: page.send(data, length=1 << 40)
    assert "larger" in str(fails(client(), f"{server.url}/huge"))
    # More than was said: the rest is not taken for the next answer.
    server.pages["/long"] = lambda page: page.send(data + b"HTTP/1.1 200 OK\r\n", length=len(data))
    one = client()
    assert one.get(f"{server.url}/long").data == data
    assert one.get(f"{server.url}/image2.png").data == server.png(2)


def test_what_is_no_image(client, server):
    server.pages["/html"] = lambda page: page.send(
        b"<html>not found</html>", Content_Type="text/html"
    )
    failure = fails(client(), f"{server.url}/html")
    assert "not an image in a known format (text/html)" in str(failure)
    assert not failure.passing
    server.pages["/empty"] = lambda page: page.send(b"")
    assert "empty" in str(fails(client(), f"{server.url}/empty"))
    # The bytes count, not what the server calls them.
    server.pages["/lie"] = lambda page: page.send(server.png(1), Content_Type="text/html")
    assert client().get(f"{server.url}/lie").format == "PNG"


def test_compressed_answers_are_not_unpacked(client, server):
    data = gzip.compress(server.png(1))
    server.pages["/x"] = lambda page: page.send(data, Content_Encoding="gzip")
    assert "compressed" in str(fails(client(), f"{server.url}/x"))


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make a certificate")
def test_tls_is_verified_against_the_name(client, server, names, tmp_path, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=shop.example", "-addext", "subjectAltName=DNS:shop.example",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    names["shop.example"] = names["other.example"] = ["93.184.216.34"]
    url = f"https://shop.example:{server.server_port}/image1.png"
    failure = fails(client(timeout=2, allow_private=False), url)
    assert "has no valid certificate" in str(failure)
    assert not failure.passing
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    trusting = client(timeout=2, allow_private=False)
    assert trusting.get(url).data == server.png(1)
    assert "certificate" in str(fails(trusting, url.replace("shop", "other")))
