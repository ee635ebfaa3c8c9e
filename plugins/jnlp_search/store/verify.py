"""Checks whether an index is intact: its catalogue, full text, vectors and segment files."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp.types import Verification
from jnlp_search.store.catalog import NAME, SEGMENTS, Catalog
from jnlp_search.store.checks import damage_reported, row_crc, vector_crc
from jnlp_search.store.entries import Document
from jnlp_search.store.filesum import SUM, check_sum
from jnlp_search.store.lock import NAME as LOCK
from jnlp_search.store.segments import intact, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jnlp_search.store.entries import Segment
    from jnlp_search.store.schema import Manifest

_COUNTS = {
    "chunks without a document": "SELECT count(*) FROM chunks WHERE document NOT IN (SELECT id FROM documents)",
    "chunks without a vector": "SELECT count(*) FROM chunks WHERE id NOT IN (SELECT chunk FROM vectors)",
    "chunks without full text": "SELECT count(*) FROM chunks WHERE id NOT IN (SELECT rowid FROM fulltext)",
    "full text without a chunk": "SELECT count(*) FROM fulltext WHERE rowid NOT IN (SELECT id FROM chunks)",
    "chunks both alive and deleted": "SELECT count(*) FROM tombstones WHERE chunk IN (SELECT id FROM chunks)",
    "documents without some of their chunks": """SELECT count(*) FROM documents WHERE chunks <>
        (SELECT count(*) FROM chunks WHERE document = documents.id)""",
}
_OURS = frozenset({NAME, f"{NAME}-wal", f"{NAME}-shm", SEGMENTS, LOCK, SUM})
_MOST = 20
"""Maximum problems of one kind to list."""


def verify(folder: Path, /) -> Verification:
    """Check an index without changing it.

    Raises:
        UsageError: There is no index in the folder.
        JnlpError: The catalogue cannot be opened.
    """
    with damage_reported(folder, reading=True), Catalog.reading(folder) as catalog, catalog.snapshot():
        problems: list[str] = []
        manifest = None
        try:
            manifest = catalog.manifest()
            commits, _ = catalog.state()
            if wrong := check_sum(folder, commits):
                problems.append(wrong)
        except JnlpError as error:
            problems.append(error.message)
        segments: list[Segment] = []
        for check in (_structure(catalog), _documents(catalog), _chunks(catalog), _vectors(catalog, manifest)):
            problems += _first(check)
        with suppress(sqlite3.DatabaseError):  # reported by `_structure`
            segments = catalog.segments()
        for segment in segments:
            problems += _first(_segment(catalog, folder / SEGMENTS, segment))
        counts = {"documents": 0, "chunks": 0, "segments": 0, "tombstones": 0}
        with suppress(sqlite3.DatabaseError):
            counts = catalog.counts()
        leftovers = tuple(_leftovers(folder, {segment.file for segment in segments}))
        return Verification(tuple(dict.fromkeys(problems)), leftovers, counts)


def _first(problems: Iterator[str]) -> Iterator[str]:
    """Yield the first problems of a check, and the error that ended it."""
    number = 0
    try:
        for number, problem in enumerate(problems, 1):
            if number <= _MOST:
                yield problem
    except sqlite3.DatabaseError as error:
        yield f"catalogue: {error}"
    except JnlpError as error:
        yield error.message
    if number > _MOST:
        yield f"and {number - _MOST:,} more of the kind"


def _structure(catalog: Catalog) -> Iterator[str]:
    for (line,) in catalog.db.execute("PRAGMA integrity_check"):
        if line != "ok":
            yield f"catalogue: {line}"
    for table, *_ in catalog.db.execute("PRAGMA foreign_key_check"):
        yield f"catalogue: a row of {table} refers to a missing row"
    for what, sql in _COUNTS.items():
        if count := catalog.db.execute(sql).fetchone()[0]:
            yield f"{what}: {count:,}"
    catalog.check_seal()


def _documents(catalog: Catalog) -> Iterator[str]:
    columns = ", ".join(Document.__dataclass_fields__)
    for number, crc, *values in catalog.db.execute(f"SELECT id, crc, {columns} FROM documents ORDER BY id"):
        if crc != row_crc(number, *values):
            yield f"document {number} was changed ({values[1]!s:.100}{values[2]!s:.100})"


def _chunks(catalog: Catalog) -> Iterator[str]:
    sql = "SELECT id, crc, document, ordinal, start, stop, tokens, text, passage, place, same FROM chunks ORDER BY id"
    for chunk, crc, *values in catalog.db.execute(sql):
        if crc != row_crc(*values):
            yield f"passage {chunk} of document {values[0]} was changed"


def _vectors(catalog: Catalog, manifest: Manifest | None) -> Iterator[str]:
    size = 4 * manifest.dimension if manifest else None
    for chunk, vector, crc in catalog.db.execute("SELECT chunk, vector, crc FROM vectors ORDER BY chunk"):
        if not isinstance(vector, bytes) or vector_crc(chunk, vector) != crc:
            yield f"the vector of passage {chunk} was changed"
        elif size is not None and len(vector) != size:
            yield f"the vector of passage {chunk} has a wrong length"


def _segment(catalog: Catalog, folder: Path, segment: Segment) -> Iterator[str]:
    """Compare a file with the catalogue; FAISS does not read a damaged one."""
    import faiss

    if not intact(folder, segment):
        yield f"{segment.file} is missing or damaged; the next jnlp index rebuilds it from the catalogue"
        return
    index = read_file(folder / segment.file)
    stored = set(faiss.vector_to_array(index.id_map).tolist())
    alive = {row[0] for row in catalog.db.execute("SELECT chunk FROM vectors WHERE segment = ?", (segment.id,))}
    if stored != {*alive, *catalog.tombstones(segment.id).tolist()}:
        yield f"{segment.file} has other chunks than the catalogue"


def _leftovers(folder: Path, named: set[str]) -> Iterator[str]:
    there = folder / SEGMENTS
    yield from sorted(path.name for path in there.iterdir() if path.name not in named) if there.is_dir() else ()
    yield from sorted(path.name for path in folder.iterdir() if path.name not in _OURS)
