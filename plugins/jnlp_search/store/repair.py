"""Repairs a damaged index: keeps documents whose rows, passages and vectors all match their checksums.

Full text is rebuilt from the passages, segment files from the vectors. Nothing is embedded.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp.types import RepairReport
from jnlp_search.analyse import analyser
from jnlp_search.store import replacement, segments
from jnlp_search.store.catalog import Catalog
from jnlp_search.store.checks import damage_reported, row_crc, vector_crc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jnlp_search.analyse import Analyser
    from jnlp_search.store.entries import Document

_BATCH = 512
_CHUNK = "ordinal, start, stop, tokens, text, passage, place, same"


def repair(folder: Path, /) -> RepairReport:
    """Rebuild the index from its intact documents; the caller must hold the writer's lock.

    The new index is built next to the old one and replaces it atomically.

    Raises:
        JnlpError: The catalogue cannot be opened, or its manifest is lost, so nothing can be kept.
    """
    with damage_reported(folder, reading=True), Catalog.reading(folder) as old:
        manifest = old.manifest()
        place = replacement.prepare(folder)
        dropped: list[str] = []
        kept = 0
        with Catalog.writing(place) as new:
            words = analyser(manifest.analyser) if manifest else None
            with new.transaction():
                if manifest:
                    new.set_manifest(manifest)
                for row in _rows(old, "roots", "id, path, label"):
                    new.db.execute("INSERT OR IGNORE INTO roots VALUES (?, ?, ?)", row)
            names = _names(old)
            waiting: list[tuple[Document, list[tuple[object, ...]], list[bytes]]] = []
            for number in sorted({*_numbers(old, "documents", "id"), *_numbers(old, "chunks", "document")}):
                whole = _read_intact(old, number, names.get(number), 4 * manifest.dimension if manifest else 0)
                if isinstance(whole, str):
                    dropped.append(whole)
                    continue
                kept += 1
                waiting.append(whole)
                if len(waiting) >= _BATCH:
                    _write(new, waiting, words)
                    waiting = []
            _write(new, waiting, words)
            segments.tidy(new)
            new.seal()
    replacement.put_in_place(folder)
    return RepairReport(kept, tuple(dropped))


def _read_intact(
    catalog: Catalog, number: int, name: str | None, size: int
) -> tuple[Document, list[tuple[object, ...]], list[bytes]] | str:
    """Return a document with its chunks and vectors, or its name if any part of it is damaged."""
    name = name or f"document {number}"
    try:
        found = list(catalog.documents([number]))
        if not found:
            return name
        _, document = found[0]
        sql = f"SELECT id, document, crc, {_CHUNK} FROM chunks WHERE document = ? ORDER BY ordinal"
        chunks = catalog.db.execute(sql, (number,)).fetchall()
        if len(chunks) != document.chunks:
            return name
        vectors: list[bytes] = []
        for chunk, owner, crc, *values in chunks:
            row = catalog.db.execute("SELECT vector, crc FROM vectors WHERE chunk = ?", (chunk,)).fetchone()
            if crc != row_crc(owner, *values) or row is None or not isinstance(row[0], bytes):
                return name
            if vector_crc(chunk, row[0]) != row[1] or len(row[0]) != size:
                return name
            vectors.append(row[0])
        return document, [tuple(values) for _, _, _, *values in chunks], vectors
    except (sqlite3.DatabaseError, JnlpError):
        return name


def _write(
    new: Catalog,
    documents: list[tuple[Document, list[tuple[object, ...]], list[bytes]]],
    words: Analyser | None,
) -> None:
    """Write intact documents with new full text and a new segment, in one commit."""
    import numpy as np

    if not documents or words is None:
        return
    with new.transaction():
        chunks: list[int] = []
        for document, rows, _ in documents:
            number = new.add_document(document)
            for ordinal, start, stop, tokens, text, passage, place, same in rows:
                forms = " ".join(word.form for word in words.words(str(text)))
                span = (start, stop)
                chunks.append(new.add_chunk(number, ordinal, span, tokens, text, passage, place, same, forms))  # type: ignore[arg-type]
        vectors = [vector for _, _, found in documents for vector in found]
        if chunks:
            matrix = np.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1).astype(np.float32)
            new.add_vectors(segments.write(new, np.array(chunks, np.int64), matrix), chunks, vectors)


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
