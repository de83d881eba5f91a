"""Both engines write the same bytes, also when a machine of the Ray cluster is lost halfway."""

import os
import shutil
import sys
import time
from threading import Thread

import pytest

from fairseq_item import engines
from fairseq_item.commands import binarize, common, embed, pack, relist
from fairseq_item.engines import Local
from fairseq_item.errors import InputError
from fairseq_item.preprocess import binarize as binarize_library
from fairseq_item.preprocess import pack as pack_library
from fairseq_item.search import embed_tasks
from fairseq_item.search.embed import share

MEMORY = 100 << 20  # bytes of a machine's object store


def square(x):
    return x * x


def test_local_maps_in_order():
    assert list(Local(2).map(square, range(20))) == [x * x for x in range(20)]


def test_without_ray_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'fairseq-item\[ray\]'"):
        engines.Ray()


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_shares_are_whole_batches_and_all_products(world):
    for count in (0, 1, 16, 17, 100):
        shares = [share(count, 16, rank, world) for rank in range(world)]
        assert [row for rows in shares for row in range(*rows)] == list(range(count))
        assert all(start % 16 == 0 or start == count for start, _ in shares)


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster of one machine."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    made = Cluster(
        True, head_node_args={"num_cpus": 1, "num_gpus": 1, "object_store_memory": MEMORY}
    )
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


class Unlucky(engines.Ray):
    """Ray of two machines; the second one is killed in the middle of its third task.

    Attributes:
        nodes: machines that did the tasks whose results came back, in order.
    """

    def __init__(self, cluster, folder):
        self.cluster, self.folder, self.nodes = cluster, folder, []
        self.lost = cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
        cluster.wait_for_nodes()
        super().__init__()

    def map(self, function, inputs):
        folder, unlucky = self.folder, self.lost.node_id

        def on_a_machine(item):
            import ray

            node = ray.get_runtime_context().get_node_id()
            with open(folder / node, "a") as done:
                done.write(".")
            # Until the other machine is at work, too; its processes take seconds to start.
            while len(list(folder.glob("*"))) < 2:
                time.sleep(0.05)
            while node == unlucky and (folder / node).stat().st_size > 2:
                time.sleep(0.05)
            return node, function(item)

        Thread(target=self.lose, daemon=True).start()
        for node, result in super().map(on_a_machine, inputs):
            self.nodes.append(node)
            yield result

    def lose(self):
        done = self.folder / self.lost.node_id
        while not done.exists() or done.stat().st_size < 3:
            time.sleep(0.05)
        self.cluster.remove_node(self.lost, allow_graceful=False)


@pytest.fixture
def unlucky(cluster, tmp_path, monkeypatch):
    """The engine that commands get when they ask for Ray: one whose second machine dies."""
    (tmp_path / "nodes").mkdir()
    engine = Unlucky(cluster, tmp_path / "nodes")
    monkeypatch.setattr(common, "Ray", lambda *needs: engine)
    yield engine
    # Both have done something, and after the death all went on.
    assert len(set(engine.nodes)) == 2
    assert engine.nodes.count(engine.lost.node_id) <= 2
    assert len(engine.nodes) > 10


def files(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_errors_of_the_work_come_back_as_they_were(cluster):
    def fail(x):
        if x == 3:
            raise InputError("row 3 is bad; mend it")
        return x

    results = engines.Ray().map(fail, range(10))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(InputError, match="^row 3 is bad; mend it$"):
        next(results)


def test_work_that_kills_its_process_ends_in_one_line(cluster, monkeypatch):
    monkeypatch.setattr(engines, "RETRIES", 1)
    with pytest.raises(InputError, match="could not do a part of the work in 2 attempts"):
        list(engines.Ray().map(os._exit, [1]))


def test_processes_are_kept_with_a_part_of_a_gpu_too(cluster):
    def here(_):
        return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]

    assert len(set(engines.Ray(gpus=0.5).map(here, range(6)))) == 1, "a model each time anew"


def test_too_little_room_is_said(cluster):
    with pytest.raises(InputError, match="no room for a worker of 99 CPUs and 0 GPUs"):
        engines.Ray(cpus=99)


def test_packing_on_ray_writes_the_same_bytes_though_a_machine_is_lost(
    data_bin, unlucky, tmp_path, monkeypatch
):
    monkeypatch.setattr(pack_library, "CHUNK", 4)
    source = tmp_path / "images"
    shutil.copytree(data_bin.parent / "images", source)
    (source / "5.png").write_bytes(b"no image")
    for engine in ("local", "ray"):
        pack.main(
            [str(data_bin.parent / "products.tsv"), "--image-root", str(source), "--split", "train"]
            + ["--out", str(tmp_path / engine), "--engine", engine]
            + ["--image-size", "40", "--patch-size", "8"]
        )
    assert files(tmp_path / "ray") == files(tmp_path / "local")
    assert "unreadable" in (tmp_path / "ray" / "rejected" / "train.tsv").read_text()


def test_embedding_on_ray_writes_the_same_bytes_though_a_machine_is_lost(
    model_folder, data_bin, unlucky, tmp_path, monkeypatch
):
    monkeypatch.setattr(embed_tasks, "BATCHES", 1)
    for engine in ("local", "ray"):
        embed.main(
            ["--checkpoint", str(model_folder), "--data", str(data_bin), "--splits", "valid,train"]
            + ["--batch-size", "6", "--out", str(tmp_path / engine), "--engine", engine]
            + ["--device", "cpu"]
        )
    assert files(tmp_path / "ray") == files(tmp_path / "local")


def test_embedding_on_ray_by_title_alone_and_further_splits(
    model_folder, data_bin, cluster, tmp_path, monkeypatch
):
    monkeypatch.chdir(data_bin.parent)  # the workers are elsewhere
    for engine in ("local", "ray"):
        out = tmp_path / engine
        embed.main(
            ["--checkpoint", str(model_folder), "--data", data_bin.name, "--splits", "valid"]
            + ["--also", f"test:title={out}/titles", "--out", f"{out}/all", "--engine", engine]
            + ["--untrained", "--dtype", "float16", "--device", "cpu"]
        )
    assert files(tmp_path / "ray") == files(tmp_path / "local")


def test_relisting_on_ray_writes_the_same_bytes(data_bin, cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(data_bin.parent)
    for engine in ("local", "ray"):
        relist.main(
            ["products.tsv", "--image-root", "images"]
            + ["--products", "30", "--out", str(tmp_path / engine), "--engine", engine]
        )
    assert files(tmp_path / "ray") == files(tmp_path / "local")
    assert len(files(tmp_path / "ray" / "images")) == 30


def test_binarising_by_any_engine_writes_the_same_bytes(data_bin, cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(binarize_library, "CHUNK", 10)
    for options in ([], ["--num-workers", "2"], ["--engine", "ray"]):
        data = tmp_path / "-".join(["data", *options])
        for name in ("items", "title/bpe.model", "title/dict.txt"):
            copy = shutil.copytree if name == "items" else shutil.copy
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            copy(data_bin / name, data / name)
        binarize.main([str(data), *options])
        for kind in ("title", "label"):
            assert files(data / kind) == files(data_bin / kind), options
