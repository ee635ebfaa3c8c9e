"""Checksums over everything a search reads, and one clear error for a damaged index.

Rows of documents and chunks have a CRC each, and rows of vectors a checksum, checked when they are read. The segments,
the tombstones and the manifest are small and read completely: they share one CRC, the *seal*, which the last commit of
a build writes and which is checked when an index is opened. The full text has another, which is checked then too if the
index is small, and by each writer. During a build there is no seal.
"""

from __future__ import annotations

import sqlite3
import zlib
from array import array
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp_search.store.shards import index_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_SEALED = ("manifest", "roots", "sources", "segments", "(SELECT chunk, NULL FROM tombstones)")
_WORDS = ("fulltext_idx", "fulltext_config")
_LENGTHS = "SELECT id, sz FROM fulltext_docsize ORDER BY id"
_BLOCKS = "SELECT block FROM fulltext_data ORDER BY id"
_COUNTED = ("documents", "chunks")
_SLICE = 2_000

_BUSY = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_NOMEM,
    }
)
"""SQLite errors that concern the machine, not the file."""


class DamagedIndexError(JnlpError):
    """An index contains data that jnlp did not write.

    Args:
        folder: The index.
        what: The damage and its place.
    """

    def __init__(self, folder: Path, what: object, /) -> None:
        index = index_of(folder)
        super().__init__(
            f"{folder} is damaged: {what}",
            hint=f"jnlp index repair {index} keeps the intact documents; "
            f"jnlp index PATH… --index {index} --rebuild builds it again",
        )


def row_crc(*values: object) -> int:
    """Return the CRC-32 of a row's values; a number as text and as an integer differ.

    Example:
        >>> row_crc(1, "猫") == row_crc(1, "猫"), row_crc(1) == row_crc("1")
        (True, False)
    """
    return zlib.crc32(repr(values).encode("utf-8", "backslashreplace"))


def text_crc(text: str, /) -> int:
    """Return the CRC-32 of a text."""
    return zlib.crc32(text.encode("utf-8", "backslashreplace"))


def with_crc(data: bytes, crc: int, /) -> bytes:
    """Return data of a row after four bytes: the CRC-32 of it and of the row's `crc`."""
    return zlib.crc32(data, crc & 0xFFFFFFFF).to_bytes(4, "little") + data


def without_crc(data: object, crc: int, /) -> bytes | None:
    """Return what `with_crc` was given; None if it was changed."""
    if not isinstance(data, bytes) or len(data) < 5 or with_crc(data[4:], crc) != data:
        return None
    return data[4:]


def vector_crc(chunk: int, vector: bytes, /) -> int:
    """Return the CRC-32 of a chunk's vector in an index of format 4."""
    return zlib.crc32(vector, chunk & 0xFFFFFFFF)


def seal_of(db: sqlite3.Connection, /) -> int:
    """Return the CRC-32 of the small tables without a CRC in each row, and of the numbers of rows of others."""
    crc = 0
    for table in _SEALED:
        crc = _crc_of(db.execute(f"SELECT * FROM {table} ORDER BY 1, 2"), crc)
    counts = [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in _COUNTED]
    return zlib.crc32(repr(counts).encode(), crc)


def words_of(db: sqlite3.Connection, /) -> int:
    """Return the CRC-32 of the full text."""
    crc = 0
    for table in _WORDS:
        crc = _crc_of(db.execute(f"SELECT * FROM {table} ORDER BY 1, 2"), crc)
    lengths = db.execute(_LENGTHS)
    while part := lengths.fetchmany(_SLICE):
        crc = zlib.crc32(_packed(part), crc)
    count = 0
    for count, (block,) in enumerate(db.execute(_BLOCKS), 1):  # noqa: B007 - the last number
        crc = zlib.crc32(block if isinstance(block, bytes) else repr(block).encode(), crc)
    return zlib.crc32(repr(count).encode(), crc)


def _packed(rows: Sequence[tuple[Any, Any]]) -> bytes:
    """Return rows of a number and bytes as bytes; what is of other types is damaged, and given in another way."""
    try:
        return array("q", [row[0] for row in rows]).tobytes() + b"".join([row[1] for row in rows])
    except (TypeError, OverflowError):
        return repr(rows).encode("utf-8", "backslashreplace")


def _crc_of(rows: sqlite3.Cursor, crc: int) -> int:
    while part := rows.fetchmany(_SLICE):
        crc = zlib.crc32(repr(part).encode("utf-8", "backslashreplace"), crc)
    return crc


@contextmanager
def damage_reported(folder: Path, /, *, reading: bool = False) -> Iterator[None]:
    """Turn SQLite's errors about a damaged catalogue into a `DamagedIndexError`.

    A full disk, a lock or a missing permission is not damage: it is raised unchanged, or with `reading` as a JnlpError.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.ProgrammingError | sqlite3.NotSupportedError):
            raise
        if is_machine(error):
            if not reading:
                raise
            raise JnlpError(f"{folder} cannot be read: {error}", hint="jnlp doctor checks this machine") from error
        raise DamagedIndexError(folder, f"catalog.sqlite cannot be read: {error}") from error
    except UnicodeDecodeError as error:  # SQLite's own message quotes the schema, which is damaged
        raise DamagedIndexError(folder, "catalog.sqlite cannot be read: its schema is no text") from error


def is_machine(error: Any, /) -> bool:
    """Return True if an SQLite error concerns the machine: a full disk, a lock, a permission."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF) in _BUSY
