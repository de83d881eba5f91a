"""Folders of object stores: what changed is copied, descriptions last; commands take their URLs."""

import json
import os
import shutil

import fsspec
import pytest

from fairseq_item import ItemModel, remote
from fairseq_item.commands import binarize, copy, embed, pack, relist
from fairseq_item.commands.common import run
from fairseq_item.data.catalog import read_catalog
from fairseq_item.data.remote_root import RemoteRoot, open_root
from fairseq_item.errors import InputError
from fairseq_item.remote import Mirror
from fairseq_item.search.embed import open_products
from fairseq_item.search.embed_tasks import packed
from fairseq_item.search.embeddings import Embeddings


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FAIRSEQ_ITEM_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def store():
    """fsspec's store in memory, empty."""
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    return fs


@pytest.fixture
def moves(monkeypatch):
    """The names that are fetched and sent, in order."""
    seen = []
    for name in ("_fetch", "_send"):
        method = getattr(Mirror, name)

        def noted(self, file, method=method):
            seen.append(file)
            return method(self, file)

        monkeypatch.setattr(Mirror, name, noted)
    return seen


def fill(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_what_is_a_url():
    assert remote.is_url("s3://bucket/x")
    assert remote.is_url("gs://bucket")
    assert not any(map(remote.is_url, ("/a/b", "a:b", "C://x", "data-bin")))
    assert remote.local("/a/b") == "/a/b"


def test_what_changed_is_copied_and_descriptions_last(store, moves, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    fill(here, meta_json="{}", a_npy="a", image__b_bin="b")
    (here / ".unfinished").write_text("no")
    Mirror("memory://shop/x", here).push()
    assert (sorted(moves[:2]), moves[2:]) == (["a.npy", "image/b.bin"], ["meta.json"])
    assert sorted(store.find("/shop/x")) == [
        f"/shop/x/{n}" for n in ("a.npy", "image/b.bin", "meta.json")
    ]
    moves.clear()
    Mirror("memory://shop/x", there).pull()
    assert moves[-1] == "meta.json"
    assert (there / "image" / "b.bin").read_text() == "b"
    moves.clear()
    fill(here, a_npy="other")
    Mirror("memory://shop/x", here).push()
    assert moves == ["a.npy"]
    Mirror("memory://shop/x", there).pull()
    Mirror("memory://shop/x", there).pull()
    assert moves == ["a.npy", "a.npy"]
    assert (there / "a.npy").read_text() == "other"


def test_what_is_sent_in_part_has_no_description(store, monkeypatch, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    fill(here, meta_json="1", a_npy="a")
    Mirror("memory://shop/x", here).push()
    Mirror("memory://shop/x", there).pull()
    fill(here, meta_json="two", a_npy="aa", b_npy="bb")
    send = Mirror._send

    def dies(self, name):
        if name == "b.npy":
            raise OSError("the network is down")
        return send(self, name)

    monkeypatch.setattr(Mirror, "_send", dies)
    with pytest.raises(InputError, match=r"memory://shop/x cannot be read or written \(the netw"):
        Mirror("memory://shop/x", here).push()
    assert "/shop/x/meta.json" not in store.find("/shop/x")
    Mirror("memory://shop/x", there).pull()
    assert not (there / "meta.json").exists(), "of files that are gone"
    monkeypatch.setattr(Mirror, "_send", send)
    Mirror("memory://shop/x", here).push()
    Mirror("memory://shop/x", there).pull()
    assert (there / "meta.json").read_text() == "two"


def test_a_folder_that_changes_meanwhile_is_refused(store, monkeypatch, tmp_path):
    store.pipe({"/shop/x/a.npy": b"a", "/shop/x/meta.json": b"{}"})
    fetch = Mirror._fetch

    def changed(self, name):
        store.pipe(f"/shop/x/{name}", b"longer")
        return fetch(self, name)

    monkeypatch.setattr(Mirror, "_fetch", changed)
    with pytest.raises(InputError, match="changed while it was fetched; run again"):
        Mirror("memory://shop/x", tmp_path / "x").pull()
    monkeypatch.setattr(Mirror, "_fetch", fetch)
    Mirror("memory://shop/x", tmp_path / "x").pull()
    assert (tmp_path / "x" / "a.npy").read_text() == "longer"


def test_no_name_leads_out_of_the_copy(store, tmp_path):
    store.store["/shop/x/a/../../b"] = store.open("/shop/x/c", "wb")
    with pytest.raises(InputError, match="has a file 'a/../../b', which leads out of it"):
        Mirror("memory://shop/x", tmp_path / "x").pull()
    assert not (tmp_path / "x").exists()


def test_splits_of_a_data_bin():
    wanted = remote.of_splits(["train", "test"])
    assert all(map(wanted, ["image/train.bin", "items/train1.tsv", "title/dict.txt"]))
    assert not any(map(wanted, ["image/trainer.bin", "image/valid.idx", "items/query.tsv"]))


def test_catalogues_of_urls(store):
    store.pipe("/shop/c.tsv", b"id\ttitle\timage\n1\tshoe\t1.jpg\n1\that\t2.jpg\n")
    with pytest.raises(InputError, match="memory/shop/c.tsv line 3 repeats the id '1'"):
        list(read_catalog("memory://shop/c.tsv"))
    store.pipe("/shop/c.tsv", b"id\ttitle\timage\n1\tshoe\t1.jpg\n")
    assert [row["title"] for _, row in read_catalog("memory://shop/c.tsv")] == ["shoe"]
    with pytest.raises(InputError, match="nothing.tsv is empty or missing"):
        read_catalog("memory://shop/nothing.tsv")
    with pytest.raises(InputError, match="nowhere://x/c.tsv cannot be opened .*cloud"):
        read_catalog("nowhere://x/c.tsv")


def test_images_of_urls(store, monkeypatch):
    store.pipe({"/shop/images/a/1.png": b"one", "/shop/images/2.png": b"two", "/shop/no": b"no"})
    root = open_root("memory://shop/images/")
    assert isinstance(root, RemoteRoot)
    assert root.read("a/1.png") == b"one"
    assert list(root.names()) == ["2.png", "a/1.png"]
    for name in ("3.png", "../no", ""):
        with pytest.raises(KeyError, match="missing"):
            root.read(name)

    def down(*args, **options):
        raise PermissionError("403 Forbidden")

    monkeypatch.setattr(type(store), "cat_file", down)
    with pytest.raises(InputError, match="images/2.png cannot be read or written .403 Forbidden"):
        root.read("2.png")


def test_copy_takes_one_url(tmp_path, store, capsys):
    fill(tmp_path / "model", dict_txt="d", meta_json="{}")
    copy.main([str(tmp_path / "model"), "memory://shop/model"])
    copy.main(["memory://shop/model", str(tmp_path / "again")])
    assert (tmp_path / "again" / "dict.txt").read_text() == "d"
    for paths in (["a", "b"], ["memory://a", "memory://b"], ["none", "memory://x"]):
        with pytest.raises(SystemExit) as ended:
            run(copy.main, paths)
        assert ended.value.code == 2
    assert "none is no folder" in capsys.readouterr().err


def test_another_machine_fetches_what_it_embeds(data_bin, model_folder):
    """A process of a cluster gets what to open, and its own copy of the files first."""
    url = f"file://{data_bin}"
    source = Mirror.of(url), remote.of_splits(["valid"])
    data = source[0].pull(source[1])
    items, dataset = open_products(data, ["valid"], ItemModel.from_pretrained(model_folder))
    stores = packed(dataset, None, source)
    expected = dataset[3]["patches"]
    shutil.rmtree(data)
    there, features = stores()
    assert features is None
    assert len(there) == len(items)
    assert (there[3]["patches"] == expected).all()
    assert not list(data.glob("*/train.*"))


@pytest.fixture(scope="module")
def bucket():
    """A bucket of a local S3 server: its URL and its file system."""
    server = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    started = server.ThreadedMotoServer(port=0)
    started.start()
    host, port = started.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    fs = fsspec.filesystem("s3", skip_instance_cache=True)
    fs.mkdir("shop")
    yield "s3://shop", fs
    started.stop()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


def test_the_pipeline_on_s3_writes_what_it_writes_on_disk(
    bucket, data_bin, model_folder, tmp_path, monkeypatch
):
    url, fs = bucket
    catalog = data_bin.parent / "splits" / "train.tsv"
    fs.put(str(catalog), "shop/train.tsv")
    fs.put(str(data_bin.parent / "images"), "shop/images", recursive=True)
    for name in ("dict.txt", "bpe.model"):
        fs.put(str(data_bin / "title" / name), f"shop/data/title/{name}")
    for name in ("checkpoint_best.pt", "dict.txt", "bpe.model"):
        fs.put(str(model_folder / name), f"shop/model/{name}")
    size = ["--image-size", "40", "--patch-size", "8", "--num-workers", "2"]
    pack.main(
        [f"{url}/train.tsv", "--image-root", f"{url}/images", "--out", f"{url}/data"]
        + ["--split", "train", *size]
    )
    monkeypatch.setenv("FAIRSEQ_ITEM_CACHE", str(tmp_path / "another machine"))
    binarize.main([f"{url}/data"])
    for kind in ("image", "items", "rejected", "title"):
        for path in (data_bin / kind).glob("train.*"):
            if kind != "image" or path.suffix != ".json":  # which names the image root
                assert fs.cat_file(f"shop/data/{kind}/{path.name}") == path.read_bytes(), path
    monkeypatch.setenv("FAIRSEQ_ITEM_CACHE", str(tmp_path / "a third"))
    embed.main(
        ["--checkpoint", f"{url}/model", "--data", f"{url}/data", "--splits", "train"]
        + ["--out", f"{url}/embeddings", "--device", "cpu"]
    )
    copy.main([f"{url}/embeddings", str(tmp_path / "s3")])
    embed.main(
        ["--checkpoint", str(model_folder), "--data", str(data_bin), "--splits", "train"]
        + ["--out", str(tmp_path / "disk"), "--device", "cpu"]
    )
    one, other = (Embeddings.load(tmp_path / name, verify=True) for name in ("s3", "disk"))
    assert one.ids == other.ids
    assert all((one.arrays[name] == other.arrays[name]).all() for name in one.arrays)
    relist.main(
        [f"{url}/train.tsv", "--image-root", f"{url}/images", "--out", f"{url}/queries"]
        + ["--products", "5", "--num-workers", "1"]
    )
    assert len(fs.ls("shop/queries/images")) == 5
    assert json.loads(fs.cat_file("shop/queries/meta.json"))["queries"] == 5


def test_no_bucket_is_one_line(bucket):
    with pytest.raises(InputError, match="s3://nowhere/c.tsv|s3://nowhere is empty or missing"):
        read_catalog("s3://nowhere/c.tsv")
