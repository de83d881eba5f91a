"""Fused vectors in PostgreSQL with pgvector (``pip install 'fairseq-item[pgvector]'``).

Vectors lie in a table; the terms of titles in a second one, a row a term: a join adds them up.
"""

import psycopg
from psycopg import sql

from fairseq_item.errors import InputError
from fairseq_item.export.databases.search import Database
from fairseq_item.search.fused_vectors import masks

MAKE = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE {items} ("row" bigint PRIMARY KEY, id text, has int, fused vector({size}));
CREATE TABLE {terms} ("row" bigint, "column" int, weight float4)
"""
DENSE = """
SELECT "row", -(fused <#> %(vector)s::vector) FROM {items}
WHERE has = ANY(%(having)s) AND (%(among)s::bigint[] IS NULL OR "row" = ANY(%(among)s))
ORDER BY fused <#> %(vector)s::vector LIMIT %(k)s
"""
SPARSE = """
SELECT "row", sum(found.weight::float8 * asked.weight) AS score FROM {terms} AS found
JOIN unnest(%(columns)s::int[], %(weights)s::float8[]) AS asked ("column", weight)
USING ("column")
WHERE %(among)s::bigint[] IS NULL OR "row" = ANY(%(among)s)
GROUP BY "row" ORDER BY score DESC LIMIT %(k)s
"""
IDS = 'SELECT "row", id FROM {items} WHERE "row" = ANY(%(rows)s)'


class PgVector(Database):
    """Two tables, ``NAME`` and ``NAME_terms``.

    Args:
        connection: ``psycopg.Connection``, or the address that it takes.
        name: of the tables.
    """

    def __init__(self, connection, name="products"):
        if isinstance(connection, str):
            connection = psycopg.connect(connection)
        self.connection = connection
        self._names = {
            "items": sql.Identifier(name),
            "terms": sql.Identifier(f"{name}_terms"),
        }

    def _run(self, query, **values):
        with self.connection.transaction():
            return self.connection.execute(query, values).fetchall()

    def _text(self, query, **more):
        return sql.SQL(query).format(**self._names, **more)

    def write(self, folder):
        size = sql.Literal(folder.vectors.shape[1])
        try:
            with self.connection.transaction():
                self.connection.execute(self._text(MAKE, size=size))
                self._copy(folder)
                self.connection.execute(self._text('CREATE INDEX ON {terms} ("column")'))
        except psycopg.errors.DuplicateTable as error:
            raise InputError(f"PostgreSQL: {error.diag.message_primary}; name another") from None

    def _copy(self, folder):
        cursor, has = self.connection.cursor(), masks(folder.present)
        with cursor.copy(self._text("COPY {items} FROM STDIN")) as copy:
            for row, name in enumerate(folder.ids):
                copy.write_row((row, name, int(has[row]), str(folder.vectors[row].tolist())))
        if folder.lexical is None:
            return
        with cursor.copy(self._text("COPY {terms} FROM STDIN")) as copy:
            for row in range(len(folder)):
                terms = folder.lexical[row]
                for column, weight in zip(terms.indices.tolist(), terms.data.tolist()):
                    copy.write_row((row, column, weight))

    def dense(self, vector, having, k, among=None):
        asked = {"vector": str(vector.tolist()), "having": having, "k": k, "among": among}
        return dict(self._run(self._text(DENSE), **asked))

    def sparse(self, columns, weights, k, among=None):
        asked = {"columns": columns, "weights": weights, "k": k, "among": among}
        return dict(self._run(self._text(SPARSE), **asked))

    def ids(self, rows):
        return dict(self._run(self._text(IDS), rows=rows))
