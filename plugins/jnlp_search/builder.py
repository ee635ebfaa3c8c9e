"""Adds documents in batches of one commit each; only changed documents are embedded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jnlp.encoder.vectors import unit
from jnlp.errors import JnlpError, RecordError
from jnlp.types import AddReport, Failed, Purpose
from jnlp_search.analyse import analyser
from jnlp_search.draft import Draft, draft, same_passage
from jnlp_search.late import late_vectors
from jnlp_search.options import ChunkPooling
from jnlp_search.roots import Roots, canonical, canonical_folder
from jnlp_search.store import segments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from jnlp.types import Chunker, Embedder, FloatArray, Record
    from jnlp_search.store.catalog import Catalog
    from jnlp_search.store.entries import Document
    from jnlp_search.store.schema import Manifest

BATCH_CHUNKS = 1_024
"""Chunks embedded and committed at once; a longer document is committed as a whole."""

BATCH_DOCUMENTS = 512
"""Documents committed at once."""

_PATH = "roots.path || '/' || documents.path"

# On disk, so that memory does not grow with the number of documents.
_TEMPORARY = """
CREATE TEMP TABLE seen (root INTEGER, path TEXT, key TEXT, line INTEGER, PRIMARY KEY (root, path, key)) WITHOUT ROWID;
CREATE TEMP TABLE unread (path TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_UNSEEN = """NOT EXISTS (SELECT 1 FROM seen WHERE seen.root = documents.root AND seen.path = documents.path
             AND seen.key = documents.key)"""


@dataclass(frozen=True, slots=True)
class Watch:
    """Callbacks of a build.

    Args:
        failed: Called with each document that failed.
        progress: Called after each commit.
    """

    failed: Callable[[Failed], None] | None = None
    progress: Callable[[AddReport], None] | None = None


class Builder:
    """Collects changed documents and commits them batch by batch.

    Args:
        catalog: Open for writing.
        manifest: How documents are indexed.
        embedder: Makes the vectors.
        chunker: Cuts documents.
        sources: The files and folders whose documents are all given.
        watch: Receives failures and progress.
    """

    def __init__(
        self,
        catalog: Catalog,
        manifest: Manifest,
        embedder: Embedder,
        chunker: Chunker,
        sources: Sequence[str | Path],
        watch: Watch,
    ) -> None:
        self.catalog, self.manifest, self.embedder = catalog, manifest, embedder
        self.report = AddReport()
        self._chunker, self._watch = chunker, watch
        self._words = analyser(manifest.analyser)
        self._late = manifest.pooling == ChunkPooling.LATE
        self._sources = [canonical_folder(str(source)) or "/" for source in sources]
        self._sources += [canonical(str(source)) for source in sources]  # a file that is a link keeps its own name
        self._roots = Roots(catalog, sources)
        self._drafts: list[Draft] = []
        self._details: list[tuple[int, Document]] = []  # of unchanged documents that are known by other details
        self._waiting = 0  # chunks of the collected documents
        catalog.db.executescript(_TEMPORARY)

    def add(self, record: Record | Failed) -> None:
        """Add a document; commit when a batch is full."""
        if isinstance(record, Failed):
            self._fail(record)
            return
        try:
            made = draft(record, self._roots)
            if self._came_before(made.document, record):
                return
            old = self.catalog.document(made.document.identity)
            if old and old[1].sha256 == made.document.sha256:  # its text and what its text came from are the same
                self._keep(*old, made.document)
                return
            made.cut(record, self._chunker, self.embedder, self.manifest)
        except RecordError as error:
            self._fail(Failed(record.id, record.source, error))
            return
        if old:
            made.replaces = old[0]
            if not self._late:  # else the vector depends on the document
                made.known = self.catalog.vectors_by_text(old[0])
        self._drafts.append(made)
        self._waiting += len(made.texts)
        self._commit_full()

    def commit(self) -> None:
        """Embed the new passages of the collected documents and write them all in one commit."""
        drafts, self._drafts, self._waiting = self._drafts, [], 0
        details, self._details = self._details, []
        if not drafts and not details:
            return
        vectors = self._vectors(drafts)
        with self.catalog.transaction():
            for number, document in details:
                self.catalog.set_details(number, document)
            chunks = [chunk for made in drafts for chunk in self._write(made)]
            if chunks:
                import numpy as np

                matrix = np.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1).astype(np.float32)
                segment = segments.write(self.catalog, np.array(chunks, np.int64), matrix)
                self.catalog.add_vectors(segment, chunks, vectors)
        updated = sum(made.replaces is not None for made in drafts)
        self._count(updated=updated, added=len(drafts) - updated, chunks=len(chunks))
        if self._watch.progress:
            self._watch.progress(self.report)

    def remove_missing(self) -> None:
        """Remove the documents of the sources that were not given in this run."""
        for source in dict.fromkeys(self._sources):
            below = source.rstrip("/") + "/"
            sql = f"""SELECT documents.id FROM documents JOIN roots ON roots.id = root
                      WHERE ({_PATH} = ? OR substr({_PATH}, 1, ?) = ?) AND {_UNSEEN} AND NOT EXISTS (
                         SELECT 1 FROM unread WHERE {_PATH} = unread.path
                         OR substr({_PATH}, 1, length(unread.path) + 1) = unread.path || '/')"""
            self._remove(self.catalog.db.execute(sql, (source, len(below), below)).fetchall())

    def remove_unseen(self) -> None:
        """Remove every document that was not given in this run, such as those of a killed rebuild."""
        self._remove(self.catalog.db.execute(f"SELECT id FROM documents WHERE {_UNSEEN}").fetchall())

    def _remove(self, numbers: Sequence[tuple[int]]) -> None:
        if not numbers:
            return
        with self.catalog.transaction():
            for (number,) in numbers:
                self.catalog.delete_document(number)
        self._count(removed=len(numbers))

    def _keep(self, number: int, old: Document, new: Document) -> None:
        """Count a document whose text is unchanged; its other columns are written with the next commit."""
        self._count(unchanged=1)
        if self._watch.progress:
            self._watch.progress(self.report)
        new = replace(new, chunks=old.chunks)
        if old != new:
            self._details.append((number, new))
            self._commit_full()

    def _commit_full(self) -> None:
        if len(self._drafts) + len(self._details) >= BATCH_DOCUMENTS or self._waiting >= BATCH_CHUNKS:
            self.commit()

    def _write(self, made: Draft) -> list[int]:
        if made.replaces is not None:
            self.catalog.delete_document(made.replaces)
        document = self.catalog.add_document(made.document)
        numbers = []
        parts = zip(made.spans, made.tokens, made.texts, made.passages, made.spots, strict=True)
        for ordinal, (span, tokens, text, passage, spot) in enumerate(parts):
            words = " ".join(word.form for word in self._words.words(text))
            same = same_passage(text if passage is None else passage)
            place = spot.to_json()
            numbers.append(self.catalog.add_chunk(document, ordinal, span, tokens, text, passage, place, same, words))
        return numbers

    def _vectors(self, drafts: Sequence[Draft]) -> list[bytes]:
        """Return one vector for each chunk; unchanged passages of an updated document keep theirs."""
        if self._late:
            return [row for made in drafts for row in self._late_vectors(made)]
        found = [made.known.get(text) for made in drafts for text in made.texts]
        texts = [text for made in drafts for text in made.texts]
        missing = [position for position, vector in enumerate(found) if vector is None]
        for first in range(0, len(missing), BATCH_CHUNKS):
            part = missing[first : first + BATCH_CHUNKS]
            rows = self._embed([texts[position] for position in part])
            for position, row in zip(part, rows, strict=True):
                found[position] = row.astype("<f4").tobytes()
        self._count(embedded=len(missing))
        return [vector for vector in found if vector is not None]

    def _late_vectors(self, made: Draft) -> list[bytes]:
        text, spans = made.whole
        vectors = unit(late_vectors(self.embedder, text, spans))
        check_finite(vectors, self.manifest.model)
        self._count(embedded=len(spans))
        return [row.astype("<f4").tobytes() for row in vectors]

    def _embed(self, texts: Sequence[str]) -> FloatArray:
        vectors = unit(self.embedder.embed(texts, purpose=Purpose.DOCUMENT).vectors)
        check_finite(vectors, self.manifest.model)
        return vectors

    def _came_before(self, document: Document, record: Record) -> bool:
        """Return True if this row or file was already given in this run: named twice, or in two sources.

        Raises:
            RecordError: Another row came with the same id.
        """
        sql = "INSERT OR IGNORE INTO seen VALUES (?, ?, ?, ?)"
        if self.catalog.db.execute(sql, (*document.identity, document.line)).rowcount:
            return False
        sql = "SELECT line FROM seen WHERE root = ? AND path = ? AND key = ?"
        line = self.catalog.db.execute(sql, document.identity).fetchone()[0]
        if document.root and line == document.line:
            return True
        where = record.source.path if document.line is None else f"{record.source.path}:{document.line}"
        first = "another document" if line is None else f"line {line}"
        raise RecordError(f"{where}: {first} has the id '{record.id}' already", hint="give each document its own id")

    def _fail(self, failed: Failed) -> None:
        self._count(failed=1)
        path = canonical(failed.source.path)
        self.catalog.db.execute("INSERT OR IGNORE INTO unread VALUES (?)", (path,))
        if self._watch.failed:
            self._watch.failed(failed)

    def _count(self, **more: int) -> None:
        self.report = replace(self.report, **{name: getattr(self.report, name) + n for name, n in more.items()})


def check_finite(vectors: FloatArray, model: str, /) -> None:
    """Raise if a model gave a vector that is not finite.

    Raises:
        JnlpError: A number is NaN or infinite.
    """
    import numpy as np

    if not np.isfinite(vectors).all():
        raise JnlpError(
            f"model {model} gives vectors that are not finite", hint="its weights are damaged: fetch it again"
        )
