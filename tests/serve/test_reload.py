import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from fairseq_item.errors import InputError
from fairseq_item.search.build import build_index
from fairseq_item.search.change import change_index
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.like import build_like
from fairseq_item.serve.engine import Query, Settings
from fairseq_item.serve.reload import Served


def rebuild(folder, make, **settings):
    """Build an index where the old one lies, as item-index does: it takes its place at once."""
    make.build(folder, **settings)


def overwrite(folder, make, **settings):
    """Write a new index's files over those of the old one, as cp -r does."""
    new = make.build(folder, out="new", **settings)
    shutil.copytree(new, folder / "index", dirs_exist_ok=True)


@pytest.mark.parametrize("change", [rebuild, overwrite])
def test_a_rebuilt_index_is_taken_up(start, make, tmp_path, model, change):
    client = start(index=make.build(tmp_path, 12))
    served, old = client.served, client.served.engine
    assert not served.check()
    change(tmp_path, make, count=30)
    # Whoever holds the old one still gets answers of the old one.
    assert len(old.answer(Query(title="red mug", k=99))["answers"]) <= 12
    before = client.get("/api/search", params={"title": "red mug"}).json()
    assert served.check()
    after = client.get("/api/search", params={"title": "red mug"}).json()
    assert before["index"] != after["index"]
    assert client.get("/healthz").json()["items"] == 30
    assert client.get("/api/items/p25").status_code == 200
    assert len(old.answer(Query(item="p3", k=99))["answers"]) <= 12
    assert 'item_index_reloads_total{result="taken"} 1.0' in client.get("/metrics").text
    assert model.loaded == 1 + 2  # one by the service, two by the builds: the same checkpoint


def test_a_changed_index_is_taken_up_with_images_of_both(start, make, tmp_path):
    index = make.build(tmp_path / "old", 30)
    make.build(tmp_path / "new", 12)
    client = start(index=index)
    (tmp_path / "ids").write_text("p1\np29\n")
    updated = {"update": [tmp_path / "new" / "embeddings"], "missing_ok": True}
    change_index(index, remove=tmp_path / "ids", **updated)
    assert client.served.check()
    assert client.get("/healthz").json()["items"] == 29  # p1 came again
    assert client.get("/api/items/p29").status_code == 404
    images = "/api/images/p2", "/api/images/p25"
    assert [client.get(image).status_code for image in images] == [200, 200]
    shutil.rmtree(tmp_path / "old" / "embeddings")  # which told where the image of p25 is
    client = start(index=index)
    assert [client.get(image).status_code for image in images] == [200, 404]


def test_several_indexes_are_served_as_one(start, make, tmp_path):
    index = make.build(tmp_path / "old", 12)
    first = ItemIndex.load(make.build(tmp_path / "new", 30)).ids[:12]
    ids = tmp_path / "ids"
    ids.write_text("\n".join(first), encoding="utf-8")
    part = tmp_path / "part"
    build_like([tmp_path / "new" / "embeddings"], index, part)
    with pytest.raises(InputError, match="has the id 'p0'"):
        start(index=index, more=(str(part),))
    change_index(part, remove=ids)
    client = start(index=index, more=(str(part),))
    assert client.get("/healthz").json()["items"] == 30
    found = client.get("/api/search", params={"title": "red mug", "k": 30}).json()["answers"]
    assert {one["id"] in first for one in found} == {True, False}
    assert client.get("/api/images/p2").status_code == 200
    assert client.get("/api/images/p25").status_code == 200
    assert client.get("/api/items/p25").json()["id"] == "p25"
    ids.write_text("p29\n")
    change_index(part, remove=ids)
    assert client.served.check()
    assert client.get("/healthz").json()["items"] == 29
    with pytest.raises(InputError, match="was not built for --recall"):
        start(index=index, recall=0.9)


def test_an_index_is_served_approximately(start, make, tmp_path):
    make.build(tmp_path, 30)
    near = {"kind": "flat", "lists": 2, "on_disk": False}
    build_index([tmp_path / "embeddings"], tmp_path / "near", approximate=near)
    exact, client = (start(index=tmp_path / "near", recall=recall) for recall in (None, 0))
    setting = client.served.engine.index.candidates.setting
    assert exact.served.engine.index.candidates is None
    client.served.engine.index.candidates.setting = replace(setting, scored=1, near=1, wordy=1)
    asked = {"params": {"title": "red mug", "k": 10}}
    found, right = (c.get("/api/search", **asked).json()["answers"] for c in (client, exact))
    assert 0 < len(found) < len(right) == 10
    scores = {one["id"]: one["score"] for one in right}
    assert all(one["score"] == scores.get(one["id"], one["score"]) for one in found)
    other = {"params": {"title": "red mug", "k": 10, "where": "id!=p1"}}  # exact
    found, right = (c.get("/api/search", **other).json()["answers"] for c in (client, exact))
    assert found == right


def test_a_damaged_index_is_refused(start, make, tmp_path, caplog):
    client = start(index=make.build(tmp_path, 12))
    served, old = client.served, client.served.engine
    rebuild(tmp_path, make, count=30)
    whole = (tmp_path / "index" / "image.npy").read_bytes()
    (tmp_path / "index" / "image.npy").write_bytes(whole[:-1000])
    assert not served.check()
    assert served.engine is old
    assert "the old one is kept" in caplog.text
    caplog.clear()
    assert not served.check()  # and it is not tried again and again
    assert not caplog.text
    assert client.get("/api/search", params={"title": "red mug"}).status_code == 200
    assert 'item_index_reloads_total{result="refused"} 1.0' in client.get("/metrics").text
    (tmp_path / "index" / "image.npy").write_bytes(whole)
    assert served.check()
    assert len(served.engine) == 30


def test_an_unfinished_index_is_waited_for(start, make, tmp_path):
    client = start(index=make.build(tmp_path, 12))
    meta = tmp_path / "index" / "meta.json"
    text = meta.read_bytes()
    meta.unlink()
    assert not client.served.check()
    meta.write_bytes(b"{")
    assert not client.served.check()
    meta.write_bytes(text)
    assert client.served.check()


def test_a_refused_index_is_tried_again_when_told(start, make, tmp_path):
    client = start(index=make.build(tmp_path, 12))
    rebuild(tmp_path, make, count=30, checkpoint=b"another")
    checkpoint = tmp_path / "model.pt"
    checkpoint.rename(tmp_path / "aside")
    assert not client.served.check()
    (tmp_path / "aside").rename(checkpoint)
    assert not client.served.check()
    assert client.served.check(again=True)


def test_another_checkpoint_is_loaded(start, make, tmp_path, model):
    client = start(index=make.build(tmp_path, 12))
    first = client.served.engine.model
    rebuild(tmp_path, make, count=12, checkpoint=b"another")
    assert client.served.check()
    assert client.served.engine.model is not first
    assert client.served.engine.model.made_from != first.made_from


def test_no_request_is_dropped(start, make, tmp_path):
    """Searches go on while indexes are rebuilt, each answered by one index or the other."""
    client = start(index=make.build(tmp_path, 12), poll=0.01)
    end, seen = threading.Event(), []

    def ask(_):
        while not end.is_set():
            answer = client.get("/api/search", params={"title": "red mug", "k": 30})
            seen.append((answer.status_code, answer.json().get("index")))

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask, i) for i in range(3)]
        for count in (20, 30, 15):
            (rebuild if count == 20 else overwrite)(tmp_path, make, count=count)
            for _ in range(500):
                engine = client.served.engine
                if len(engine) == count and (200, engine.digest) in seen:
                    break
                threading.Event().wait(0.01)
        end.set()
        for one in asking:
            one.result()
    assert {status for status, _ in seen} == {200}
    assert len({index for _, index in seen}) == 4


def test_what_cannot_be_served(make, tmp_path):
    with pytest.raises(InputError, match=r"meta\.json is missing"):
        Served(Settings(str(tmp_path / "none")))
    index = make.build(tmp_path, 12)
    (tmp_path / "model.pt").unlink()
    with pytest.raises(InputError, match="--checkpoint"):
        Served(Settings(str(index)))
    (tmp_path / "model.pt").write_bytes(b"model")
    with pytest.raises(InputError, match="missing"):
        Served(Settings(str(index), image_root=str(tmp_path / "nowhere")))
    with pytest.raises(InputError, match=r"test\.tsv is missing"):
        Served(Settings(str(index), data=str(tmp_path / "data-bin"), splits=["test"]))
