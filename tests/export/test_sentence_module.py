"""The sentence-transformers module: products, titles and images through their ``encode``."""

import numpy as np
import pytest
from PIL import Image

import fairseq_item
from fairseq_item.commands import embed
from fairseq_item.data.tsv import read_table
from fairseq_item.errors import InputError
from fairseq_item.search.build import build_index
from fairseq_item.search.embeddings import Embeddings
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import search

try:
    from sentence_transformers import SentenceTransformer

    from fairseq_item.export import sentence_module
except Exception as error:  # not there, or not to be imported beside another package
    pytest.skip(f"sentence-transformers cannot be imported: {error}", allow_module_level=True)

WEIGHTS = (1, 2, 1)
SHARES = np.array(WEIGHTS) / sum(WEIGHTS)


@pytest.fixture(scope="module")
def hub(model_folder):
    return fairseq_item.ItemModel.from_pretrained(model_folder)


@pytest.fixture(scope="module")
def folder(hub, model_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "model"
    sentence_module.write(hub, model_folder, out, WEIGHTS)
    return out


@pytest.fixture(scope="module")
def model(folder):
    return SentenceTransformer(str(folder), trust_remote_code=True, device="cpu")


@pytest.fixture(scope="module")
def images(data_bin):
    return [str(path) for path in sorted((data_bin.parent / "images").glob("*.png"))[:3]]


def side_by_side(hub, titles, images):
    return np.concatenate(
        [part * share**0.5 for part, share in zip(hub.encode(titles, images), SHARES)], 1
    )


def test_products_titles_and_images(hub, model, images):
    products = [
        {"image": images[0], "text": "acme red mug"},
        "a title alone",
        images[1],
        Image.open(images[2]),
        {"image": np.asarray(Image.open(images[2]).convert("RGB"))},
        {"text": "a title alone"},
    ]
    titles = ["acme red mug", "a title alone", None, None, None, "a title alone"]
    own = [images[0], None, images[1], images[2], images[2], None]
    found = model.encode(products)
    assert found.shape == (6, model.get_embedding_dimension())
    np.testing.assert_allclose(found, side_by_side(hub, titles, own), atol=1e-6)


def test_strings_alone_and_images_alone(hub, model, images):
    np.testing.assert_allclose(
        model.encode(["red mug", "blue hat"]), side_by_side(hub, ["red mug", "blue hat"], None),
        atol=1e-6,
    )  # fmt: skip
    np.testing.assert_allclose(model.encode(images), side_by_side(hub, None, images), atol=1e-6)
    assert model.encode("red mug").shape == (model.get_embedding_dimension(),)


def test_the_similarity_is_the_weighted_sum_of_shared_cosines(hub, model, images):
    products = [{"image": images[0], "text": "acme red mug"}, "acme red mug"]
    similarity = model.similarity(*[model.encode(products)] * 2).numpy()
    parts = hub.encode(["acme red mug"] * 2, [images[0], None])
    cosines = np.array([part[0] @ part[1] for part in parts])
    assert cosines[2] == 0
    assert similarity[0, 1] == pytest.approx(SHARES @ cosines, abs=1e-5)
    assert similarity[0, 0] == pytest.approx(1, abs=1e-5)
    # A product with a title alone has only its share of the weights in common with itself.
    assert similarity[1, 1] == pytest.approx(SHARES[:2].sum(), abs=1e-5)


def test_a_prompt_goes_before_titles(hub, model):
    np.testing.assert_allclose(
        model.encode(["mug"], prompt="red "), side_by_side(hub, ["red mug"], None), atol=1e-6
    )


def test_saved_by_sentence_transformers_it_is_the_same(model, tmp_path):
    model.save(str(tmp_path / "again"))
    again = SentenceTransformer(str(tmp_path / "again"), trust_remote_code=True, device="cpu")
    np.testing.assert_array_equal(again.encode(["red mug"]), model.encode(["red mug"]))
    assert again.similarity_fn_name == "dot"


def test_it_is_a_model_folder_as_well(hub, folder):
    again = fairseq_item.ItemModel.from_pretrained(folder)
    np.testing.assert_array_equal(again.encode(["red mug"])[0], hub.encode(["red mug"])[0])


@pytest.mark.parametrize(
    ("product", "message"),
    [
        ({"picture": "a.png"}, "has the keys"),
        ({"image": 3}, "int is no title and no image"),
        ({"image": np.zeros((3, 4, 4), np.float32)}, "uint8 of shape"),
        ({"image": "nowhere.png"}, "nowhere.png cannot be read"),
    ],
)
def test_what_cannot_be_used(model, product, message):
    with pytest.raises(InputError, match=message):
        model.encode([product])


@pytest.fixture(scope="module")
def index(model_folder, data_bin, tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    for argv in (
        ["--checkpoint", model_folder, "--data", data_bin, "--splits", "train", "--out"],
        ["--checkpoint", model_folder, "--data", data_bin, "--splits", "test", "--out"],
    ):
        embed.main([*map(str, argv), str(folder / argv[5])])
    build_index([folder / "train"], folder / "index", weights=(1, 2, 1, 0))
    return folder


def test_with_an_index_it_ranks_as_a_search_without_words_does(
    hub, model_folder, index, data_bin, images, tmp_path
):
    opened = ItemIndex.load(index / "index")
    sentence_module.write(hub, model_folder, tmp_path / "out", WEIGHTS, index=opened)
    model = SentenceTransformer(str(tmp_path / "out"), trust_remote_code=True, device="cpu")
    rows = {
        split: [
            {"text": row["title"], "image": str(data_bin.parent / "images" / row["image"])}
            for row in read_table(data_bin / "items" / f"{split}.tsv").dicts()
        ]
        for split in ("train", "test")
    }
    found = model.similarity(*(model.encode(rows[split]) for split in ("test", "train"))).numpy()
    queries = Embeddings.load(index / "test")
    hits = search(opened, queries.queries(), queries.ids, 1)
    ids = np.array(opened.ids)
    best = [answers[0].item_id for answers in hits.values()]
    assert [ids[row.argmax()] for row in found] == best
    # A product that lacks one part has no more of it after whitening.
    image = model.encode([images[0]])[0]
    assert not image[model[0]._widths[0] :][: model[0]._widths[1]].any()
    assert model.get_embedding_dimension() == len(image)


def test_an_index_of_another_model_is_refused(hub, model_folder, index, tmp_path):
    opened = ItemIndex.load(index / "index")
    opened.meta["checkpoint_digest"] = "0" * 64
    with pytest.raises(InputError, match="another model"):
        sentence_module.write(hub, model_folder, tmp_path / "out", index=opened)
    assert not (tmp_path / "out").exists()
