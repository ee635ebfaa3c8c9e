"""Repairs a damaged index: keeps documents whose rows, passages and vectors all match their checksums.

Full text is rebuilt from the passages, segments from the vectors. Nothing is embedded, and numbers stay the same. An
index of format 4 is read too, so that this upgrades it.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp.types import RepairReport
from jnlp_search.analyse import analyser, index_words
from jnlp_search.store import replacement, segments
from jnlp_search.store.catalog import SEGMENTS, Catalog
from jnlp_search.store.checks import DamagedIndexError, damage_reported, row_crc, vector_crc
from jnlp_search.store.raw import ENDING, ChangedError, Raw
from jnlp_search.store.schema import READ, UPGRADED
from jnlp_search.store.sources import whole_roots
from jnlp_search.store.vectors import Vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from jnlp.types import FloatArray
    from jnlp_search.analyse import Analyser
    from jnlp_search.store.entries import Document
    from jnlp_search.store.schema import Manifest

    _Whole = tuple[int, Document, list[tuple[object, ...]], FloatArray]

_BATCH = 512
_CHUNK = "ordinal, start, stop, tokens, text, passage, place, same"


def repair(folder: Path, /, *, whole: bool = False) -> RepairReport:
    """Rebuild the index from its intact documents; the caller must hold the writer's lock.

    The new index is built next to the old one and replaces it atomically.

    Args:
        folder: The index.
        whole: Raise instead of dropping a document.

    Raises:
        JnlpError: The catalogue cannot be opened, or its manifest is lost, so nothing can be kept.
    """
    with damage_reported(folder, reading=True), Catalog.reading(folder, formats=(*READ, UPGRADED)) as old:
        manifest = old.manifest()
        with Catalog.writing(replacement.prepare(folder)) as new:
            report = _copy(old, new, manifest, whole=whole)
            segments.tidy(new)
            new.seal()
    replacement.put_in_place(folder)
    return report


def _copy(old: Catalog, new: Catalog, manifest: Manifest | None, *, whole: bool) -> RepairReport:
    """Copy settings, roots and intact documents."""
    words = analyser(manifest.analyser) if manifest else None
    with new.transaction():
        if manifest and words:
            new.set_manifest(replace(manifest, analyser_version=words.version))
        for row in _rows(old, "roots", "id, path, label"):
            new.db.execute("INSERT OR IGNORE INTO roots VALUES (?, ?, ?)", row)
        for row in _rows(old, "sources", "root, path, read") if old.format != UPGRADED else whole_roots(old):
            new.db.execute("INSERT OR IGNORE INTO sources VALUES (?, ?, ?)", row)
    dropped: list[str] = []
    kept = 0
    vectors = _vectors(old, manifest.dimension if manifest else 0)
    names = _names(old)
    waiting: list[_Whole] = []
    for number in sorted({*_numbers(old, "documents", "id"), *_numbers(old, "chunks", "document")}):
        found = _read_intact(old, number, names.get(number), vectors)
        if isinstance(found, str):
            if whole:
                raise old.damaged(f"{found} was changed")
            dropped.append(found)
            continue
        kept += 1
        waiting.append(found)
        if len(waiting) >= _BATCH:
            _write(new, waiting, words)
            waiting = []
    _write(new, waiting, words)
    return RepairReport(kept, tuple(dropped))


def _vectors(old: Catalog, dimension: int) -> Callable[[Sequence[int]], FloatArray | None]:
    """Return the function that gives the vectors of chunks, or None if one is missing or was changed."""
    import numpy as np

    if old.format == UPGRADED:
        return lambda chunks: _blobs(old, chunks, dimension)
    files: list[Raw] = []
    for path in sorted((old.folder / SEGMENTS).glob(f"*{ENDING}")):
        with suppress(ChangedError, OSError):
            files.append(Raw.open(path, dimension, None))
    kept = Vectors(old.folder, reversed(files))

    def rows(chunks: Sequence[int]) -> FloatArray | None:
        with suppress(DamagedIndexError):
            return kept.rows(np.array(chunks, np.int64)).reshape(len(chunks), dimension)
        return None

    return rows


def _blobs(old: Catalog, chunks: Sequence[int], dimension: int) -> FloatArray | None:
    """Return vectors of an index of format 4, which has them as float32 in the catalogue."""
    import numpy as np

    found = np.empty((len(chunks), dimension), np.float32)
    for place, chunk in enumerate(chunks):
        row = old.db.execute("SELECT vector, crc FROM vectors WHERE chunk = ?", (chunk,)).fetchone()
        if row is None or not isinstance(row[0], bytes) or len(row[0]) != 4 * dimension:
            return None
        if vector_crc(chunk, row[0]) != row[1]:
            return None
        found[place] = np.frombuffer(row[0], "<f4")
    return found


def _read_intact(
    catalog: Catalog, number: int, name: str | None, vectors: Callable[[Sequence[int]], FloatArray | None]
) -> _Whole | str:
    """Return a document with its chunks and vectors, or its name if any part of it is damaged."""
    name = name or f"document {number}"
    try:
        found = list(catalog.documents([number]))
        if not found:
            return name
        _, document = found[0]
        sql = f"SELECT document, crc, id, {_CHUNK} FROM chunks WHERE document = ? ORDER BY ordinal"
        chunks = catalog.db.execute(sql, (number,)).fetchall()
        if len(chunks) != document.chunks:
            return name
        if any(crc != row_crc(owner, *values) for owner, crc, _, *values in chunks):
            return name
        rows = vectors([row[2] for row in chunks])
        return name if rows is None else (number, document, [tuple(values) for _, _, *values in chunks], rows)
    except (sqlite3.DatabaseError, JnlpError):
        return name


def _write(new: Catalog, documents: list[_Whole], words: Analyser | None) -> None:
    """Write intact documents with new full text and a new segment, in one commit."""
    import numpy as np

    if not documents or words is None:
        return
    with new.transaction():
        chunks: list[int] = []
        for old, document, rows, _ in documents:
            number = new.add_document(document, number=old)
            for chunk, ordinal, start, stop, tokens, text, passage, place, same in rows:
                forms = index_words(words, str(text), passage)  # type: ignore[arg-type]
                values = (ordinal, (start, stop), tokens, text, passage, place, same, forms)
                chunks.append(new.add_chunk(number, *values, number=chunk))  # type: ignore[arg-type]
        if chunks:
            order = np.argsort(chunks)
            vectors = np.concatenate([rows for _, _, _, rows in documents if len(rows)])
            segments.write(new, np.array(chunks, np.int64)[order], vectors[order])
    segments.gather(new)


def _names(catalog: Catalog) -> dict[int, str]:
    """Return the readable names of documents. They are also in an SQL index, on other pages than the rows."""
    found: dict[int, str] = {}
    sql = "SELECT id, path, key FROM documents INDEXED BY sqlite_autoindex_documents_1"
    with suppress(sqlite3.DatabaseError):
        for number, path, key in catalog.db.execute(sql):
            found[number] = f"{path}{key if not path or str(key).startswith(':') or not key else f'#{key}'}"
    return found


def _numbers(catalog: Catalog, table: str, column: str) -> set[int]:
    """Return the documents in a table around unreadable pages, read from both ends and through several SQL indexes."""
    found: set[int] = set()
    for index in ("NOT INDEXED", ""):
        for order in ("ASC", "DESC"):
            try:
                rows = catalog.db.execute(f"SELECT {column} FROM {table} {index} ORDER BY id {order}")
                found.update(row[0] for row in rows if isinstance(row[0], int))
            except sqlite3.DatabaseError:
                continue
            else:
                break
    with suppress(sqlite3.DatabaseError):  # an index is on other pages than the rows
        extra = "documents_key" if table == "documents" else "sqlite_autoindex_chunks_1"
        rows = catalog.db.execute(f"SELECT {column} FROM {table} INDEXED BY {extra}")
        found.update(row[0] for row in rows if isinstance(row[0], int))
    return found


def _rows(catalog: Catalog, table: str, columns: str) -> Iterator[tuple[object, ...]]:
    try:
        yield from catalog.db.execute(f"SELECT {columns} FROM {table}")
    except sqlite3.DatabaseError:
        return
