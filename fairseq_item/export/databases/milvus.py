"""Fused vectors in Milvus, a cluster or a local file (``pip install 'fairseq-item[milvus]'``)."""

from pymilvus import DataType, MilvusClient

from fairseq_item.errors import InputError
from fairseq_item.export.databases.search import Database
from fairseq_item.search.fused_vectors import masks
from fairseq_item.search.lexical import COLUMNS

ROWS_A_TIME = 500
DENSE, SPARSE = "fused", "lexical"
LONGEST_ID = 65535
# Milvus takes no empty sparse rows: a column that no query has.
NOTHING = {COLUMNS: 1.0}


class Milvus(Database):
    """A collection.

    Args:
        client: ``MilvusClient``, or what it takes for ``uri``: an address, or a name that ends in
            ".db" for milvus-lite.
        collection: its name.
        index: of the vectors; "FLAT" compares with every one.
    """

    most = 16384

    def __init__(self, client, collection="products", index="FLAT"):
        self.client = client if isinstance(client, MilvusClient) else MilvusClient(client)
        self.collection, self.index = collection, index

    def write(self, folder):
        if self.client.has_collection(self.collection):
            raise InputError(f"Milvus has a collection {self.collection} already; name another")
        schema, indexes = MilvusClient.create_schema(), self.client.prepare_index_params()
        schema.add_field("row", DataType.INT64, is_primary=True)
        schema.add_field("id", DataType.VARCHAR, max_length=LONGEST_ID)
        schema.add_field("has", DataType.INT64)
        schema.add_field(DENSE, DataType.FLOAT_VECTOR, dim=folder.vectors.shape[1])
        indexes.add_index(DENSE, index_type=self.index, metric_type="IP")
        if folder.lexical is not None:
            schema.add_field(SPARSE, DataType.SPARSE_FLOAT_VECTOR)
            indexes.add_index(SPARSE, index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
        self.client.create_collection(self.collection, schema=schema, index_params=indexes)
        for start in range(0, len(folder), ROWS_A_TIME):
            self.client.insert(self.collection, list(_rows(folder, start)))
        self.client.flush(self.collection)

    def dense(self, vector, having, k, among=None):
        return self._search(vector.tolist(), DENSE, k, [f"has in {having}"], among)

    def sparse(self, columns, weights, k, among=None):
        return self._search(dict(zip(columns, weights)), SPARSE, k, [], among)

    def _search(self, asked, field, k, conditions, among):
        if among is not None:
            conditions = [*conditions, f"row in {among}"]
        [found] = self.client.search(
            self.collection,
            [asked],
            filter=" and ".join(conditions),
            limit=k,
            anns_field=field,
            search_params={"metric_type": "IP"},
            consistency_level="Strong",
        )
        return {hit["row"]: hit["distance"] for hit in found}

    def ids(self, rows):
        found = self.client.get(self.collection, rows, output_fields=["row", "id"])
        return {entry["row"]: entry["id"] for entry in found}


def _rows(folder, start):
    """Items from ``start`` on, as Milvus takes them."""
    some = slice(start, start + ROWS_A_TIME)
    ids, vectors, has = folder.ids[some], folder.vectors[some], masks(folder.present[some])
    for place, row in enumerate(range(start, start + len(ids))):
        entry = {"row": row, "id": ids[place], "has": int(has[place])}
        entry[DENSE] = vectors[place].tolist()
        if folder.lexical is not None:
            terms = folder.lexical[row]
            entry[SPARSE] = dict(zip(terms.indices.tolist(), terms.data.tolist())) or NOTHING
        yield entry
