"""A small shop to serve: drawn products, an index of them, and a model that needs no training."""

import hashlib
import zlib
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fairseq_item.data.image_store import ImageStoreWriter
from fairseq_item.data.images import ImageError, decode_image
from fairseq_item.data.tsv import Table, write_table
from fairseq_item.errors import InputError
from fairseq_item.search.build import build_index
from fairseq_item.search.embeddings import EMBEDDINGS, EmbeddingWriter, normalise
from fairseq_item.serve import engine as engine_module
from fairseq_item.serve.engine import Settings
from fairseq_item.serve.reload import Served

DIM, SIDE = 16, 32
COLOURS = {"red": (220, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 200), "grey": (90,) * 3}
KINDS = ("mug", "pan", "hat")
NASTY = "a/../b?c=d&<script>alert(1)</script> é"


def draw(colour, kind, size=40):
    """A product's photo: a PIL image."""
    image = Image.new("RGB", (size, size), "white")
    inner = size // (2 + KINDS.index(kind))
    image.paste(COLOURS[colour], (4, 4, 4 + inner, size - 8))
    return image


def photo(colour="red", kind="mug", size=40, form="PNG"):
    """The bytes of a photo."""
    buffer = BytesIO()
    draw(colour, kind, size).save(buffer, form)
    return buffer.getvalue()


class ColourModel:
    """Stands for ``QueryModel``: titles by their words, images by their pixels."""

    loaded = 0

    def __init__(self, checkpoint, digest=None, features=None, device="cpu"):
        ColourModel.loaded += 1
        self.network = None
        self.made_from = {"checkpoint": checkpoint, "digest": digest, "features": features}

    def embed(self, titles, images):
        found = [_embedded(title, image) for title, image in zip(titles, images)]
        return {name: np.concatenate([rows[name] for rows in found]) for name in EMBEDDINGS}


def _embedded(title, image):
    words, pixels = np.zeros(DIM), np.zeros(DIM)
    for word in (title or "").split():
        words[zlib.crc32(word.encode()) % DIM] += 1
    if image is not None:
        try:
            small = decode_image(image).resize((2, 2))
        except ImageError as error:
            raise InputError(str(error)) from None
        pixels[:12] = np.asarray(small, float).ravel() / 255
    rows = {"global": words + pixels, "title": words, "image": pixels}
    return {name: normalise(row[None]) for name, row in rows.items()}


def products(count):
    """Rows of a catalogue: id, title, image, leaf_category, note."""
    rows = []
    for i in range(count):
        colour, kind = list(COLOURS)[i % 4], KINDS[i // 4 % 3]
        name = NASTY if i == 5 else f"p{i}"
        rows.append([name, f"{colour} {kind} model {i}", f"{i}.png", kind, f"n{i}"])
    return rows


def build(folder, count=30, checkpoint=b"model", out="index", images_of=None, factory="Flat"):
    """Write images, a data-bin, embeddings and an index of ``count`` products into ``folder``.

    Args:
        folder: where to.
        count: how many products.
        checkpoint: bytes of the model's file.
        out: name of the index.
        images_of: id -> name of the image that the index gives it.
        factory: of the index.
    """
    rows = products(count)
    names = ["id", "title", "image", "leaf_category", "note"]
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    items = Table(names, rows)
    write_table(folder / "data-bin" / "items" / "train.tsv", items)
    store = ImageStoreWriter(folder / "data-bin" / "image" / "train", "patches", SIDE, 16)
    found, model = [], ColourModel("")
    with store:
        for _, title, image, kind, _ in rows:
            picture = draw(title.split()[0], kind)
            picture.save(images / image)
            store.add(picture.resize((SIDE, SIDE)))
            found.append(model.embed([title], [(images / image).read_bytes()]))
    meta = {
        "checkpoint": str(folder / "model.pt"),
        "checkpoint_digest": hashlib.sha256(checkpoint).hexdigest(),
        "data": str(folder / "data-bin"),
        "splits": "train",
    }
    (folder / "model.pt").write_bytes(checkpoint)
    for row in rows:
        row[2] = (images_of or {}).get(row[0], row[2])
    items = Table(names, rows)
    writer = EmbeddingWriter(folder / "embeddings", items, DIM, meta=meta)
    writer.write(0, *(np.concatenate([row[name] for row in found]) for name in EMBEDDINGS))
    writer.finish()
    build_index([folder / "embeddings"], folder / out, factory, weights=(0.5, 0.25, 1, 1))
    return folder / out


@pytest.fixture(autouse=True)
def model(monkeypatch):
    """Every engine takes :class:`ColourModel`."""
    monkeypatch.setattr(engine_module, "QueryModel", ColourModel)
    ColourModel.loaded = 0
    return ColourModel


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """A folder with ``index``, ``images`` and ``data-bin``, not to be changed."""
    folder = tmp_path_factory.mktemp("shop")
    build(folder)
    return folder


@pytest.fixture
def start(shop):
    """``start(index=, limits=, token=, hosts=, poll=, **settings)``: a client of a service.

    Its ``served`` is the ``Served``.
    """
    pytest.importorskip("fastapi")
    from starlette.testclient import TestClient

    from fairseq_item.serve.app import create_app

    opened = []

    def start(index=shop / "index", limits=None, token=None, hosts=None, poll=None, **settings):
        served = Served(Settings(str(index), **settings))
        app = create_app(served, limits, token, hosts, poll)
        client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
        client.__enter__()
        opened.append(client)
        client.served = served
        return client

    yield start
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(start):
    """A client of the shop's service."""
    return start()


@pytest.fixture(scope="session")
def make():
    """What tests make more of."""
    return SimpleNamespace(
        photo=photo, build=build, products=products, NASTY=NASTY, draw=draw, ColourModel=ColourModel
    )
