"""The passages of the documents that meet a condition: found before anything is searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.errors import UsageError
from jnlp_search.where.parse import parse
from jnlp_search.where.sql import define, documents_where
from jnlp_search.where.tree import BUILT_IN, columns

if TYPE_CHECKING:
    from jnlp.types import IntArray
    from jnlp_search.store.catalog import Catalog
    from jnlp_search.where.tree import Column, Condition

TABLE = "temp.selected"
"""The table of the selected chunks, of this connection alone."""

SMALL = 1_000
"""Of so few selected chunks the vectors are read and compared one by one."""

_LISTED = 30
_LOOKED_AT = 10_000


class Selection:
    """The chunks selected last: the same condition on the same commit is not asked for again."""

    def __init__(self, catalog: Catalog, /) -> None:
        self._catalog = catalog
        self._key: tuple[str, int] | None = None
        self._chunks: IntArray | None = None
        define(catalog.db)
        catalog.db.execute("PRAGMA temp_store = MEMORY")
        catalog.db.execute(f"CREATE TABLE {TABLE} (chunk INTEGER PRIMARY KEY)")

    def chunks(self, where: str, version: int, /) -> IntArray:
        """Return the chunks of the documents for which a condition is true, int64 ascending; `TABLE` holds them too.

        Args:
            where: The condition.
            version: The number of the snapshot.

        Raises:
            UsageError: It is no condition, or no document has such a column.
        """
        if self._chunks is not None and self._key == (where, version):
            return self._chunks
        self._key = None
        condition = parse(where)
        self._check(condition)
        self._chunks = self._select(condition)
        self._key = where, version
        return self._chunks

    def _select(self, condition: Condition) -> IntArray:
        import numpy as np

        db, found = self._catalog.db, documents_where(condition)
        db.execute(f"DELETE FROM {TABLE}")
        db.execute(f"INSERT INTO {TABLE} SELECT id FROM chunks WHERE document IN ({found.text})", found.values)
        return np.fromiter((row[0] for row in db.execute(f"SELECT chunk FROM {TABLE} ORDER BY chunk")), np.int64)

    def _check(self, condition: Condition) -> None:
        sql = "SELECT EXISTS (SELECT 1 FROM documents, json_each(documents.metadata) AS cell WHERE cell.key = ?)"
        for column in dict.fromkeys(columns(condition)):
            if column.name not in BUILT_IN and not self._catalog.db.execute(sql, (column.name,)).fetchone()[0]:
                raise self._unknown(column)

    def _unknown(self, column: Column) -> UsageError:
        sql = """SELECT DISTINCT cell.key FROM (SELECT metadata FROM documents LIMIT ?) AS some,
                 json_each(some.metadata) AS cell LIMIT ?"""
        keys = [row[0] for row in self._catalog.db.execute(sql, (_LOOKED_AT, _LISTED))]
        return UsageError(
            f"where, character {column.position}: no document has a column '{column.name}'",
            hint=f"there are: {', '.join(dict.fromkeys([*BUILT_IN, *keys]))}",
        )
