"""Which files an index was made of, as they were when they were read: those that are still so are not read again.

A file counts as unchanged if its size, its times of content and of state, and its inode are the same, it is read in the
same way, and all of its documents are in the index. A file that was changed just before it was read is not recorded: it
may change again within the same tick of the file system's clock.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jnlp.strict_json import dumps
from jnlp_search.given import non_default
from jnlp_search.roots import canonical
from jnlp_search.store.checks import row_crc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from jnlp_search.roots import Roots
    from jnlp_search.store.catalogs import Catalogs

TICK = 2_000_000_000
"""Nanoseconds: the coarsest clock of a file system (FAT)."""

TABLE = """CREATE TABLE IF NOT EXISTS files (
    root INTEGER NOT NULL, path TEXT NOT NULL, about TEXT NOT NULL, documents INTEGER NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (root, path)) WITHOUT ROWID"""

_THERE = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'files')"
_KNOWN = "SELECT about, documents, crc FROM files WHERE root = ? AND path = ?"
_HELD = "SELECT count(*) FROM documents WHERE root = ? AND path = ?"
_TEMPORARY = """
CREATE TEMP TABLE looked (path TEXT PRIMARY KEY, about TEXT) WITHOUT ROWID;
CREATE TEMP TABLE kept (root INTEGER, path TEXT, PRIMARY KEY (root, path)) WITHOUT ROWID;
"""


class Look:
    """Tells for each file that is to be indexed if it must be read. Without a build that knows its files, all must.

    Args:
        read: How files are read: fields of `jnlp.io.ReadOptions`.
        first: Another function that tells it.
    """

    def __init__(self, read: Mapping[str, Any], first: Callable[[Path], bool] | None = None, /) -> None:
        from jnlp import __version__

        self._how = dumps({"jnlp": __version__, **non_default(read)}, ascii=True, default=str)
        self._first = first
        self.files: Files | None = None

    def __call__(self, path: Path, /) -> bool:
        """Return True if a file must be read."""
        if self._first is not None and not self._first(path):
            return False
        return self.files is None or self.files.must_read(path, self._how)


class Files:
    """The files of an index that is being written. They are kept in the catalogue of the first shard.

    Args:
        catalogs: Those of the shards.
        roots: The roots of the index.
        keep: Called with the number of documents of a file that need not be read.

    Attributes:
        reads_all: Whether all files must be read.
    """

    def __init__(self, catalogs: Catalogs, roots: Roots, keep: Callable[[int], None], /) -> None:
        self.reads_all = False
        self._catalogs, self._roots, self._keep = catalogs, roots, keep
        self._db = catalogs.first.db
        self._there = bool(self._db.execute(_THERE).fetchone()[0])
        for catalog in catalogs.all:
            catalog.db.executescript(_TEMPORARY)

    def must_read(self, path: Path, how: str, /) -> bool:
        """Return True if a file may have changed since it was read; else its documents count as given.

        Args:
            path: The file.
            how: How it is read.
        """
        now = time.time_ns()
        try:
            about = path.stat()
        except OSError:
            return True  # the reader says why
        whole = canonical(str(path))
        values = [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino, how]
        state = dumps(values, ascii=True)
        if not self.reads_all and self._is_known(whole, state):
            return False
        if now - max(about.st_mtime_ns, about.st_ctime_ns) > TICK:
            self._db.execute("INSERT OR REPLACE INTO looked VALUES (?, ?)", (whole, state))
        return True

    def forget(self, files: Iterable[tuple[int, str]], /) -> None:
        """Forget what is known of files whose documents are going to be changed.

        Args:
            files: Root and path of each.
        """
        if not self._there:
            return
        known = [file for file in dict.fromkeys(files) if self._db.execute(_KNOWN, file).fetchone() is not None]
        if known:
            with self._catalogs.first.transaction():
                self._db.executemany("DELETE FROM files WHERE root = ? AND path = ?", known)

    def record(self) -> None:
        """Record the files that were read in this run, except those with a document that failed."""
        sql = "SELECT path, about FROM looked WHERE path NOT IN (SELECT path FROM unread)"
        rows: list[tuple[int, str, str, int, int]] = []
        for path, about in self._db.execute(sql):
            place = self._roots.find(path)
            if place is not None and (held := self._held(place)):
                rows.append((*place, about, held, row_crc(*place, about, held)))
        if rows:
            with self._catalogs.first.transaction():
                self._db.execute(TABLE)
                self._db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", rows)

    def _is_known(self, whole: str, state: str) -> bool:
        """Return True if a file is in the index as it is now, and count its documents once."""
        place = self._roots.find(whole) if self._there else None
        if place is None:
            return False
        row = self._db.execute(_KNOWN, place).fetchone()
        if row is None or row[0] != state or row[2] != row_crc(*place, *row[:2]) or row[1] != self._held(place):
            return False
        new = [catalog.db.execute("INSERT OR IGNORE INTO kept VALUES (?, ?)", place) for catalog in self._catalogs.all]
        if new[0].rowcount:
            self._keep(row[1])
        return True

    def _held(self, place: tuple[int, str]) -> int:
        """Return how many documents of a file are in the index."""
        return sum(int(catalog.db.execute(_HELD, place).fetchone()[0]) for catalog in self._catalogs.all)
