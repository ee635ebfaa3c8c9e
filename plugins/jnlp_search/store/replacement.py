"""Builds a new index in a folder inside the old one, and replaces the old one in one commit."""

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
from jnlp_search.store.schema import READ, UPGRADED

if TYPE_CHECKING:
    from pathlib import Path

    from jnlp_search.store.schema import Manifest

FOLDER = "rebuild"
_PAGES = 4_096


def prepare(folder: Path, manifest: Manifest | None = None, /) -> Path:
    """Return the folder for the new index.

    If a killed rebuild left one with the same manifest, it is continued.

    Args:
        folder: The old index; the caller holds its lock.
        manifest: The settings of the new index; None starts from scratch.
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
    """Remove the files of a killed rebuild."""
    place = folder / FOLDER
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def put_in_place(folder: Path, /) -> None:
    """Replace the index in `folder` by the new one. A kill at any point leaves either of them intact."""
    place = folder / FOLDER
    with Catalog.writing(place) as made:
        there = folder / SEGMENTS
        if not there.is_dir():
            there.unlink(missing_ok=True)
            there.mkdir()
        for name in (name for segment in made.segments() for name in segment.files):
            target = there / name
            if target.is_dir():
                shutil.rmtree(target)
            (place / SEGMENTS / name).rename(target)
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
    """Copy the new catalogue's pages over the old one's in one transaction; False if the old file is not a database."""
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
    """Replace a damaged catalogue file. Its write-ahead log is removed first, since SQLite would apply it."""
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
    with suppress(JnlpError, sqlite3.Error), Catalog.reading(folder, formats=(*READ, UPGRADED)) as catalog:
        row = catalog.db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'segments'").fetchone()
        numbers += [int(row[0])] if row else []
    return max(numbers, default=0)
