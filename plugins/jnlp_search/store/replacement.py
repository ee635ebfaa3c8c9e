"""A new index that grows next to the old one, in a folder within it, and takes its place in one commit."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp.io.durable import sync_folder
from jnlp_search.store import segments
from jnlp_search.store.catalog import NAME, SEGMENTS, Catalog
from jnlp_search.store.checks import is_machine

if TYPE_CHECKING:
    from pathlib import Path

    from jnlp_search.store.schema import Manifest

FOLDER = "rebuild"
_PAGES = 4_096


def prepare(folder: Path, manifest: Manifest | None = None, /) -> Path:
    """Return the folder in which the new index grows.

    One that a killed rebuild left is gone on with where its manifest is the same.

    Args:
        folder: The old index; the caller holds its lock.
        manifest: What the new index is made with; None begins again.
    """
    place = folder / FOLDER
    if not (manifest is not None and _goes_on(place, manifest)):
        discard(folder)
        (place / SEGMENTS).mkdir(parents=True)
        with Catalog.writing(place) as catalog, catalog.transaction():
            # File names of segments are never used twice, so that readers of the old index keep theirs.
            catalog.db.execute("INSERT INTO sqlite_sequence VALUES ('segments', ?)", (_last_segment(folder),))
    return place


def discard(folder: Path, /) -> None:
    """Remove what a killed rebuild left."""
    place = folder / FOLDER
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def put_in_place(folder: Path, /) -> None:
    """Make the new index the one in `folder`. Killed at any point, the old one or the new one is there, whole."""
    place = folder / FOLDER
    with Catalog.writing(place) as made:
        there = folder / SEGMENTS
        if not there.is_dir():
            there.unlink(missing_ok=True)
            there.mkdir()
        for segment in made.segments():
            target = there / segment.file
            if target.is_dir():
                shutil.rmtree(target)
            (place / SEGMENTS / segment.file).rename(target)
        sync_folder(there)
        copied = _copy(made, folder)
        if not copied:
            made.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if not copied:
        _swap_files(place, folder)
    with Catalog.writing(folder) as catalog:
        segments.remove_unnamed(catalog)
    discard(folder)


def _copy(made: Catalog, folder: Path) -> bool:
    """Copy the new catalogue's pages over the old one's in one transaction; False where the old file is no database."""
    if (folder / NAME).is_dir():
        return False
    old = sqlite3.connect(folder / NAME, isolation_level=None, timeout=60)
    try:
        old.execute("PRAGMA synchronous = FULL")
        made.db.backup(old, pages=_PAGES)
    except sqlite3.DatabaseError as error:
        if is_machine(error):
            raise
        return False
    finally:
        old.close()
    return True


def _swap_files(place: Path, folder: Path) -> None:
    """Put the new file where a damaged one is; the log of the damaged one goes first, since it would be applied."""
    path = folder / NAME
    for ending in ("-wal", "-shm"):
        path.with_name(NAME + ending).unlink(missing_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    (place / NAME).replace(path)
    sync_folder(folder)


def _goes_on(place: Path, manifest: Manifest) -> bool:
    with suppress(JnlpError, OSError, sqlite3.Error), Catalog.reading(place) as catalog:
        return catalog.manifest() == manifest
    return False


def _last_segment(folder: Path) -> int:
    """Return the greatest number that a segment of the old index has or had."""
    there = folder / SEGMENTS
    names = os.listdir(there) if there.is_dir() else []  # noqa: PTH208 - names only
    numbers = [int(name[:6]) for name in names if name[:6].isascii() and name[:6].isdigit()]
    with suppress(JnlpError, sqlite3.Error), Catalog.reading(folder) as catalog:
        row = catalog.db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'segments'").fetchone()
        numbers += [int(row[0])] if row else []
    return max(numbers, default=0)
