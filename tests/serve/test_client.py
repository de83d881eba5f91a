import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

import httpx

from fairseq_item.serve.client import SearchClient, SearchError
from fairseq_item.serve.limits import Limits

TOKEN = "0123456789abcdef"


class Through(httpx.BaseTransport):
    """Requests of httpx by way of a test client, which may be of another version of httpx."""

    def __init__(self, service):
        self.service = service

    def handle_request(self, request):
        url, headers = str(request.url), dict(request.headers)
        answer = self.service.request(request.method, url, headers=headers, content=request.read())
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.fixture
def connect():
    """``connect(service, **settings)``: a ``SearchClient`` of what ``start`` started."""

    def connect(service, **settings):
        return SearchClient("http://localhost", transport=Through(service), **settings)

    return connect


def test_everything_that_can_be_asked(client, connect, make, shop):
    search = connect(client)
    assert search.health()["status"] == "ok"
    assert search.index()["items"] == 30
    photo = shop / "images" / "1.png"
    found = search.search(
        "green mug", photo, k=3, weights=[0, 0, 1, 1], where=["leaf_category=mug"]
    )
    assert [a["fields"]["leaf_category"] for a in found["answers"]] == ["mug"] * 3
    assert found["answers"][0]["id"] in ("p1", "p13", "p25")
    assert search.search(image=photo.read_bytes(), k=1)["answers"][0]["rank"] == 1
    assert len(search.search(item="p1", k=2)["answers"]) == 2
    assert search.item(make.NASTY)["id"] == make.NASTY
    assert search.image(make.NASTY)[8:12] == b"WEBP"
    search.close()


def test_errors(start, connect, make):
    service = start(limits=Limits(upload=500), token=TOKEN)
    with pytest.raises(SearchError, match="token") as refused:
        connect(service).index()
    assert refused.value.status == 401
    search = connect(service, token=TOKEN)
    with pytest.raises(SearchError, match="no item 'none'"):
        search.item("none")
    with pytest.raises(SearchError, match="too large") as refused:
        search.search(image=make.photo() + bytes(1000))
    assert refused.value.status == 413
    with pytest.raises(FileNotFoundError):
        search.search(image="nowhere.jpg")
