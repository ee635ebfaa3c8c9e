"""The passages that may be found: those of documents that meet a condition, with the phrases that must occur."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jnlp.errors import UsageError
from jnlp_search.store.posting import find_in
from jnlp_search.store.postings import all_chunks, numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import IntArray
    from jnlp_search.store.catalog import Catalog
    from jnlp_search.where.sql import Sql

MOST_BYTES = 1 << 24
"""Chunks that meet the last conditions, kept in memory by shard."""

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
    """The chunks selected last: the same condition of the same commit is not asked for again."""

    def __init__(self, catalog: Catalog, /) -> None:
        self._catalog = catalog
        self._version: int | None = None
        self._meeting: OrderedDict[str, IntArray] = OrderedDict()  # the chunks that meet a condition
        self._last: tuple[Narrowing, IntArray] | None = None
        self._defined = False

    def has(self, where: str, version: int, /) -> bool:
        """Return True if the chunks that meet a condition in a snapshot are known."""
        return self._version == version and where in self._meeting

    def chunks(self, narrowing: Narrowing, version: int, /) -> IntArray:
        """Return the chunks that may be found, int64 ascending; the same array for the same narrowing.

        Args:
            narrowing: What is left out; its columns are known.
            version: The number of the snapshot.
        """
        if self._version != version:
            self._meeting.clear()
            self._version, self._last = version, None
        if self._last is None or self._last[0] != narrowing:
            self._last = narrowing, self._select(narrowing)
        return self._last[1]

    def _select(self, narrowing: Narrowing) -> IntArray:
        found = None if narrowing.where is None else self._meet(narrowing.where)
        if narrowing.required:
            matching = self._match(narrowing.required)
            found = matching if found is None else found[find_in(found, matching)[1]]
        if narrowing.excluded:
            found = all_chunks(self._catalog.db) if found is None else found
            found = found[~find_in(found, self._match(narrowing.excluded))[1]]
        assert found is not None  # a narrowing leaves something out
        return found

    def _meet(self, where: str) -> IntArray:
        """Return the chunks of the documents that meet a condition; those of the last conditions are kept."""
        found = self._meeting.pop(where, None)
        if found is None:
            documents = self._documents(where)
            sql = f"SELECT group_concat(id) FROM chunks WHERE document IN ({documents.text})"
            found = self._listed(sql, documents.values)
        self._meeting[where] = found
        size = sum(one.nbytes for one in self._meeting.values())
        while size > MOST_BYTES and len(self._meeting) > 1:
            size -= self._meeting.popitem(last=False)[1].nbytes
        return found

    def _match(self, expression: str) -> IntArray:
        """Return the chunks that match an FTS5 expression."""
        return self._listed("SELECT group_concat(rowid) FROM fulltext WHERE fulltext MATCH ?", (expression,))

    def _listed(self, sql: str, values: Sequence[str | int | float]) -> IntArray:
        import numpy as np

        return np.sort(numbers(self._catalog.db.execute(sql, values).fetchone()[0]))

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
    if narrowing.where is not None and not all(shard.has(narrowing.where, version) for shard, version in shards):
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
