"""Each database answers as item-search does, titles and absent embeddings included."""

import json
from pathlib import Path

import numpy as np
import pytest

from fairseq_item.errors import InputError
from fairseq_item.export.databases.search import FURTHER, Database, search
from fairseq_item.search.build import build_index
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings, EmbeddingWriter
from fairseq_item.search.fused_folder import FusedFolder, write_items, write_queries
from fairseq_item.search.fused_vectors import sum_fuser
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import search as item_search

WORDS = ["red", "blue", "shoe", "FTM-663", "ftm663", "shirt", "靴下", "the", "a", "of"]
DENSE, ALL = (0.5, 0.25, 2, 0), (0.5, 0, 2, 1.5)
COUNT, K = 120, 5
EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "databases"


class InMemory(Database):
    """The plain twin: NumPy, every item."""

    def write(self, folder):
        self.folder, self.widths = folder, []

    def dense(self, vector, having, k, among=None):
        has = self.folder.present @ (1 << np.arange(self.folder.present.shape[1]))
        if among is None:
            self.widths.append(k)
        return self._best(self.folder.vectors @ vector, np.isin(has, having), k, among)

    def sparse(self, columns, weights, k, among=None):
        rows = self.folder.lexical[:, columns]
        return self._best(rows @ np.array(weights), rows.getnnz(axis=1) > 0, k, among)

    def _best(self, scores, kept, k, among):
        rows = np.argsort(-scores, kind="stable")
        rows = [row for row in rows.tolist() if kept[row] and (among is None or row in among)]
        return {row: float(scores[row]) for row in rows[:k]}

    def ids(self, rows):
        return {row: self.folder.ids[row] for row in rows}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Index and queries, embeddings in a cone and some of them absent."""
    folder, rng = tmp_path_factory.mktemp("databases"), np.random.default_rng(0)
    for path, count in ((folder / "i", COUNT), (folder / "q", 12)):
        arrays = [rng.normal(size=(count, d)).astype(np.float32) + 0.5 for d in (6, 6, 9)]
        for array in arrays:
            array[rng.random(count) < 0.3] = 0
        titles = [" ".join(rng.choice(WORDS, size=rng.integers(5))) for _ in range(count)]
        items = [{"id": f"{path.name}'{i}", "title": title} for i, title in enumerate(titles)]
        with EmbeddingWriter(path, items, dict(zip(EMBEDDINGS, (6, 6, 9)))) as writer:
            writer.write(0, *arrays)
            writer.finish()
    build_index([folder / "i"], folder / "index")
    return ItemIndex.load(folder / "index"), Embeddings.load(folder / "q")


@pytest.fixture(scope="module")
def databases(tmp_path_factory):
    """Name -> function of a collection's name that opens a database."""
    held = {}

    def qdrant(name):
        module = pytest.importorskip("fairseq_item.export.databases.qdrant", exc_type=ImportError)
        client = held.setdefault("qdrant", module.QdrantClient(":memory:"))
        return module.Qdrant(client, name)

    def milvus(name):
        pytest.importorskip("milvus_lite")
        module = pytest.importorskip("fairseq_item.export.databases.milvus", exc_type=ImportError)
        if "milvus" not in held:
            held["milvus"] = module.MilvusClient(str(tmp_path_factory.mktemp("milvus") / "m.db"))
        return module.Milvus(held["milvus"], name)

    def pgvector(name):
        pgserver = pytest.importorskip("pgserver")
        module = pytest.importorskip("fairseq_item.export.databases.pgvector", exc_type=ImportError)
        if "pgvector" not in held:
            held["pgvector"] = pgserver.get_server(tmp_path_factory.mktemp("pg"))
        return module.PgVector(held["pgvector"].get_uri(), name)

    twin = {"in memory": lambda name: InMemory()}
    yield {**twin, "qdrant": qdrant, "milvus": milvus, "pgvector": pgvector}
    for name, opened in held.items():
        opened.cleanup() if name == "pgvector" else opened.close()


def folded(made, out, weights):
    index, queries = made
    fuser = sum_fuser(index, weights=weights)
    write_items(index, fuser, out / "items")
    write_queries(index, fuser, queries, out / "queries")
    return FusedFolder.load(out / "items"), FusedFolder.load(out / "queries")


@pytest.mark.parametrize("weights", [DENSE, ALL], ids=["vectors", "with titles"])
@pytest.mark.parametrize("name", ["in memory", "qdrant", "milvus", "pgvector"])
def test_answers_are_those_of_item_search(made, databases, tmp_path, name, weights):
    items, queries = folded(made, tmp_path, weights)
    database = databases[name](f"products_{bool(weights[-1])}")
    database.write(items)
    index, asked = made
    settings = {"fusion": "sum", "weights": weights}
    expected = item_search(index, asked.queries(), asked.ids, K, **settings)
    for query, found in search(database, queries, K):
        assert [item for item, _ in found] == [hit.item_id for hit in expected[query]]
        scores = [hit.score for hit in expected[query]]
        np.testing.assert_allclose([score for _, score in found], scores, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["qdrant", "milvus", "pgvector"])
def test_what_is_there_is_not_written_over(made, databases, tmp_path, name):
    items, _ = folded(made, tmp_path, DENSE)
    databases[name]("twice").write(items)
    with pytest.raises(InputError, match="already"):
        databases[name]("twice").write(items)


def test_lists_are_read_no_further_than_needed(made, tmp_path, caplog):
    items, queries = folded(made, tmp_path, ALL)
    database = InMemory()
    database.write(items)
    found = list(search(database, queries, K))
    assert len(found) == len(queries)
    # Some queries are settled by their first lists, some are not, none needs every item.
    widths = np.array(database.widths)
    assert set(widths) == {K, FURTHER * K, FURTHER**2 * K}  # K: those without words
    assert FURTHER**2 * K < COUNT
    assert not caplog.records
    database.most = K
    list(search(database, queries, K))
    assert "do not prove" in caplog.text


def test_comparison_with_fused_lists(made, capsys, monkeypatch):
    pytest.importorskip("qdrant_client")
    monkeypatch.syspath_prepend(str(EXAMPLE))
    import compare

    folder = made[1].path.parent
    compare.main([str(folder / "index"), str(folder / "q"), "--databases", "qdrant"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["way"].split(" of ")[0] for row in rows[::2]] == [
        "per field, rrf",
        "per field, dbsf",
        "one vector and sparse rows",
    ]
    assert rows[-1]["overlap"] == 1
    assert all(0.1 < row["overlap"] < 1 for row in rows[:-1])
