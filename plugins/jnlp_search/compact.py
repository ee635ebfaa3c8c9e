"""Makes an index smaller: removes what deleted documents left in segment files, full text and the SQLite file."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from jnlp.types import CompactReport
from jnlp_search.store import replacement, segments
from jnlp_search.store.heal import heal
from jnlp_search.store.shards import read_layout, remove_others
from jnlp_search.writing import changing

if TYPE_CHECKING:
    from pathlib import Path

    from jnlp_search.store.catalog import Catalog


def compact(folder: Path, /) -> CompactReport:
    """Rewrite segments without tombstones, merge the full text, and vacuum the catalogue; answers stay the same.

    Each step is one commit. After a kill at any point the index is intact, and compacting again completes it.

    Raises:
        UsageError: There is no index.
        JnlpError: Another process is writing, the index is damaged, or the disk is full: it takes up to as much free
            space as the catalogue.
    """
    before, tombstones = bytes_of(folder), 0
    with changing(folder) as catalogs:
        remove_others(folder, read_layout(folder))
        for catalog in catalogs.all:
            tombstones += _compact(catalog)
    return CompactReport(before, bytes_of(folder), tombstones)


def _compact(catalog: Catalog) -> int:
    """Compact a shard, and return the number of tombstones it had."""
    replacement.discard(catalog.folder)
    heal(catalog)
    tombstones = catalog.counts()["tombstones"]
    segments.compact(catalog)
    with catalog.transaction():
        catalog.db.execute("INSERT INTO fulltext (fulltext) VALUES ('optimize')")
    catalog.seal()
    # The commits above made `catalog.sum` obsolete: it is not compared with the file that VACUUM changes.
    _vacuum(catalog)
    return tombstones


def bytes_of(folder: Path, /) -> int:
    """Return the size of all files of an index; SQLite's shared memory is no part of it."""
    total = 0
    for file in folder.rglob("*"):
        if file.name.endswith("-shm"):
            continue
        with suppress(FileNotFoundError):  # a reader that closes removes its own files
            total += file.stat().st_size if file.is_file() else 0
    return total


def _vacuum(catalog: Catalog) -> None:
    catalog.db.execute("VACUUM")
    catalog.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
