"""Takes documents in: each batch is one commit, and only what changed is embedded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.encoder.vectors import unit
from jnlp.errors import RecordError
from jnlp.types import Failed, Purpose
from jnlp_search import segments
from jnlp_search.analyse import analyser
from jnlp_search.chunk import sentence_chunker
from jnlp_search.draft import Draft, absolute, draft, unchanged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jnlp.types import Embedder, FloatArray, Record
    from jnlp_search.catalog import Catalog, Document
    from jnlp_search.chunk import Chunker
    from jnlp_search.schema import Manifest

BATCH_CHUNKS = 1_024
"""Chunks that are embedded and committed at once; a longer document is committed whole."""

BATCH_DOCUMENTS = 512
"""Documents that are committed at once."""


@dataclass(slots=True)
class BuildReport:
    """What a build did: documents by what became of them, chunks written, chunks embedded, seconds."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0
    chunks: int = 0
    embedded: int = 0
    seconds: float = 0.0

    @property
    def documents(self) -> int:
        """The documents that came and could be indexed."""
        return self.added + self.updated + self.unchanged


class Builder:
    """Collects changed documents and commits them batch by batch."""

    def __init__(
        self,
        catalog: Catalog,
        manifest: Manifest,
        embedder: Embedder,
        chunker: Chunker | None,
        on_failed: Callable[[Failed], None] | None,
        progress: Callable[[BuildReport], None] | None,
        sources: Sequence[str],
    ) -> None:
        self.catalog, self.manifest, self.embedder = catalog, manifest, embedder
        self.report = BuildReport()
        self._chunker = chunker or sentence_chunker
        self._words = analyser(manifest.analyser)
        self._on_failed, self._progress = on_failed, progress
        self._sources = sources
        self._drafts: list[Draft] = []
        self._details: list[Document] = []  # of unchanged documents that are known by other details
        self._waiting = 0  # chunks of the collected documents
        # On disk, so that memory does not grow with the number of documents.
        catalog.db.execute("CREATE TEMP TABLE seen (name TEXT PRIMARY KEY) WITHOUT ROWID")
        catalog.db.execute("CREATE TEMP TABLE unread (path TEXT PRIMARY KEY) WITHOUT ROWID")

    def add(self, record: Record | Failed) -> None:
        """Take a document in; commits when a batch is full."""
        if isinstance(record, Failed):
            self._fail(record)
            return
        try:
            if self._seen(record.id):
                raise RecordError(f"another document has the id '{record.id}'", hint="give each document its own id")
            made = draft(record)
            old = self.catalog.document(record.id)
            if old:
                self._refuse_double(old, made.document)
            if old and unchanged(old, made.document):
                self.report.unchanged += 1
                if old != made.document:
                    self._details.append(made.document)
                    self._commit_full()
                return
            made.cut(record, self._chunker, self.embedder, self.manifest)
        except RecordError as error:
            self._fail(Failed(record.id, record.source, error))
            return
        made.known = self.catalog.vectors_by_text(record.id) if old else None
        self._drafts.append(made)
        self._waiting += len(made.texts)
        self._commit_full()

    def commit(self) -> None:
        """Embed what is new in the collected documents and write them all in one commit."""
        drafts, self._drafts, self._waiting = self._drafts, [], 0
        details, self._details = self._details, []
        if not drafts and not details:
            return
        vectors = self._vectors(drafts)
        with self.catalog.transaction():
            for document in details:
                self.catalog.set_details(document)
            chunks = [chunk for made in drafts for chunk in self._write(made)]
            if chunks:
                import numpy as np

                matrix = np.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1).astype(np.float32)
                segment = segments.write(self.catalog, np.array(chunks, np.int64), matrix)
                self.catalog.add_vectors(segment, chunks, vectors)
        updated = sum(made.known is not None for made in drafts)
        self.report.updated += updated
        self.report.added += len(drafts) - updated
        self.report.chunks += len(chunks)
        if self._progress:
            self._progress(self.report)

    def remove_missing(self) -> None:
        """Remove the documents of the sources that did not come this time."""
        for source in self._sources:
            below = _below(source)
            sql = """SELECT name FROM documents WHERE (path = ? OR substr(path, 1, ?) = ?)
                     AND name NOT IN (SELECT name FROM seen) AND NOT EXISTS (
                         SELECT 1 FROM unread WHERE documents.path = unread.path
                         OR substr(documents.path, 1, length(unread.path) + 1) = unread.path || '/')"""
            names = [row[0] for row in self.catalog.db.execute(sql, (source, len(below), below))]
            with self.catalog.transaction():
                for name in names:
                    self.catalog.delete_document(name)
            self.report.removed += len(names)

    def _commit_full(self) -> None:
        if len(self._drafts) + len(self._details) >= BATCH_DOCUMENTS or self._waiting >= BATCH_CHUNKS:
            self.commit()

    def _refuse_double(self, old: Document, new: Document) -> None:
        """Raise where two files that both exist have a document of one id: each run would replace the other's."""
        if old.path is None or new.path is None or old.path == new.path:
            return
        moved = any(old.path == source or old.path.startswith(_below(source)) for source in self._sources)
        if not moved and Path(old.path).exists():
            raise RecordError(
                f"{old.path} has a document with the id '{new.name}' already",
                hint="give each document its own id; an id that is a path holds from one working folder",
            )

    def _write(self, made: Draft) -> list[int]:
        if made.known is not None:
            self.catalog.delete_document(made.document.name)
        document = self.catalog.add_document(made.document)
        return [
            self.catalog.add_chunk(
                document, ordinal, span, tokens, text, passage, " ".join(word.form for word in self._words.words(text))
            )
            for ordinal, (span, tokens, text, passage) in enumerate(
                zip(made.spans, made.tokens, made.texts, made.passages, strict=True)
            )
        ]

    def _vectors(self, drafts: Sequence[Draft]) -> list[bytes]:
        """Return a vector a chunk; a passage that an updated document had before keeps its own."""
        found = [(made.known or {}).get(text) for made in drafts for text in made.texts]
        texts = [text for made in drafts for text in made.texts]
        missing = [position for position, vector in enumerate(found) if vector is None]
        for first in range(0, len(missing), BATCH_CHUNKS):
            part = missing[first : first + BATCH_CHUNKS]
            rows = self._embed([texts[position] for position in part])
            for position, row in zip(part, rows, strict=True):
                found[position] = row.astype("<f4").tobytes()
        self.report.embedded += len(missing)
        return [vector for vector in found if vector is not None]

    def _embed(self, texts: Sequence[str]) -> FloatArray:
        return unit(self.embedder.embed(texts, purpose=Purpose.DOCUMENT).vectors)

    def _seen(self, name: str) -> bool:
        """Note that a document came, and return whether it had come before."""
        return not self.catalog.db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (name,)).rowcount

    def _fail(self, failed: Failed) -> None:
        self.report.failed += 1
        path = absolute(failed.source.path)
        self.catalog.db.execute("INSERT OR IGNORE INTO unread VALUES (?)", (path,))
        self._seen(failed.id)
        if self._on_failed:
            self._on_failed(failed)


def _below(source: str) -> str:
    """Return what the paths of all files in a folder begin with."""
    return source.rstrip("/") + "/"
