"""The passages that may be found: those of documents that meet a condition, with the phrases that must occur."""

from __future__ import annotations

from dataclasses import dataclass
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

_LISTED = 30
_LOOKED_AT = 10_000


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a passage must be to be found.

    Args:
        where: A condition on its document, or None.
        required: An FTS5 expression that it matches; empty for none.
        excluded: One that it does not.
    """

    where: str | None = None
    required: str = ""
    excluded: str = ""

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self.where is not None or self.required or self.excluded)


class Selection:
    """The chunks selected last: the same narrowing of the same commit is not asked for again."""

    def __init__(self, catalog: Catalog, /) -> None:
        self._catalog = catalog
        self._key: tuple[Narrowing, int] | None = None
        self._chunks: IntArray | None = None
        define(catalog.db)
        catalog.db.execute("PRAGMA temp_store = MEMORY")
        catalog.db.execute(f"CREATE TABLE {TABLE} (chunk INTEGER PRIMARY KEY)")

    def chunks(self, narrowing: Narrowing, version: int, /) -> IntArray:
        """Return the chunks that may be found, int64 ascending; `TABLE` holds them too.

        Args:
            narrowing: What is left out.
            version: The number of the snapshot.

        Raises:
            UsageError: `where` is not a condition, or no document has such a column.
        """
        if self._chunks is not None and self._key == (narrowing, version):
            return self._chunks
        self._key = None
        self._chunks = self._select(narrowing)
        self._key = narrowing, version
        return self._chunks

    def _select(self, narrowing: Narrowing) -> IntArray:
        import numpy as np

        parts: list[str] = []
        values: list[str | int | float] = []
        if narrowing.where is not None:
            condition = parse(narrowing.where)
            self._check(condition)
            found = documents_where(condition)
            parts.append(f"document IN ({found.text})")
            values += found.values
        for expression, word in ((narrowing.required, "IN"), (narrowing.excluded, "NOT IN")):
            if expression:
                parts.append(f"id {word} (SELECT rowid FROM fulltext WHERE fulltext MATCH ?)")
                values.append(expression)
        db = self._catalog.db
        db.execute(f"DELETE FROM {TABLE}")
        db.execute(f"INSERT INTO {TABLE} SELECT id FROM chunks WHERE {' AND '.join(parts)}", values)
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
