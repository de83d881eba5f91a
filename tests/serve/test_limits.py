import asyncio
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
from PIL import Image

pytest.importorskip("fastapi")

from fastapi import HTTPException

from fairseq_item.serve.limits import BodyLimit, Gate, Limits


def error(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


def test_uploads(start, make):
    client = start(limits=Limits(upload=2000))
    small, large = make.photo(), make.photo() + bytes(3000)
    assert client.post("/api/search", files={"image": small}).status_code == 200
    assert "too large" in error(client.post("/api/search", files={"image": large}), 413)

    def chunks():  # a request that does not say how long it is
        yield b"x" * 1500
        yield b"x" * 1500

    kind = {"content-type": "multipart/form-data; boundary=a"}
    assert "too large" in error(client.post("/api/search", content=chunks(), headers=kind), 413)


def bomb(width, height):
    """A PNG of a few bytes that says it is huge."""

    def chunk(name, data):
        crc = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_images(client, start, make):
    def posted(data, client=client):
        return client.post("/api/search", files={"image": data})

    for size in ((20000, 20000), (8000, 8000)):
        assert "huge" in error(posted(bomb(*size)), 413)
    assert "pixels" in error(posted(make.photo(size=64), start(limits=Limits(pixels=4000))), 413)
    assert "empty" in error(posted(b""), 400)
    assert "not an image" in error(posted(b"%!PS-Adobe-3.0 EPSF-3.0\n"), 400)
    assert "not an image" in error(posted(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), 400)
    cut = make.photo(size=200)[:-300]
    assert error(posted(cut), 400)
    turned = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    make.draw("red", "hat").rotate(90).save(turned, "JPEG", exif=exif, quality=95)
    upright = BytesIO()
    make.draw("red", "hat").save(upright, "JPEG", quality=95)
    one, other = (posted(b.getvalue()).json()["answers"][0]["id"] for b in (turned, upright))
    assert one == other


def test_bad_forms(client):
    kind = {"content-type": "multipart/form-data; boundary=a"}
    answer = client.post("/api/search", content=b"--a\r\nrubbish", headers=kind)
    assert error(answer, 400)
    text = client.post("/api/search", data={"image": "no file", "title": "red"})
    assert error(text, 400)


def test_titles(client):
    assert client.get("/api/search", params={"title": "x" * 1000}).status_code == 200
    assert "1000" in error(client.get("/api/search", params={"title": "x" * 1001}), 413)


def test_busy_and_late(start, monkeypatch):
    client = start(limits=Limits(threads=1, waiting=1, seconds=1.5))
    engine, go = client.served.engine, threading.Event()
    quick = engine.answer_all

    def slow(queries):
        go.wait(10)
        return quick(queries)

    monkeypatch.setattr(engine, "answer_all", slow)
    with ThreadPoolExecutor(4) as pool:
        asked = [  # of different k: none can join another
            pool.submit(client.get, "/api/search", params={"title": "red", "k": k})
            for k in range(1, 5)
        ]
        answers = [one.result() for one in asked]
        assert sorted(answer.status_code for answer in answers) == [503, 503, 504, 504]
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert refused.headers["retry-after"] == "1"
        # The thread that is too late still counts, until it is done.
        go.set()
    for _ in range(100):
        if client.get("/api/search", params={"title": "red"}).status_code == 200:
            break
    else:
        pytest.fail("the service did not recover")


def test_gate_counts():
    async def work():
        gate = Gate(2, 1, 5)
        go = threading.Event()
        tasks = [asyncio.create_task(gate.run(go.wait, 5)) for _ in range(3)]
        await asyncio.sleep(0)
        assert gate.busy == 3
        with pytest.raises(HTTPException) as refused:
            await gate.run(go.wait)
        assert refused.value.status_code == 503
        go.set()
        assert await asyncio.gather(*tasks) == [True] * 3
        await asyncio.sleep(0.01)
        assert gate.busy == 0
        with pytest.raises(ZeroDivisionError):
            await gate.run(divmod, 1, 0)
        await asyncio.sleep(0.01)
        assert gate.busy == 0
        gate.close()

    asyncio.run(work())


def test_slow_bodies():
    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            pass

    async def never():
        await asyncio.sleep(10)

    async def work():
        with pytest.raises(HTTPException) as late:
            await BodyLimit(app, 100, 0.05)({"type": "http", "headers": []}, never, None)
        assert late.value.status_code == 408

    asyncio.run(work())
