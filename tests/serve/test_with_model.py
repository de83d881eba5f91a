"""The service with a trained model: it answers as item-search does."""

import pytest

from fairseq_item.commands import embed, index, search
from fairseq_item.search.hits import SIMILARITIES, read_hits
from fairseq_item.search.query_model import QueryModel
from fairseq_item.serve import engine
from fairseq_item.serve.engine import Engine, Query, Settings


@pytest.fixture
def trained(model_folder, data_bin, tmp_path, monkeypatch):
    """An index of the test split, and the engine that serves it."""
    monkeypatch.setattr(engine, "QueryModel", QueryModel)
    embed.main(
        ["--checkpoint", str(model_folder), "--data", str(data_bin), "--splits", "train,valid",
         "--out", str(tmp_path / "embeddings"), "--device", "cpu"]
    )  # fmt: skip
    index.main([str(tmp_path / "embeddings"), "--out", str(tmp_path / "index")])
    return Engine.open(Settings(str(tmp_path / "index"))), str(tmp_path / "index")


def test_answers_are_those_of_item_search(trained, data_bin, tmp_path):
    engine, path = trained
    photo = data_bin.parent / "images" / "3.png"
    for title, image in (("acme red mug", None), (None, photo), ("kito blue hat", photo)):
        asked = ["--title", title] if title else []
        asked += ["--image", str(image)] if image else []
        search.main([path, *asked, "-k", "7", "--out", str(tmp_path / "hits.tsv")])
        (hits,) = read_hits(tmp_path / "hits.tsv").values()
        answers = engine.answer(Query(title, image and image.read_bytes(), k=7))["answers"]
        assert [answer["id"] for answer in answers] == [hit.item_id for hit in hits]
        for answer, hit in zip(answers, hits):
            assert answer["score"] == pytest.approx(hit.score, abs=1e-5)
            given = [answer["similarities"][name] for name in SIMILARITIES]
            kept = [None if value != value else value for value in hit.similarities]
            assert given == pytest.approx(kept, abs=1e-5)
    assert engine.images.thumbnail(0)[8:12] == b"WEBP"  # of the data-bin that was embedded


def test_photos_beside_one_another(trained, data_bin):
    """Answers do not depend on what other threads ask."""
    from concurrent.futures import ThreadPoolExecutor

    engine, _ = trained
    photos = [(data_bin.parent / "images" / f"{i}.png").read_bytes() for i in range(12)]
    alone = [engine.answer(Query(image=photo)) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda photo: engine.answer(Query(image=photo)), photos))
    for one, other in zip(alone, together):
        assert [a["id"] for a in one["answers"]] == [a["id"] for a in other["answers"]]
