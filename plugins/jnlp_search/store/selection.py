"""The passages that may be found: those of documents that meet a condition, with the phrases that must occur."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jnlp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import IntArray
    from jnlp_search.store.catalog import Catalog
    from jnlp_search.where.sql import Sql

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
        self._defined = False

    def has(self, narrowing: Narrowing, version: int, /) -> bool:
        """Return True if a narrowing of a snapshot is the one that was selected last."""
        return self._chunks is not None and self._key == (narrowing, version)

    def chunks(self, narrowing: Narrowing, version: int, /) -> IntArray:
        """Return the chunks that may be found, int64 ascending.

        Args:
            narrowing: What is left out; its columns are known.
            version: The number of the snapshot.
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
            found = self._documents(narrowing.where)
            parts.append(f"document IN ({found.text})")
            values += found.values
        for expression, word in ((narrowing.required, "IN"), (narrowing.excluded, "NOT IN")):
            if expression:
                parts.append(f"id {word} (SELECT rowid FROM fulltext WHERE fulltext MATCH ?)")
                values.append(expression)
        sql = f"SELECT id FROM chunks WHERE {' AND '.join(parts)}"
        return np.sort(np.fromiter((row[0] for row in self._catalog.db.execute(sql, values)), np.int64))

    def _documents(self, where: str) -> Sql:
        """Return the SELECT of the numbers of the documents that meet a condition."""
        from jnlp_search.where.parse import parse
        from jnlp_search.where.sql import define, documents_where

        if not self._defined:
            define(self._catalog.db)
            self._defined = True
        return documents_where(parse(where))

    def has_column(self, name: str, /) -> bool:
        """Return True if a document has a column."""
        sql = "SELECT EXISTS (SELECT 1 FROM documents, json_each(documents.metadata) AS cell WHERE cell.key = ?)"
        return bool(self._catalog.db.execute(sql, (name,)).fetchone()[0])

    def columns(self) -> list[str]:
        """Return the columns of the first documents."""
        sql = """SELECT DISTINCT cell.key FROM (SELECT metadata FROM documents LIMIT ?) AS some,
                 json_each(some.metadata) AS cell LIMIT ?"""
        return [row[0] for row in self._catalog.db.execute(sql, (_LOOKED_AT, _LISTED))]


def select(shards: Sequence[tuple[Selection, int]], narrowing: Narrowing, /) -> list[IntArray]:
    """Return the chunks that may be found in each shard of an index, int64 ascending.

    Args:
        shards: The selection of each, and the number of its snapshot.
        narrowing: What is left out.

    Raises:
        UsageError: `where` is not a condition, or no document has such a column.
    """
    if narrowing.where is not None and not all(shard.has(narrowing, version) for shard, version in shards):
        from jnlp_search.where.parse import parse
        from jnlp_search.where.tree import BUILT_IN, columns

        for column in dict.fromkeys(columns(parse(narrowing.where))):
            if column.name not in BUILT_IN and not any(shard.has_column(column.name) for shard, _ in shards):
                keys = [key for shard, _ in shards for key in shard.columns()]
                raise UsageError(
                    f"where, character {column.position}: no document has a column '{column.name}'",
                    hint=f"there are: {', '.join(list(dict.fromkeys([*BUILT_IN, *keys]))[: len(BUILT_IN) + _LISTED])}",
                )
    return [shard.chunks(narrowing, version) for shard, version in shards]
