"""How many passages of an index have a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jnlp_search.store.catalog import Catalog

_TABLE = "temp.terms"
_MOST = 10_000


class Terms:
    """Counts of one connection; those of the last commit are kept."""

    def __init__(self, catalog: Catalog, /) -> None:
        self._db = catalog.db
        self._version: int | None = None
        self._held: dict[str, int] = {}
        self._count = 0
        self._db.execute("PRAGMA temp_store = MEMORY")
        self._db.execute(f"CREATE VIRTUAL TABLE {_TABLE} USING fts5vocab(main, fulltext, row)")

    def counts(self, words: Iterable[str], version: int, /) -> tuple[int, dict[str, int]]:
        """Return the number of passages, and for each word the number of passages that have it.

        Args:
            words: Index words, as the analyser gives them.
            version: The number of the snapshot.
        """
        if version != self._version or len(self._held) > _MOST:
            self._version, self._held = version, {}
            self._count = int(self._db.execute("SELECT count(*) FROM chunks").fetchone()[0])
        for word in words:
            if word not in self._held:
                row = self._db.execute(f"SELECT doc FROM {_TABLE} WHERE term = ?", (word,)).fetchone()
                self._held[word] = int(row[0]) if row else 0
        return self._count, {word: self._held[word] for word in words}
