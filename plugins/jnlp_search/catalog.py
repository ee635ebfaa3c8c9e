"""The catalogue of an index: one SQLite file that is the truth about documents, passages, words and vectors."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError, UsageError
from jnlp_search.schema import APPLICATION_ID, FORMAT, TABLES, Manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from jnlp.types import FloatArray, IntArray

NAME = "catalog.sqlite"
_SLICE = 500  # variables of one SQL statement


@dataclass(frozen=True, slots=True)
class Document:
    """A document as the catalogue holds it."""

    name: str
    path: str | None
    line: int | None
    encoding: str | None
    title: str | None
    characters: int
    sha256: bytes
    metadata: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk with what a hit shows of its document."""

    chunk: int
    document: str
    ordinal: int
    start: int
    stop: int
    text: str
    metadata: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A FAISS file as the catalogue holds it."""

    id: int
    file: str
    kind: str
    sha256: str
    count: int
    first: int
    last: int


class Catalog:
    """An open catalogue. Reading works while another process writes; each transaction sees one commit."""

    def __init__(self, connection: sqlite3.Connection, path: Path, /) -> None:
        self.db = connection
        self.path = path

    @classmethod
    def writing(cls, folder: Path, /) -> Catalog:
        """Open the catalogue for writing, made if it is not there; the caller holds the writer's lock."""
        path = folder / NAME
        # Two threads of one program may share it: the caller serialises them.
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=60)
        catalog = cls(db, path)
        try:
            if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                db.execute("PRAGMA journal_mode = WAL")
                script = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT};"
                db.executescript(f"BEGIN; {TABLES} {script} COMMIT;")
            catalog._check()
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
        except sqlite3.DatabaseError as error:
            db.close()
            raise _damaged(path, error) from error
        except JnlpError:
            db.close()
            raise
        return catalog

    @classmethod
    def reading(cls, folder: Path, /) -> Catalog:
        """Open the catalogue for reading.

        Raises:
            UsageError: There is no index in the folder.
            JnlpError: The catalogue is not one, or of another format.
        """
        path = folder / NAME
        if not path.is_file():
            problem = f"{folder} is not an index" if folder.exists() else f"there is no index at {folder}"
            raise UsageError(problem, hint=f"make one: jnlp index PATH… --index {folder}")
        try:
            db = _read_only(path)
        except sqlite3.DatabaseError as error:
            raise _damaged(path, error) from error
        catalog = cls(db, path)
        try:
            catalog._check()
        except JnlpError:
            db.close()
            raise
        return catalog

    def _check(self) -> None:
        version, mark = (self._value(f"PRAGMA {name}") for name in ("user_version", "application_id"))
        if mark != APPLICATION_ID:
            raise JnlpError(f"{self.path} is not an index of jnlp", hint="give --index another folder")
        if version != FORMAT:
            raise JnlpError(
                f"{self.path} has index format {version}, this jnlp reads {FORMAT}",
                hint="make a new index: jnlp index PATH… --index NEW",
            )

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything within one durable commit, or nothing of it."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    @contextmanager
    def snapshot(self) -> Iterator[int]:
        """Read one commit throughout; gives a number that changes when another connection has committed."""
        self.db.execute("BEGIN")
        try:
            self.db.execute("SELECT count(*) FROM manifest").fetchone()  # the snapshot is taken at the first read
            yield int(self._value("PRAGMA data_version"))
        finally:
            self.db.execute("COMMIT")

    def _value(self, sql: str, *values: Any) -> Any:
        row = self.db.execute(sql, values).fetchone()
        return None if row is None else row[0]

    # --- manifest --------------------------------------------------------------------------------------------------

    def manifest(self) -> Manifest | None:
        """Return what the index was made with, or None for a new one."""
        rows = dict(self.db.execute("SELECT key, value FROM manifest"))
        names = [field.name for field in dataclasses.fields(Manifest)]
        return Manifest(**{name: json.loads(rows[name]) for name in names}) if rows else None

    def set_manifest(self, manifest: Manifest, /) -> None:
        """Record what the index is made with."""
        rows = [(key, json.dumps(value, ensure_ascii=False)) for key, value in dataclasses.asdict(manifest).items()]
        self.db.executemany("INSERT OR REPLACE INTO manifest VALUES (?, ?)", rows)

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table that a user knows."""
        names = ("documents", "chunks", "segments", "tombstones")
        return {name: int(self._value(f"SELECT count(*) FROM {name}")) for name in names}

    # --- documents and chunks --------------------------------------------------------------------------------------

    def document(self, name: str, /) -> Document | None:
        """Return a document by its name."""
        columns = ", ".join(field.name for field in dataclasses.fields(Document))
        row = self.db.execute(f"SELECT {columns} FROM documents WHERE name = ?", (name,)).fetchone()
        return None if row is None else Document(*row)

    def add_document(self, document: Document, /) -> int:
        """Insert a document and return its number."""
        columns = ", ".join(field.name for field in dataclasses.fields(Document))
        sql = f"INSERT INTO documents ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        return int(self.db.execute(sql, dataclasses.astuple(document)).lastrowid or 0)

    def set_details(self, document: Document, /) -> None:
        """Replace what is known of a document whose text is unchanged."""
        sql = "UPDATE documents SET path = ?, line = ?, encoding = ?, title = ?, metadata = ? WHERE name = ?"
        values = (document.path, document.line, document.encoding, document.title, document.metadata, document.name)
        self.db.execute(sql, values)

    def delete_document(self, name: str, /) -> None:
        """Remove a document and its chunks; their vectors in segment files become tombstones."""
        chunks = "SELECT chunks.id FROM chunks JOIN documents ON documents.id = document WHERE name = ?"
        self.db.execute(f"DELETE FROM fulltext WHERE rowid IN ({chunks})", (name,))
        marked = f"SELECT chunk, segment FROM vectors WHERE chunk IN ({chunks})"
        self.db.execute(f"INSERT INTO tombstones {marked}", (name,))
        self.db.execute("DELETE FROM documents WHERE name = ?", (name,))

    def add_chunk(
        self,
        document: int,
        ordinal: int,
        span: tuple[int, int],
        tokens: int,
        text: str,
        passage: str | None,
        words: str,
    ) -> int:
        """Insert a chunk with its full text and return its number; its vector follows."""
        sql = "INSERT INTO chunks (document, ordinal, start, stop, tokens, text, passage) VALUES (?, ?, ?, ?, ?, ?, ?)"
        chunk = int(self.db.execute(sql, (document, ordinal, *span, tokens, text, passage)).lastrowid or 0)
        self.db.execute("INSERT INTO fulltext (rowid, words) VALUES (?, ?)", (chunk, words))
        return chunk

    def vectors_by_text(self, name: str, /) -> dict[str, bytes]:
        """Return the vectors of a document's chunks by their text."""
        sql = """SELECT text, vector FROM chunks JOIN vectors ON chunk = chunks.id
                 JOIN documents ON documents.id = document WHERE name = ?"""
        return dict(self.db.execute(sql, (name,)))

    def texts(self) -> Iterator[tuple[int, str]]:
        """Yield every chunk with the text that is analysed."""
        yield from self.db.execute("SELECT id, text FROM chunks ORDER BY id")

    def passages(self, chunks: Sequence[int], /) -> dict[int, Passage]:
        """Return what hits show, by chunk."""
        sql = """SELECT chunks.id, name, ordinal, start, stop, coalesce(passage, text), metadata
                 FROM chunks JOIN documents ON documents.id = document WHERE chunks.id IN ({})"""
        return {row[0]: Passage(*row) for row in self._selected(sql, chunks)}

    # --- the two legs ----------------------------------------------------------------------------------------------

    def lexical(self, match: str, limit: int, /) -> dict[int, float]:
        """Return BM25 by chunk, higher is better, of the best chunks for an FTS5 expression."""
        if not match:
            return {}
        # FTS5's bm25() is negative, the best the least.
        sql = "SELECT rowid, -bm25(fulltext) FROM fulltext WHERE fulltext MATCH ? ORDER BY rank, rowid LIMIT ?"
        return dict(self.db.execute(sql, (match, limit)))

    def vectors(self, chunks: Sequence[int], /) -> tuple[list[int], FloatArray]:
        """Return chunks that are there, ascending, and their vectors `[n, d]`."""
        sql = "SELECT chunk, vector FROM vectors WHERE chunk IN ({})"
        rows = sorted(self._selected(sql, chunks))
        return [row[0] for row in rows], _matrix([row[1] for row in rows])

    def add_vectors(self, segment: int, chunks: Sequence[int], vectors: Sequence[bytes], /) -> None:
        """Insert the vectors of new chunks."""
        rows = ((chunk, segment, vector) for chunk, vector in zip(chunks, vectors, strict=True))
        self.db.executemany("INSERT INTO vectors VALUES (?, ?, ?)", rows)

    def _selected(self, sql: str, chunks: Sequence[int]) -> Iterator[Any]:
        for first in range(0, len(chunks), _SLICE):
            part = chunks[first : first + _SLICE]
            yield from self.db.execute(sql.format(", ".join("?" * len(part))), part)

    # --- segments --------------------------------------------------------------------------------------------------

    def segments(self) -> list[Segment]:
        """Return the segments, oldest first."""
        columns = ", ".join(field.name for field in dataclasses.fields(Segment))
        return [Segment(*row) for row in self.db.execute(f"SELECT {columns} FROM segments ORDER BY id")]

    def tombstones(self, segment: int, /) -> IntArray:
        """Return the chunks of a segment's file that are no more, int64 ascending."""
        import numpy as np

        rows = self.db.execute("SELECT chunk FROM tombstones WHERE segment = ? ORDER BY chunk", (segment,))
        return np.fromiter((row[0] for row in rows), np.int64)

    def segment_vectors(self, segments: Iterable[int], /) -> tuple[IntArray, FloatArray]:
        """Return the live chunks of segments, int64 ascending, and their vectors `[n, d]`."""
        import numpy as np

        rows: list[tuple[int, bytes]] = []
        for segment in segments:
            rows += self.db.execute("SELECT chunk, vector FROM vectors WHERE segment = ?", (segment,))
        rows.sort()
        return np.array([row[0] for row in rows], np.int64), _matrix([row[1] for row in rows])


@contextmanager
def clear_damage(folder: Path, /) -> Iterator[None]:
    """Say in one line that the catalogue's file is damaged, wherever SQLite comes upon it."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if type(error) is not sqlite3.DatabaseError:  # its subclasses say something else
            raise
        raise _damaged(folder / NAME, error) from error


def _matrix(blobs: Sequence[bytes]) -> FloatArray:
    import numpy as np

    flat = np.frombuffer(b"".join(blobs), "<f4").astype(np.float32, copy=False)
    return flat.reshape(len(blobs), -1) if blobs else np.empty((0, 0), np.float32)


def _read_only(path: Path) -> sqlite3.Connection:
    """Open for reading; a folder that cannot be written to and has no write-ahead log is read as it stands."""
    uri = path.resolve().as_uri()
    for mode in ("mode=ro", "mode=ro&immutable=1"):
        db = sqlite3.connect(f"{uri}?{mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=60)
        try:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            db.close()
            if "immutable" in mode:
                raise
        except sqlite3.DatabaseError:
            db.close()
            raise
        else:
            return db
    raise AssertionError(path)


def _damaged(path: Path, error: Exception) -> JnlpError:
    return JnlpError(f"{path} cannot be read: {error}", hint="make the index again: jnlp index PATH… --index NEW")
