"""How many of the true first ten each database's own fusion of lists finds, on an index of yours.

    python examples/databases/compare.py INDEX EMBEDDINGS_OF_QUERIES

The truth is the index's exact weighted sum. ``per field`` gives a database one vector field for
each embedding that counts, and its sparse rows where titles count, and lets it fuse the lists that
each field returned; ``one vector`` is ``fairseq_item.export.databases``. PostgreSQL has no fusion
of its own; what people write in SQL is the same reciprocal ranks.
"""

import argparse
import json
import shutil
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fairseq_item.export.databases.search import search
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings
from fairseq_item.search.fused_folder import FusedFolder, write_items, write_queries
from fairseq_item.search.fused_vectors import sum_fuser
from fairseq_item.search.fusion import Batch
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import fused_search

K, LENGTHS = 10, (10, 100)
ROWS_A_TIME = 200


class Fields:
    """What a database with one field a similarity is given: vectors of items and of queries."""

    def __init__(self, index, fuser, asked, items, queries):
        batch = Batch(index, fuser, asked, K, np.full(len(queries), -1))
        self.names = [name for name in batch.names if name in EMBEDDINGS]
        self.items = {name: index.vectors[name][:] for name in self.names}
        self.queries = {name: batch.queries[name] for name in self.names}
        self.weights = {name: fuser.weights[column] for column, name in fuser.active()}
        self.terms = None if items.lexical is None else (items.lexical, queries.lexical)

    def asked(self, query):
        """What one query has: name -> vector, or its sparse row as columns and weights."""
        found = {name: rows[query] for name, rows in self.queries.items() if rows[query].any()}
        if self.terms is not None and self.terms[1][query].nnz:
            found["lexical"] = sparse_row(self.terms[1], query)
        return found

    def item(self, row):
        """The same of an item."""
        found = {name: rows[row] for name, rows in self.items.items() if rows[row].any()}
        if self.terms is not None and self.terms[0][row].nnz:
            found["lexical"] = sparse_row(self.terms[0], row)
        return found


def sparse_row(matrix, row):
    """Columns and weights: two lists."""
    some = slice(*matrix.indptr[row : row + 2])
    return matrix.indices[some].tolist(), matrix.data[some].tolist()


class Qdrant:
    """Named vectors, and its Query API's fusions."""

    fusions = ("rrf", "dbsf")

    def __init__(self, folder):
        from fairseq_item.export.databases import qdrant

        self.models = qdrant.models
        self.client = qdrant.QdrantClient(":memory:")
        self.database = qdrant.Qdrant(self.client)

    def write(self, fields, count):
        models, names = self.models, fields.names
        params = {
            name: models.VectorParams(
                size=fields.items[name].shape[1], distance=models.Distance.DOT
            )
            for name in names
        }
        sparse = {"lexical": models.SparseVectorParams()} if fields.terms else None
        self.client.create_collection("fields", params, sparse)
        for start in range(0, count, ROWS_A_TIME):
            rows = range(start, min(start + ROWS_A_TIME, count))
            points = [
                models.PointStruct(id=row, vector=self._own(fields.item(row))) for row in rows
            ]
            self.client.upsert("fields", points)

    def _own(self, found):
        return {
            name: self.models.SparseVector(indices=value[0], values=value[1])
            if name == "lexical"
            else value.tolist()
            for name, value in found.items()
        }

    def fuse(self, asked, weights, fusion, length):
        models = self.models
        lists = [
            models.Prefetch(query=value, using=name, limit=length)
            for name, value in self._own(asked).items()
        ]
        query = models.FusionQuery(fusion=models.Fusion(fusion))
        found = self.client.query_points("fields", prefetch=lists, query=query, limit=K)
        return [point.id for point in found.points]

    def close(self):
        self.client.close()


class Milvus:
    """One field a similarity, and hybrid_search's rankers."""

    fusions = ("rrf", "weighted")

    def __init__(self, folder):
        from fairseq_item.export.databases import milvus

        self.module = milvus
        self.client = milvus.MilvusClient(str(folder / "milvus.db"))
        self.database = milvus.Milvus(self.client)

    def write(self, fields, count):
        types = self.module.DataType
        schema = self.module.MilvusClient.create_schema()
        indexes = self.client.prepare_index_params()
        schema.add_field("row", types.INT64, is_primary=True)
        for name in fields.names:
            schema.add_field(name, types.FLOAT_VECTOR, dim=fields.items[name].shape[1])
            indexes.add_index(name, index_type="FLAT", metric_type="IP")
        if fields.terms:
            schema.add_field("lexical", types.SPARSE_FLOAT_VECTOR)
            indexes.add_index("lexical", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
        self.client.create_collection("fields", schema=schema, index_params=indexes)
        zeros = {name: [0.0] * fields.items[name].shape[1] for name in fields.names}
        if fields.terms:
            zeros["lexical"] = self.module.NOTHING
        for start in range(0, count, ROWS_A_TIME):
            rows = range(start, min(start + ROWS_A_TIME, count))
            self.client.insert(
                "fields", [{"row": row, **zeros, **self._own(fields.item(row))} for row in rows]
            )
        self.client.flush("fields")

    def _own(self, found):
        return {
            name: dict(zip(*value)) if name == "lexical" else value.tolist()
            for name, value in found.items()
        }

    def fuse(self, asked, weights, fusion, length):
        from pymilvus import AnnSearchRequest, RRFRanker, WeightedRanker

        lists = [
            AnnSearchRequest([value], name, {"metric_type": "IP"}, length)
            for name, value in self._own(asked).items()
        ]
        most = max(weights.values())
        ranker = WeightedRanker(*(weights[name] / most for name in asked))
        if fusion == "rrf":
            ranker = RRFRanker()
        [found] = self.client.hybrid_search("fields", lists, ranker, limit=K)
        return [hit["row"] for hit in found]

    def close(self):
        self.client.close()


class PgVector:
    """No fusion of its own."""

    fusions = ()

    def __init__(self, folder):
        import pgserver

        from fairseq_item.export.databases.pgvector import PgVector

        self.server = pgserver.get_server(folder / "postgres")
        self.database = PgVector(self.server.get_uri())

    def close(self):
        self.database.connection.close()
        self.server.cleanup()


ENGINES = {"qdrant": Qdrant, "milvus": Milvus, "pgvector": PgVector}


@contextmanager
def opened(name):
    """An engine in a folder of its own, gone afterwards."""
    folder = Path(tempfile.mkdtemp())
    engine = ENGINES[name](folder)
    try:
        yield engine
    finally:
        engine.close()
        shutil.rmtree(folder, ignore_errors=True)


def overlap(found, truth):
    """Mean share of the true answers that were found."""
    shares = [len(set(f) & set(t)) / len(t) for f, t in zip(found, truth) if len(t)]
    return round(float(np.mean(shares)), 3)


def timed(answer, count):
    """The answers to queries 0 to ``count``, and milliseconds a query."""
    start = time.perf_counter()
    found = [answer(query) for query in range(count)]
    return found, round((time.perf_counter() - start) / count * 1e3, 1)


def compare(name, fields, items, queries, truth):
    """Rows of the table of one database: list of dicts."""
    rows = []
    with opened(name) as engine:
        if engine.fusions:
            engine.write(fields, len(items))
        for fusion in engine.fusions:
            for length in LENGTHS:

                def own(query, fusion=fusion, length=length):
                    asked = fields.asked(query)
                    return engine.fuse(asked, fields.weights, fusion, length) if asked else []

                found, ms = timed(own, len(truth))
                way = f"per field, {fusion} of first {length}"
                rows.append({"database": name, "way": way, "overlap": overlap(found, truth)})
                rows[-1]["ms"] = ms
        engine.database.write(items)
        position = {item: row for row, item in enumerate(items.ids)}
        answers = search(engine.database, queries, K)
        found, ms = timed(lambda _: [position[item] for item, _ in next(answers)[1]], len(truth))
        way = "one vector" + (" and sparse rows" if items.lexical is not None else "")
        rows.append({"database": name, "way": way, "overlap": overlap(found, truth), "ms": ms})
    return rows


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    p.add_argument("index")
    p.add_argument("queries", help="folder of embeddings")
    p.add_argument("--weights", type=float, nargs="+", help="default: the index's own")
    p.add_argument("--databases", nargs="+", default=list(ENGINES), choices=ENGINES)
    p.add_argument("--first", type=int, default=1000, help="queries asked, at most")
    args = p.parse_args(argv)
    warnings.filterwarnings("ignore", "Local mode")
    index, embedded = ItemIndex.load(args.index), Embeddings.load(args.queries)
    fuser = sum_fuser(index, weights=args.weights)
    with tempfile.TemporaryDirectory() as folder:
        write_items(index, fuser, f"{folder}/items")
        write_queries(index, fuser, embedded, f"{folder}/queries")
        items, queries = FusedFolder.load(f"{folder}/items"), FusedFolder.load(f"{folder}/queries")
        asked = embedded.queries()
        found = fused_search(index, asked, K, "sum", fuser.weights)
        truth = [rows[rows >= 0].tolist() for rows in found.rows][: args.first]
        fields = Fields(index, fuser, asked, items, queries)
        for name in args.databases:
            for row in compare(name, fields, items, queries, truth):
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
