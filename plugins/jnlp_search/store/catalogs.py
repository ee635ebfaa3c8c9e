"""The catalogues of an index's shards, open for writing. An index without shards has one."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from jnlp_search.store.catalog import Catalog
from jnlp_search.store.shards import shard_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from jnlp_search.store.entries import Document


class Catalogs:
    """The catalogues of an index; the first also says which roots and sources there are.

    Args:
        catalogs: In the order of the shards.
    """

    def __init__(self, catalogs: Sequence[Catalog], /) -> None:
        self.all = catalogs
        self.first = catalogs[0]
        last = [catalog.last_numbers() for catalog in catalogs]
        self._document, self._chunk = max(number for number, _ in last), max(number for _, number in last)

    @classmethod
    @contextmanager
    def writing(cls, folders: Sequence[Path], /) -> Iterator[Catalogs]:
        """Open the catalogues in some folders, or create them; the caller holds the writer's lock."""
        with ExitStack() as opened:
            yield cls([opened.enter_context(Catalog.writing(folder)) for folder in folders])

    def number_of(self, document: Document, /) -> int:
        """Return the number of the shard that a document belongs to."""
        return shard_of(document.identity, len(self.all))

    def of(self, document: Document, /) -> Catalog:
        """Return the catalogue that a document belongs to."""
        return self.all[self.number_of(document)]

    def next_document(self) -> int:
        """Return the number for the next document of the index."""
        self._document += 1
        return self._document

    def next_chunk(self) -> int:
        """Return the number for the next passage of the index."""
        self._chunk += 1
        return self._chunk

    def align(self) -> None:
        """Give all shards the roots and sources of the first, which a kill may have kept from them."""
        for table in ("roots", "sources"):
            sql = f"SELECT * FROM {table} ORDER BY 1, 2"
            rows = self.first.db.execute(sql).fetchall()
            for catalog in self.all[1:]:
                if catalog.db.execute(sql).fetchall() == rows:
                    continue
                with catalog.transaction():
                    catalog.db.execute("PRAGMA defer_foreign_keys = ON")  # sources are next
                    catalog.db.execute(f"DELETE FROM {table}")
                    marks = ", ".join("?" * (3 if rows else 1))
                    catalog.db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
