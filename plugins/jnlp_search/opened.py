"""A folder with a catalogue, opened for searching: an index without shards, or one of its shards."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from jnlp_search.query.bm25 import Words
from jnlp_search.query.view import Part
from jnlp_search.store.catalog import Catalog
from jnlp_search.store.nearest import Segments
from jnlp_search.store.postings import MOST_BYTES, Postings
from jnlp_search.store.selection import Selection
from jnlp_search.store.vectors import GoneError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jnlp.types import IntArray
    from jnlp_search.store.entries import Root
    from jnlp_search.store.schema import Manifest

_TRIES = 5
_COMPARED = ("fingerprint", "dimension", "analyser")


class Opened:
    """A catalogue with its segments, words and selection; the caller serialises the calls.

    Args:
        folder: The folder.
        shards: How many shards the index has.
    """

    def __init__(self, folder: Path, shards: int = 1, /) -> None:
        self.catalog = Catalog.reading(folder)
        self._segments = Segments(folder)
        self._most = MOST_BYTES // shards
        self._selection: Selection | None = None
        self._postings: Postings | None = None
        self._manifest: tuple[int, Manifest | None] | None = None
        self._roots: tuple[int, dict[int, Root]] | None = None

    def manifest(self) -> Manifest | None:
        """Return the manifest of the last commit, or of the open snapshot; it is read again after another commit."""
        version = int(self.catalog.db.execute("PRAGMA data_version").fetchone()[0])
        if self._manifest is None or self._manifest[0] != version:
            self._manifest = version, self.catalog.manifest()
        return self._manifest[1]

    @property
    def selection(self) -> Selection:
        """What narrows a search."""
        if self._selection is None:
            self._selection = Selection(self.catalog)
        return self._selection

    @contextmanager
    def snapshot(self, manifest: Manifest, /) -> Iterator[int | None]:
        """Open a snapshot with its segments; yield its number, or None if it was made with other settings."""
        tries = _TRIES
        while True:
            with self.catalog.snapshot() as version:
                own = self.manifest()
                if own is None or any(getattr(own, name) != getattr(manifest, name) for name in _COMPARED):
                    yield None
                    return
                try:
                    self._segments.sync(self.catalog, manifest, version)
                except GoneError as error:  # a writer has merged segments since the snapshot: take the next one
                    tries -= 1
                    if not tries:
                        raise self.catalog.damaged(f"{error} is missing") from error
                    continue
                yield version
                return

    def part(self, version: int, among: IntArray | None, /) -> Part:
        """Return the open snapshot for the queries of a search.

        Args:
            version: Its number.
            among: The chunks to search, int64 ascending; None is all.
        """
        if self._postings is None:
            self._postings = Postings(self.catalog, most=self._most)
        self._postings.sync(version)
        if self._roots is None or self._roots[0] != version:
            self._roots = version, {root.id: root for root in self.catalog.roots()}
        return Part(self.catalog, self._segments, Words(self._postings, among), self._roots[1])

    def close(self) -> None:
        """Release the files."""
        self.catalog.close()
