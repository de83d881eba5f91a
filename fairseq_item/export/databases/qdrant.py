"""Fused vectors in Qdrant, a server or in memory (``pip install 'fairseq-item[qdrant]'``)."""

from qdrant_client import QdrantClient, models

from fairseq_item.errors import InputError
from fairseq_item.export.databases.search import Database
from fairseq_item.search.fused_vectors import masks

POINTS_A_TIME = 256
DENSE, SPARSE = "fused", "lexical"


class Qdrant(Database):
    """A collection.

    Args:
        client: ``QdrantClient``, or what it takes for ``location``: ":memory:" or an address.
        collection: its name.
        exact: compare with every vector, rather than by HNSW.
    """

    def __init__(self, client, collection="products", exact=True):
        self.client = client if isinstance(client, QdrantClient) else QdrantClient(client)
        self.collection = collection
        self._exact = models.SearchParams(exact=exact)

    def write(self, folder):
        if self.client.collection_exists(self.collection):
            raise InputError(f"Qdrant has a collection {self.collection} already; name another")
        size = folder.vectors.shape[1]
        vectors = models.VectorParams(size=size, distance=models.Distance.DOT)
        sparse = None if folder.lexical is None else {SPARSE: models.SparseVectorParams()}
        self.client.create_collection(self.collection, {DENSE: vectors}, sparse)
        for start in range(0, len(folder), POINTS_A_TIME):
            self.client.upsert(self.collection, list(_points(folder, start)))

    def dense(self, vector, having, k, among=None):
        has = models.FieldCondition(key="has", match=models.MatchAny(any=having))
        return self._query(vector.tolist(), DENSE, k, [has], among)

    def sparse(self, columns, weights, k, among=None):
        asked = models.SparseVector(indices=columns, values=weights)
        return self._query(asked, SPARSE, k, [], among)

    def _query(self, asked, using, k, conditions, among):
        if among is not None:
            conditions = [*conditions, models.HasIdCondition(has_id=among)]
        found = self.client.query_points(
            self.collection,
            query=asked,
            using=using,
            limit=k,
            query_filter=models.Filter(must=conditions) if conditions else None,
            search_params=self._exact,
            with_payload=False,
        )
        return {point.id: point.score for point in found.points}

    def ids(self, rows):
        points = self.client.retrieve(self.collection, rows, with_payload=["id"])
        return {point.id: point.payload["id"] for point in points}


def _points(folder, start):
    """Items from ``start`` on, as Qdrant takes them."""
    some = slice(start, start + POINTS_A_TIME)
    ids, vectors, has = folder.ids[some], folder.vectors[some], masks(folder.present[some])
    for place, row in enumerate(range(start, start + len(ids))):
        vector = {DENSE: vectors[place].tolist()}
        if folder.lexical is not None:
            terms = folder.lexical[row]
            vector[SPARSE] = models.SparseVector(
                indices=terms.indices.tolist(), values=terms.data.tolist()
            )
        payload = {"id": ids[place], "has": int(has[place])}
        yield models.PointStruct(id=row, vector=vector, payload=payload)
