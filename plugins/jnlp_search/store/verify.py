"""Checks whether an index is intact: its catalogue, full text, vectors and segment files."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp.types import Verification
from jnlp_search.store.catalog import NAME, SEGMENTS, Catalog
from jnlp_search.store.checks import DamagedIndexError, damage_reported, row_crc, without_crc
from jnlp_search.store.codes import intact, read_codes
from jnlp_search.store.entries import Document
from jnlp_search.store.filesum import SUM, check_sum
from jnlp_search.store.lock import NAME as LOCK
from jnlp_search.store.shards import NAME as NAME_OF_SHARDS
from jnlp_search.store.shards import read_layout, shard_of
from jnlp_search.store.vectors import GoneError, open_raw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jnlp_search.store.entries import Segment

_COUNTS = {
    "chunks without a document": "SELECT count(*) FROM chunks WHERE document NOT IN (SELECT id FROM documents)",
    "chunks without full text": "SELECT count(*) FROM chunks WHERE id NOT IN (SELECT id FROM fulltext_docsize)",
    "full text without a chunk": "SELECT count(*) FROM fulltext_docsize WHERE id NOT IN (SELECT id FROM chunks)",
    "chunks both alive and deleted": "SELECT count(*) FROM tombstones WHERE chunk IN (SELECT id FROM chunks)",
    "documents without some of their chunks": """SELECT count(*) FROM documents WHERE chunks <>
        (SELECT count(*) FROM chunks WHERE document = documents.id)""",
}
_OURS = frozenset({NAME, f"{NAME}-wal", f"{NAME}-shm", SEGMENTS, LOCK, SUM})
_MOST = 20
"""Maximum problems of one kind to list."""


def verify_all(index: Path, /) -> Verification:
    """Check an index with all of its shards without changing it.

    Raises:
        UsageError: There is no index in the folder.
        JnlpError: A catalogue cannot be opened.
    """
    layout = read_layout(index)
    if layout is None:
        return verify(index)
    problems: list[str] = []
    leftovers = [path.name for path in sorted(index.iterdir()) if path.name not in (NAME_OF_SHARDS, LOCK)]
    leftovers.remove(layout.folder(index).name)
    counts: Counter[str] = Counter()
    for folder in layout.folders(index):
        found = verify(folder)
        problems += [f"{folder.name}: {problem}" for problem in found.problems]
        leftovers += [f"{folder.name}/{name}" for name in found.leftovers]
        counts.update(found.counts)
    problems += [] if problems else _first(_misplaced(layout.folders(index)))
    return Verification(tuple(problems), tuple(leftovers), dict(counts))


def _misplaced(folders: list[Path]) -> Iterator[str]:
    """Yield the documents that belong to another shard, and numbers that come twice."""
    with ExitStack() as opened:
        catalogs = [opened.enter_context(Catalog.reading(folder)) for folder in folders]
        numbers: set[int] = set()
        for place, catalog in enumerate(catalogs):
            for number, document in catalog.documents():
                if shard_of(document.identity, len(folders)) != place:
                    yield f"{folders[place].name}: document {number} belongs to another shard"
            own = {row[0] for row in catalog.db.execute("SELECT id FROM chunks")}
            if shared := numbers & own:
                yield f"{folders[place].name}: passage {min(shared)} has the number of one of another shard"
            numbers |= own


def verify(folder: Path, /) -> Verification:
    """Check an index without shards, or a shard, without changing it.

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
        for check in (_structure(catalog), _documents(catalog), _chunks(catalog)):
            problems += _first(check)
        with suppress(sqlite3.DatabaseError):  # reported by `_structure`
            segments = catalog.segments()
        if manifest is not None:
            problems += _first(_segments(catalog, segments, manifest.dimension))
        counts = {"documents": 0, "chunks": 0, "segments": 0, "tombstones": 0}
        with suppress(sqlite3.DatabaseError):
            counts = catalog.counts()
        leftovers = tuple(_leftovers(folder, {name for segment in segments for name in segment.files}))
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
    for chunk, crc, offsets, *values in catalog.rows_of_passages():
        if crc != row_crc(*values):
            yield f"passage {chunk} of document {values[0]} was changed"
        elif offsets is not None and without_crc(offsets, crc) is None:
            yield f"the offsets of words of passage {chunk} were changed"


def _segments(catalog: Catalog, segments: list[Segment], dimension: int) -> Iterator[str]:
    """Compare every row of the raw vectors with its checksum, and the chunks with the catalogue's."""
    import numpy as np

    found = [np.empty(0, np.int64)]
    for segment in segments:
        try:
            raw = open_raw(catalog.folder, segment, dimension)
        except GoneError:
            yield f"{segment.file} is missing"
            continue
        except DamagedIndexError as error:
            yield error.message
            continue
        found.append(np.asarray(raw.chunks))
        for chunk in raw.changed().tolist():
            yield f"the vector of passage {chunk} was changed"
        yield from _codes(catalog, segment)
    stored, dead, alive = np.concatenate(found), catalog.tombstones(), catalog.chunk_numbers()
    if count := len(np.setdiff1d(alive, stored)):
        yield f"chunks without a vector: {count:,}"
    if count := len(np.setdiff1d(stored, np.concatenate([alive, dead]))) + len(stored) - len(np.unique(stored)):
        yield f"vectors without a chunk: {count:,}"
    if count := len(np.setdiff1d(dead, stored)):
        yield f"deleted chunks that are in no segment: {count:,}"


def _codes(catalog: Catalog, segment: Segment) -> Iterator[str]:
    """Compare a file of codes with the catalogue; FAISS does not read a damaged one."""
    folder = catalog.folder / SEGMENTS
    if not intact(folder, segment):
        yield f"{segment.codes} is missing or damaged; the next jnlp index rebuilds it from the raw vectors"
    elif segment.codes is not None and (count := read_codes(folder, segment).ntotal) != segment.count:
        yield f"{segment.codes} has {count:,} vectors, not {segment.count:,}"


def _leftovers(folder: Path, named: set[str]) -> Iterator[str]:
    there = folder / SEGMENTS
    yield from sorted(path.name for path in there.iterdir() if path.name not in named) if there.is_dir() else ()
    yield from sorted(path.name for path in folder.iterdir() if path.name not in _OURS)
