"""The benchmark of embedding, in its quick form, and that its contestants do what they say."""

import json
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).parents[2] / "examples/benchmark"
DTYPES = ("float32", "bfloat16")


@pytest.fixture
def embedding(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import embedding

    return embedding


@pytest.fixture
def libraries(embedding):
    if not (embedding.optional("transformers") and embedding.optional("sentence_transformers")):
        pytest.skip("needs transformers and sentence-transformers")


@pytest.fixture
def tiny(embedding):
    """A configuration of a very small model."""
    return embedding.rivals.config("item_tiny", quick=True, image_size=48, patch_size=16)


def check_rows(folder, stage, names):
    """The rows of a report by name, which are those of all contestants in both precisions."""
    rows = {row["name"]: row for row in json.loads((folder / f"{stage}.json").read_text())["rows"]}
    assert list(rows) == [f"item_tiny {dtype} {name}" for dtype in DTYPES for name in names]
    assert all(row["rate"] > 0 for row in rows.values())
    return rows


@pytest.mark.usefixtures("libraries")
def test_embedding(tmp_path, embedding, capsys):
    embedding.main(["--out", str(tmp_path), "--quick", "--device", "cpu"])
    check_rows(tmp_path, "embedding", ("item", "ViLT", "CLIP"))
    names = "item, packed", "item, files", "sentence-transformers CLIP, files", "packing once"
    rows, printed = check_rows(tmp_path, "embedding-end-to-end", names), capsys.readouterr().out
    for dtype in DTYPES:
        packed, packing = (rows[f"item_tiny {dtype} {name}"] for name in (names[0], names[3]))
        together = 1 / packed["rate"] + 1 / packing["rate"]
        assert packed["packing included"] == pytest.approx(1 / together)
        assert f"| item_tiny {dtype} item, packed |" in printed


def test_missing_libraries_are_a_line_each(tmp_path, embedding, monkeypatch, capsys):
    names = ("transformers", "sentence_transformers")
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)
    embedding.optional.cache_clear()
    embedding.main(["--out", str(tmp_path), "--quick", "--device", "cpu", "--dtypes", *DTYPES])
    embedding.optional.cache_clear()
    check_rows(tmp_path, "embedding", ("item",))
    names_left = ("item, packed", "item, files", "packing once")
    check_rows(tmp_path, "embedding-end-to-end", names_left)
    said = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert [line.split(" ", 1)[0] for line in said] == list(names)


def test_ours_give_the_same_from_the_store_and_from_the_files(tmp_path, embedding, tiny):
    catalogue = embedding.Catalogue(tmp_path, 7)
    catalogue.pack(tiny)
    torch.manual_seed(0)
    hub = catalogue.model(tiny)
    packed = embedding.embed_packed(hub, catalogue.data, 5, batch_size=2)
    files = np.stack(hub.encode(catalogue.titles[:5], catalogue.paths[:5], batch_size=3))
    assert packed.shape == (3, 5, 32)
    np.testing.assert_allclose(packed, files, atol=1e-5)
    # and they tell the products apart, by each embedding
    for rows in packed:
        assert np.linalg.matrix_rank(rows) == 5


def test_what_a_model_is_stored_at(embedding):
    sizes = ("item_tiny", "item_small", "item_base")
    stored = [embedding.stored_size(embedding.rivals.config(size)) for size in sizes]
    assert stored == [80, 128, 256]


@pytest.mark.usefixtures("libraries")
def test_sentence_transformers_clip_is_clip_of_our_size(tmp_path, embedding, tiny, monkeypatch):
    """Its vectors are those of the weights that were written; and nothing asks the network."""
    from PIL import Image
    from synthetic import write_photos

    def refuse(*_):
        raise AssertionError("something wants to connect")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    titles = ["red mug", "a blue pan of 24 cm", "hat", "word " * 60]
    paths = write_photos(tmp_path / "photos", len(titles), 40, 90)
    torch.manual_seed(0)
    clip = embedding.sentence_clip(tiny, titles, 300, tmp_path)
    title, image = embedding.encode(clip, titles, paths, batch_size=3)

    library, folder = embedding.optional("transformers"), tmp_path / embedding.CLIP_MODULE
    body = library.CLIPModel.from_pretrained(folder).eval()
    processor = library.CLIPProcessor.from_pretrained(folder)
    inputs = processor(
        text=titles, images=[Image.open(path) for path in paths],
        padding=True, truncation=True, return_tensors="pt",
    )  # fmt: skip
    assert inputs["input_ids"].shape == (4, tiny.max_title_length + 2)
    assert inputs["pixel_values"].shape == (4, 3, 48, 48)
    assert (inputs["input_ids"][0] != processor.tokenizer.eos_token_id).sum() > 2  # no unknowns
    with torch.no_grad():
        found = body(**inputs)
    for ours, theirs in ((title, found.text_embeds), (image, found.image_embeds)):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)
    for tower in (body.text_model, body.vision_model):
        assert tower.config.num_hidden_layers == tiny.encoder_layers
        assert tower.config.hidden_size == tiny.encoder_embed_dim
        assert tower.config.intermediate_size == tiny.encoder_ffn_embed_dim


@pytest.mark.usefixtures("libraries")
def test_the_precision_is_that_of_our_model(tmp_path, embedding, tiny):
    from synthetic import write_photos

    titles = ["red mug", "blue pan"]
    paths = write_photos(tmp_path / "photos", 2, 40, 90)
    tiny.compute_dtype = "bfloat16"
    clip = embedding.sentence_clip(tiny, titles, 300, tmp_path)
    assert {weight.dtype for weight in clip.parameters()} == {torch.bfloat16}
    for rows in embedding.encode(clip, titles, paths, batch_size=2):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=0.02)
