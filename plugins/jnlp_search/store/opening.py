"""Opens the file of a catalogue for reading, also on read-only media; an emptied one is not taken for a new one."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp_search.store.checks import DamagedIndexError
from jnlp_search.store.shards import CATALOG as NAME
from jnlp_search.store.shards import SEGMENTS

if TYPE_CHECKING:
    from pathlib import Path

_NO_LOCKS = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})


def refuse_emptied(folder: Path) -> None:
    """Raise if the catalogue has become an empty file, which SQLite would open as a new database."""
    path = folder / NAME
    if path.is_dir():
        raise DamagedIndexError(folder, f"{NAME} is a folder")
    if path.is_file() and not path.stat().st_size and not _has_data(folder / f"{NAME}-wal"):
        there = folder / SEGMENTS
        if there.is_dir() and any(there.iterdir()):
            raise DamagedIndexError(folder, f"{NAME} is empty")


def _has_data(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def read_only(path: Path) -> sqlite3.Connection:
    """Open for reading. On read-only media, where SQLite cannot lock, read without locks if the file is complete.

    Raises:
        JnlpError: A killed writer left commits in the write-ahead log, which cannot be read without writing.
    """
    uri = path.resolve().as_uri()
    for mode in ("mode=ro", "mode=ro&immutable=1"):
        if "immutable" in mode and _has_data(path.with_name(f"{NAME}-wal")):
            raise JnlpError(
                f"{path.parent} cannot be read here: its last commits are in {NAME}-wal, and the folder is read-only",
                hint="copy the folder to a disk that can be written to, and search it there",
            )
        db = sqlite3.connect(f"{uri}?{mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=60)
        try:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            db.close()
            if "immutable" in mode or error.sqlite_errorcode & 0xFF not in _NO_LOCKS:
                raise
        except sqlite3.DatabaseError:
            db.close()
            raise
        else:
            return db
    raise AssertionError(path)
