"""The benchmark of embedding, in its quick form, and that its contestants do what they say."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).parents[2] / "examples/benchmark"
DTYPES = ("float32", "bfloat16")


@pytest.fixture
def rivals(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import rivals

    return rivals


@pytest.fixture
def libraries(rivals):
    if not (rivals.optional("transformers") and rivals.optional("sentence_transformers")):
        pytest.skip("needs transformers and sentence-transformers")


@pytest.fixture
def tiny(rivals):
    """A configuration of a very small model."""
    from fairseq_item.models.item import item_tiny

    sizes = {"encoder_layers": 2, "encoder_embed_dim": 32, "encoder_attention_heads": 2}
    return rivals.config(item_tiny, image_size=48, **sizes)


@pytest.mark.usefixtures("libraries")
def test_embedding(tmp_path):
    script = [str(FOLDER / "embedding.py"), "--out", str(tmp_path), "--quick", "--device", "cpu"]
    done = subprocess.run([sys.executable, *script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    check_rows(tmp_path, "embedding", ("item", "ViLT", "CLIP"))
    rows = check_rows(
        tmp_path,
        "embedding-end-to-end",
        ("item, packed", "item, files", "sentence-transformers CLIP, files", "packing once"),
    )
    for dtype in DTYPES:
        packed, packing = (
            rows[f"item_tiny {dtype} {name}"] for name in ("item, packed", "packing once")
        )
        together = 1 / packed["rate"] + 1 / packing["rate"]
        assert packed["packing included"] == pytest.approx(1 / together)
        assert "| item_tiny float32 item, packed |" in done.stdout


def check_rows(folder, stage, names):
    """The rows of a report by name, which are those of all contestants in both precisions."""
    rows = {row["name"]: row for row in json.loads((folder / f"{stage}.json").read_text())["rows"]}
    assert list(rows) == [f"item_tiny {dtype} {name}" for dtype in DTYPES for name in names]
    assert all(row["rate"] > 0 for row in rows.values())
    return rows


def test_ours_give_the_same_from_the_store_and_from_the_files(tmp_path, rivals, tiny):
    import end_to_end

    catalogue = end_to_end.Catalogue(tmp_path, 7)
    catalogue.pack("some", tiny)
    torch.manual_seed(0)
    hub = catalogue.model(tiny, "cpu")
    packed = end_to_end.embed_packed(hub, catalogue.data, "some", 5, batch_size=2)
    files = np.stack(hub.encode(catalogue.titles[:5], catalogue.paths[:5], batch_size=3))
    assert packed.shape == (3, 5, 32)
    np.testing.assert_allclose(packed, files, atol=1e-5)
    # and they tell the products apart, by either part
    for part in packed:
        assert np.linalg.matrix_rank(part) == 5


def test_what_a_model_is_stored_at(rivals):
    import end_to_end

    from fairseq_item.models.item import item_base, item_small, item_tiny

    stored = [end_to_end.stored_size(rivals.config(a)) for a in (item_tiny, item_small, item_base)]
    assert stored == [80, 128, 256]


@pytest.mark.usefixtures("libraries")
def test_sentence_transformers_clip_is_clip_of_our_size(tmp_path, rivals, tiny, monkeypatch):
    """Its vectors are those of the weights that were written; and nothing asks the network."""
    import sentence_clip
    from photos import write_photos
    from PIL import Image

    def refuse(*_):
        raise AssertionError("something wants to connect")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    titles = ["red mug", "a blue pan of 24 cm", "hat", "word " * 60]
    paths = write_photos(tmp_path / "photos", len(titles), 40, 90)
    torch.manual_seed(0)
    clip = sentence_clip.SentenceClip(tiny, titles, 300, tmp_path / "clip")
    title, image = clip.encode(titles, paths, batch_size=3)

    library = rivals.transformers()
    body = library.CLIPModel.from_pretrained(tmp_path / "clip" / sentence_clip.MODULE).eval()
    processor = library.CLIPProcessor.from_pretrained(tmp_path / "clip" / sentence_clip.MODULE)
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
def test_the_precision_is_that_of_our_model(tmp_path, tiny):
    import sentence_clip
    from photos import write_photos

    titles = ["red mug", "blue pan"]
    paths = write_photos(tmp_path / "photos", 2, 40, 90)
    tiny.compute_dtype = "bfloat16"
    clip = sentence_clip.SentenceClip(tiny, titles, 300, tmp_path / "clip")
    assert {weight.dtype for weight in clip.model.parameters()} == {torch.bfloat16}
    for part in clip.encode(titles, paths, batch_size=2):
        np.testing.assert_allclose(np.linalg.norm(part, axis=1), 1, atol=0.02)


def test_missing_libraries_are_a_line_each(tmp_path, rivals, monkeypatch, capsys):
    import embedding

    names = ("transformers", "sentence_transformers")
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)
    rivals.optional.cache_clear()
    embedding.main(["--out", str(tmp_path), "--quick", "--device", "cpu"])
    rivals.optional.cache_clear()
    check_rows(tmp_path, "embedding", ("item",))
    names_left = ("item, packed", "item, files", "packing once")
    check_rows(tmp_path, "embedding-end-to-end", names_left)
    said = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert [line.split(" ", 1)[0] for line in said] == list(names)
