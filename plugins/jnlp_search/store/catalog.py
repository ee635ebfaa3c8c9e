"""The catalogue of an index: one SQLite file with documents, passages, words and vectors."""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError, UsageError
from jnlp.strict_json import dumps
from jnlp_search.options import STORE_DEFAULTS
from jnlp_search.store import shards
from jnlp_search.store.checks import (
    DamagedIndexError,
    damage_reported,
    row_crc,
    seal_of,
    text_crc,
    with_crc,
    without_crc,
    words_of,
)
from jnlp_search.store.entries import Document, Passage, Root, Segment
from jnlp_search.store.formats import other_format
from jnlp_search.store.opening import read_only, refuse_emptied
from jnlp_search.store.schema import (
    ADD_OFFSETS,
    APPLICATION_ID,
    FORMAT,
    READ,
    TABLES,
    UPGRADED,
    UPGRADED_FIELDS,
    WITHOUT_OFFSETS,
    Manifest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from jnlp.types import IntArray
    from jnlp_search.offsets import IndexWords

NAME, SEGMENTS = shards.CATALOG, shards.SEGMENTS
_SLICE = 500  # variables of one SQL statement
_CRC = "crc"
_CACHE = "PRAGMA cache_size = -32768"  # KiB: large doclists of the full text are read again and again
QUICK = 1 << 26
"""Bytes of a catalogue up to which a search checks the full text when it opens the index."""

_NEXT_TEXTS = "SELECT id, crc, text, passage FROM chunks WHERE id > ? ORDER BY id LIMIT 1000"
_NEXT_WITHOUT = """SELECT id, crc, words, text, passage FROM chunks WHERE id > ? AND offsets IS NULL
                   ORDER BY id LIMIT 4096"""
_CHUNK = "SELECT id, crc, offsets, document, ordinal, start, stop, tokens, text, passage, place, same FROM chunks"
_DOCUMENT = ", ".join(field.name for field in dataclasses.fields(Document))


class Catalog:
    """An open catalogue. It can be read while another process writes; each transaction sees one commit."""

    def __init__(self, connection: sqlite3.Connection, path: Path, /) -> None:
        self.db = connection
        self.path = path
        self._version = FORMAT  # of the open snapshot, or when it was opened

    @property
    def folder(self) -> Path:
        """The index."""
        return self.path.parent

    @classmethod
    def writing(cls, folder: Path, /) -> Catalog:
        """Open the catalogue for writing, or create it; the caller must hold the writer's lock."""
        path = folder / NAME
        refuse_emptied(folder)
        # Two threads of one program may share it: the caller serialises them.
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=60)
        catalog = cls(db, path)
        try:
            with damage_reported(folder):
                if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    db.execute("PRAGMA journal_mode = WAL")
                    script = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT};"
                    db.executescript(f"BEGIN; {TABLES} {script} COMMIT;")
                catalog._check()
                db.execute("PRAGMA synchronous = FULL")
                if catalog.format == WITHOUT_OFFSETS:
                    db.executescript(f"BEGIN IMMEDIATE; {ADD_OFFSETS} COMMIT;")
                    catalog._version = FORMAT
                db.execute(_CACHE)
                db.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            db.close()
            raise
        return catalog

    @classmethod
    def reading(cls, folder: Path, /, *, formats: Sequence[int] = READ) -> Catalog:
        """Open the catalogue for reading only.

        Args:
            folder: The index.
            formats: The formats to open.

        Raises:
            UsageError: There is no catalogue.
            JnlpError: It cannot be read, is damaged, or has another format.
        """
        path = folder / NAME
        if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises for a name that is too long
            if shards.index_of(folder) != folder:
                raise DamagedIndexError(folder, f"{NAME} is missing")
            raise UsageError(f"there is no index at {folder}", hint=f"jnlp index PATH… --index {folder}")
        refuse_emptied(folder)
        with damage_reported(folder, reading=True):
            catalog = cls(read_only(path), path)
            try:
                catalog.db.execute(_CACHE)
                catalog._check(formats)
            except BaseException:
                catalog.close()
                raise
        return catalog

    @property
    def format(self) -> int:
        """The version of the index."""
        return int(self._value("PRAGMA user_version"))

    def _check(self, formats: Sequence[int] = READ) -> None:
        owner, version = self._value("PRAGMA application_id"), self._value("PRAGMA user_version")
        if owner != APPLICATION_ID:
            raise JnlpError(f"{self.path} is not an index of jnlp", hint="give --index another folder")
        if version not in formats:
            raise other_format(self.folder, version, self.db)
        self._version = int(version)

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a transaction with a durable commit; the seal is removed until `seal` is called."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            self.db.execute("UPDATE state SET commits = commits + 1, seal = NULL, words = NULL")
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    @contextmanager
    def snapshot(self) -> Iterator[int]:
        """Read from one commit; yield a number that changes when another connection has committed."""
        self.db.execute("BEGIN")
        try:
            self._version = self.format  # the snapshot is taken at the first read
            yield int(self._value("PRAGMA data_version"))
        finally:
            with suppress(sqlite3.DatabaseError):  # a damaged file cannot even end a reading
                self.db.execute("COMMIT")  # nothing was written but temporary tables, which stay
            if self.db.in_transaction:
                with suppress(sqlite3.DatabaseError):
                    self.db.execute("ROLLBACK")

    def _value(self, sql: str, *values: Any) -> Any:
        row = self.db.execute(sql, values).fetchone()
        return None if row is None else row[0]

    def damaged(self, what: object, /) -> DamagedIndexError:
        """Return the error for damage in this index."""
        return DamagedIndexError(self.folder, what)

    # --- manifest and seal -----------------------------------------------------------------------------------------

    def manifest(self) -> Manifest | None:
        """Return the settings that the index was made with, or None for a new one.

        Raises:
            DamagedIndexError: A key is missing, of a wrong type, or changed.
        """
        rows = dict(self.db.execute("SELECT key, value FROM manifest"))
        if not rows:
            if self._value("SELECT EXISTS (SELECT 1 FROM documents)"):
                raise self.damaged("the manifest is empty")
            return None
        try:
            values = {key: json.loads(value) for key, value in rows.items()}
            crc = values.pop(_CRC, None)
            fields = None
            if self.format == UPGRADED:
                values, fields = values | STORE_DEFAULTS, UPGRADED_FIELDS
            manifest = Manifest.of(values)
        except (ValueError, TypeError) as error:
            raise self.damaged(f"the manifest cannot be read: {error}") from error
        if crc != row_crc(*dataclasses.astuple(manifest)[:fields]):
            raise self.damaged("the manifest was changed")
        return manifest

    def set_manifest(self, manifest: Manifest, /) -> None:
        """Record the settings that the index is made with."""
        values = {**dataclasses.asdict(manifest), _CRC: row_crc(*dataclasses.astuple(manifest))}
        self.db.executemany(
            "INSERT OR REPLACE INTO manifest VALUES (?, ?)",
            [(key, dumps(value, ascii=True)) for key, value in values.items()],
        )

    def state(self) -> tuple[int, int | None]:
        """Return the number of commits, and the seal or None."""
        return self._state()[:2]

    def _state(self) -> tuple[int, int | None, int | None]:
        row = self.db.execute("SELECT commits, seal, words FROM state").fetchone()
        if row is None or not isinstance(row[0], int):
            raise self.damaged("the table 'state' has lost its row")
        return row[0], row[1], row[2]

    def seal(self) -> None:
        """Record the checksums of everything without row checksums, if there were commits since the last seal."""
        if self.state()[1] is None:
            with self.transaction():
                self.db.execute("UPDATE state SET seal = ?, words = ?", (seal_of(self.db), words_of(self.db)))

    def check_seal(self, *, quick: bool = False) -> None:
        """Compare with the seal, if there is one; during a build and after a killed build there is none.

        Args:
            quick: Leave out the full text of a large index, which takes seconds to read.

        Raises:
            DamagedIndexError: The full text, the segments or the manifest were changed.
        """
        _, sealed, words = self._state()
        whole = not quick or self._value("PRAGMA page_count") * self._value("PRAGMA page_size") <= QUICK
        if sealed is not None and (sealed != seal_of(self.db) or (whole and words != words_of(self.db))):
            raise self.damaged("the full text or the list of segments was changed")

    def counts(self) -> dict[str, int]:
        """Return the number of rows of the tables reported to users."""
        names = ("documents", "chunks", "segments", "tombstones")
        return {name: int(self._value(f"SELECT count(*) FROM {name}")) for name in names}

    # --- roots -----------------------------------------------------------------------------------------------------

    def roots(self) -> list[Root]:
        """Return the folders that were indexed."""
        return [Root(*row) for row in self.db.execute("SELECT id, path, label FROM roots ORDER BY id")]

    def add_root(self, path: str, label: str, /, *, number: int | None = None) -> Root:
        """Insert a root, under the next number if none is given, and return it."""
        made = self.db.execute("INSERT INTO roots VALUES (?, ?, ?)", (number, path, label))
        return Root(int(made.lastrowid or 0), path, label)

    def move_root(self, root: Root, /) -> None:
        """Replace a root's path and label."""
        self.db.execute("UPDATE roots SET path = ?, label = ? WHERE id = ?", (root.path, root.label, root.id))

    # --- documents and chunks --------------------------------------------------------------------------------------

    def document(self, identity: tuple[int, str, str], /) -> tuple[int, Document] | None:
        """Return the document with an identity, and its number."""
        found = list(self._documents("WHERE root = ? AND path = ? AND key = ?", identity))
        return found[0] if found else None

    def documents(self, numbers: Iterable[int] | None = None, /) -> Iterator[tuple[int, Document]]:
        """Yield documents with their numbers, all of them or those asked for."""
        if numbers is None:
            yield from self._documents("ORDER BY id", ())
            return
        wanted = list(numbers)
        for first in range(0, len(wanted), _SLICE):
            part = wanted[first : first + _SLICE]
            yield from self._documents(f"WHERE id IN ({', '.join('?' * len(part))})", part)

    def _documents(self, where: str, values: Sequence[object]) -> Iterator[tuple[int, Document]]:
        for number, crc, *columns in self.db.execute(f"SELECT id, crc, {_DOCUMENT} FROM documents {where}", values):
            if crc != row_crc(number, *columns):
                raise self.damaged(f"document {number} was changed ({_name(columns)})")
            yield number, Document(*columns)

    def last_numbers(self) -> tuple[int, int]:
        """Return the greatest numbers that a document and a chunk have, or have had."""
        rows = dict(self.db.execute("SELECT name, seq FROM sqlite_sequence"))
        return int(rows.get("documents", 0)), int(rows.get("chunks", 0))

    def add_document(self, document: Document, /, *, number: int | None = None) -> int:
        """Insert a document, under the next number if none is given, and return its number."""
        sql = f"INSERT INTO documents (id, {_DOCUMENT}, crc) VALUES ({', '.join('?' * 13)})"
        values = dataclasses.astuple(document)
        number = int(self.db.execute(sql, (number, *values, 0)).lastrowid or 0)
        self.db.execute("UPDATE documents SET crc = ? WHERE id = ?", (row_crc(number, *values), number))
        return number

    def set_details(self, number: int, document: Document, /) -> None:
        """Update the metadata of a document whose text is unchanged."""
        sql = "UPDATE documents SET named = ?, line = ?, encoding = ?, title = ?, metadata = ?, crc = ? WHERE id = ?"
        details = (document.named, document.line, document.encoding, document.title, document.metadata)
        self.db.execute(sql, (*details, row_crc(number, *dataclasses.astuple(document)), number))

    def delete_document(self, number: int, words: Callable[[str, str | None], IndexWords], /) -> None:
        """Remove a document and its chunks; their vectors in segment files become tombstones.

        Args:
            number: The document.
            words: Returns the words of a chunk as they were given to `add_chunk`: the full text does not keep them.
        """
        intact = True
        sql = "SELECT id, words, text FROM chunks WHERE document = ?"
        for chunk, crc, text in self.db.execute(sql, (number,)).fetchall():
            self.db.execute("INSERT INTO tombstones VALUES (?)", (chunk,))
            known = words(text, None).words
            if text_crc(known) != crc:  # other words would damage the full text
                intact = False
                continue
            self.db.execute("INSERT INTO fulltext (fulltext, rowid, words) VALUES ('delete', ?, ?)", (chunk, known))
        self.db.execute("DELETE FROM documents WHERE id = ?", (number,))
        if not intact:  # its text was damaged, or the words are found in another way now
            self.analyse(words)

    def analyse(self, words: Callable[[str, str | None], IndexWords], /) -> None:
        """Make the full text, and what is kept of offsets, again from the passages."""
        self.db.execute("INSERT INTO fulltext (fulltext) VALUES ('delete-all')")
        last = -1
        while part := self.db.execute(_NEXT_TEXTS, (last,)).fetchall():
            made = [(chunk, crc, words(text, shown)) for chunk, crc, text, shown in part]
            rows = [(chunk, own.words) for chunk, _, own in made]
            self.db.executemany("INSERT INTO fulltext (rowid, words) VALUES (?, ?)", rows)
            kept = [(text_crc(own.words), _offsets(own, crc), chunk) for chunk, crc, own in made]
            self.db.executemany("UPDATE chunks SET words = ?, offsets = ? WHERE id = ?", kept)
            last = part[-1][0]

    def add_offsets(self, words: Callable[[str, str | None], IndexWords], /) -> None:
        """Keep the offsets of the words of passages that have none, such as those of an earlier version.

        Raises:
            DamagedIndexError: A passage was changed.
        """
        last = -1
        while part := self.db.execute(_NEXT_WITHOUT, (last,)).fetchall():
            self.passages([chunk for chunk, *_ in part])  # raises if one was changed
            made = [(chunk, crc, known, words(text, shown)) for chunk, crc, known, text, shown in part]
            same = [(chunk, crc, own) for chunk, crc, known, own in made if text_crc(own.words) == known]
            if rows := [(_offsets(own, crc), chunk) for chunk, crc, own in same if own.offsets is not None]:
                with self.transaction():
                    self.db.executemany("UPDATE chunks SET offsets = ? WHERE id = ?", rows)
            last = part[-1][0]

    def add_chunk(
        self,
        document: int,
        ordinal: int,
        span: tuple[int, int],
        tokens: int,
        text: str,
        passage: str | None,
        place: str | None,
        same: bytes,
        words: IndexWords,
        *,
        number: int | None = None,
    ) -> int:
        """Insert a chunk with its full text and return its number; its vector follows."""
        sql = """INSERT INTO chunks (id, document, ordinal, start, stop, tokens, text, passage, place, same, words, crc,
                 offsets) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
        values = (document, ordinal, *span, tokens, text, passage, place, same)
        crc = row_crc(*values)
        row = (number, *values, text_crc(words.words), crc, _offsets(words, crc))
        chunk = int(self.db.execute(sql, row).lastrowid or 0)
        self.db.execute("INSERT INTO fulltext (rowid, words) VALUES (?, ?)", (chunk, words.words))
        return chunk

    def chunks_of(self, document: int, /) -> list[tuple[int, str]]:
        """Return the chunks of a document with the text that was embedded."""
        sql = "SELECT id, text FROM chunks WHERE document = ? ORDER BY ordinal"
        return self.db.execute(sql, (document,)).fetchall()

    def texts_of(self, chunks: Sequence[int], /) -> list[str]:
        """Return the texts that were embedded, in the order of the chunks.

        Raises:
            DamagedIndexError: One is missing or was changed.
        """
        found = {}
        for chunk, crc, _, *values in self._select(self._rows + " WHERE id IN ({})", chunks):
            if crc == row_crc(*values):
                found[chunk] = values[5]
        for chunk in chunks:
            if chunk not in found:
                raise self.damaged(f"passage {chunk} was changed")
        return [found[chunk] for chunk in chunks]

    def chunk_numbers(self) -> IntArray:
        """Return all chunks, int64 ascending."""
        import numpy as np

        return np.fromiter((row[0] for row in self.db.execute("SELECT id FROM chunks ORDER BY id")), np.int64)

    def texts(self) -> Iterator[tuple[int, str]]:
        """Yield every chunk with the text that is analysed."""
        yield from self.db.execute("SELECT id, text FROM chunks ORDER BY id")

    def passages(self, chunks: Sequence[int], /) -> dict[int, Passage]:
        """Return passages by chunk.

        Raises:
            DamagedIndexError: A chunk is missing or was changed.
        """
        found: dict[int, Passage] = {}
        for chunk, crc, stored, *columns in self._select(self._rows + " WHERE id IN ({})", chunks):
            if crc != row_crc(*columns):
                raise self.damaged(f"passage {chunk} was changed")
            document, ordinal, start, stop, _, text, passage, place, same = columns
            shown = text if passage is None else passage
            offsets = None if stored is None else without_crc(stored, crc)
            if stored is not None and offsets is None:
                raise self.damaged(f"the offsets of words of passage {chunk} were changed")
            found[chunk] = Passage(chunk, document, ordinal, start, stop, shown, same, place, passage is None, offsets)
        if len(found) < len(chunks):
            lost = next(chunk for chunk in chunks if chunk not in found)
            raise self.damaged(f"passage {lost} is missing")
        return found

    def rows_of_passages(self) -> sqlite3.Cursor:
        """Return all rows as they are: number, crc, offsets with their crc, and the columns that the crc is of."""
        return self.db.execute(self._rows + " ORDER BY id")

    @property
    def _rows(self) -> str:
        return _CHUNK.replace("offsets", "NULL") if self._version == WITHOUT_OFFSETS else _CHUNK

    def neighbours(self, passage: Passage, count: int, /) -> list[Passage]:
        """Return up to `count` passages of its document that begin before a passage, and that end after it."""
        sql = """SELECT id FROM (SELECT id FROM chunks WHERE document = ? AND start < ? ORDER BY ordinal DESC LIMIT ?)
                 UNION SELECT id FROM (SELECT id FROM chunks WHERE document = ? AND stop > ? ORDER BY ordinal LIMIT ?)
        """
        values = (passage.document, passage.start, count, passage.document, passage.stop, count)
        found = self.passages([row[0] for row in self.db.execute(sql, values)])
        return sorted(found.values(), key=lambda one: one.ordinal)

    def documents_with(self, same: Collection[bytes], limit: int, /) -> dict[bytes, tuple[int, list[int]]]:
        """Return for passages how many documents have each, and the numbers of the first of them, ascending."""
        sql = "SELECT same, count(DISTINCT document), min(document) FROM chunks WHERE same IN ({}) GROUP BY same"
        found = {one: (count, [first]) for one, count, first in self._select(sql, list(same))}
        sql = "SELECT DISTINCT document FROM chunks WHERE same = ? ORDER BY document LIMIT ?"
        for one, (count, _) in found.items():
            if count > 1:
                found[one] = count, [row[0] for row in self.db.execute(sql, (one, limit))]
        return found

    def _select(self, sql: str, values: Sequence[object]) -> Iterator[Any]:
        for first in range(0, len(values), _SLICE):
            part = values[first : first + _SLICE]
            yield from self.db.execute(sql.format(", ".join("?" * len(part))), part)

    # --- segments --------------------------------------------------------------------------------------------------

    def segments(self) -> list[Segment]:
        """Return the segments, oldest first."""
        columns = ", ".join(field.name for field in dataclasses.fields(Segment))
        return [Segment(*row) for row in self.db.execute(f"SELECT {columns} FROM segments ORDER BY id")]

    def add_segment(self, segment: Segment, /) -> None:
        """Insert a segment."""
        marks = ", ".join("?" * len(dataclasses.fields(Segment)))
        self.db.execute(f"INSERT INTO segments VALUES ({marks})", dataclasses.astuple(segment))

    def tombstones(self) -> IntArray:
        """Return the deleted chunks that are still in segments' files, int64 ascending."""
        import numpy as np

        rows = self.db.execute("SELECT chunk FROM tombstones ORDER BY chunk")
        return np.fromiter((row[0] for row in rows), np.int64)


def _offsets(words: IndexWords, crc: int) -> bytes | None:
    """Return the column `offsets` of a row with a `crc`."""
    return None if words.offsets is None else with_crc(words.offsets, crc)


def _name(columns: Sequence[object]) -> str:
    """Return the readable part of the name of a document whose row is damaged."""
    return f"{columns[1]!s:.200}{columns[2]!s:.200}"
