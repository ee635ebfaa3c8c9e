"""Adds documents in batches of one commit each; only changed documents are embedded."""

from __future__ import annotations

from collections import deque
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jnlp.errors import RecordError
from jnlp.types import AddReport, Failed
from jnlp_search.ahead import Ahead
from jnlp_search.analyse import analyser, as_shown, index_words
from jnlp_search.draft import Draft, chunks_of, draft, same_passage, text_of
from jnlp_search.embed import checked_unit, embed_passages
from jnlp_search.files import Files
from jnlp_search.given import non_default
from jnlp_search.late import late_vectors
from jnlp_search.options import ChunkPooling
from jnlp_search.outline import outline_of
from jnlp_search.roots import Roots, canonical, canonical_folder
from jnlp_search.store import segments
from jnlp_search.store.checks import DamagedIndexError
from jnlp_search.store.sources import record as record_source
from jnlp_search.store.vectors import open_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from jnlp.types import Chunker, Embedder, FloatArray, Record
    from jnlp_search.offsets import IndexWords
    from jnlp_search.passages import Workers
    from jnlp_search.store.catalog import Catalog
    from jnlp_search.store.catalogs import Catalogs
    from jnlp_search.store.entries import Document
    from jnlp_search.store.schema import Manifest
    from jnlp_search.store.vectors import Vectors

BATCH_CHUNKS = 1_024
"""Chunks embedded and committed at once; a longer document is committed as a whole."""

BATCH_DOCUMENTS = 512
"""Documents committed at once."""

AHEAD = 1
"""Batches whose vectors are computed while the next one is collected."""

_PATH = "roots.path || '/' || documents.path"

# On disk, so that memory does not grow with the number of documents.
_TEMPORARY = """
CREATE TEMP TABLE seen (root INTEGER, path TEXT, key TEXT, line INTEGER, PRIMARY KEY (root, path, key)) WITHOUT ROWID;
CREATE TEMP TABLE unread (path TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_UNSEEN = """NOT EXISTS (SELECT 1 FROM seen WHERE seen.root = documents.root AND seen.path = documents.path
             AND seen.key = documents.key)
             AND NOT EXISTS (SELECT 1 FROM kept WHERE kept.root = documents.root AND kept.path = documents.path)"""


@dataclass(frozen=True, slots=True)
class Watch:
    """Callbacks of a build.

    Args:
        failed: Called with each document that failed.
        progress: Called after each commit.
    """

    failed: Callable[[Failed], None] | None = None
    progress: Callable[[AddReport], None] | None = None


@dataclass(frozen=True, slots=True)
class _Batch:
    """Documents of one commit: their drafts and index words, their vectors to come, and details of unchanged ones."""

    drafts: list[Draft]
    details: list[tuple[int, Document]]
    vectors: Ahead[FloatArray]
    words: Sequence[Sequence[IndexWords]]


class Builder:
    """Collects changed documents and commits them batch by batch.

    The vectors of a batch are computed while its words are, and while the next one is read and cut.

    Args:
        catalogs: Those of the index's shards, open for writing.
        manifest: How documents are indexed.
        embedder: Makes the vectors.
        chunker: Cuts documents.
        sources: The files and folders whose documents are all given.
        watch: Receives failures and progress.
        workers: Has documents cut, embedded and analysed by workers; None does it here.
    """

    def __init__(
        self,
        catalogs: Catalogs,
        manifest: Manifest,
        embedder: Embedder,
        chunker: Chunker,
        sources: Sequence[str | Path],
        watch: Watch,
        workers: Workers | None = None,
    ) -> None:
        self.manifest, self.embedder = manifest, embedder
        self._catalogs = catalogs
        self.report = AddReport()
        self._chunker, self._watch, self._workers = chunker, watch, workers
        self._words = analyser(manifest.analyser)
        self._late = manifest.pooling == ChunkPooling.LATE
        self._given = [canonical_folder(one) if Path(one).is_dir() else canonical(one) for one in map(str, sources)]
        self._sources = [canonical_folder(str(source)) or "/" for source in sources]
        self._sources += [canonical(str(source)) for source in sources]  # a file that is a link keeps its own name
        self._roots = Roots(catalogs.all, sources)
        self._drafts: list[Draft] = []
        self._details: list[tuple[int, Document]] = []  # of unchanged documents that are known by other details
        self._waiting = 0  # chunks of the collected documents
        self._batches: list[_Batch] = []  # those whose vectors are being computed
        self._opened: dict[Path, tuple[tuple[str, ...], Vectors]] = {}
        for catalog in catalogs.all:
            catalog.db.executescript(_TEMPORARY)
        self.files = Files(catalogs, self._roots, self._count_unchanged)

    def take_in(self, records: Iterable[Record | Failed], /) -> None:
        """Add documents; commit whenever a batch is full, and at the end."""
        if self._workers is None:
            for record, made in self._changed(records):
                marks, settings = outline_of(record), self.manifest
                size = settings.chunk_tokens, settings.overlap
                with self._failing(record):
                    made.cut(record, chunks_of(text_of(record), marks, self._chunker, self.embedder, *size), settings)
                    self._collect(made)
        else:
            self._add_by_workers(records)
        self.commit()

    def _add_by_workers(self, records: Iterable[Record | Failed]) -> None:
        assert self._workers is not None
        sent: deque[tuple[Record, Draft]] = deque()

        def changed() -> Iterator[Record]:
            for pair in self._changed(records):
                sent.append(pair)
                yield replace(pair[0], outline=outline_of(pair[0]))

        with closing(self._workers(changed())) as outcomes:
            for outcome in outcomes:
                record, made = sent.popleft()
                with self._failing(record):
                    if isinstance(outcome, Failed):
                        raise outcome.error
                    made.cut(record, outcome.result.chunks, self.manifest)
                    made.made = outcome.result
                    self._collect(made)

    def _collect(self, made: Draft) -> None:
        if made.replaces is not None and not self._late:  # else the vector depends on the document
            made.known = self._known(self._catalogs.of(made.document), made.replaces)
        self._drafts.append(made)
        self._waiting += len(made.texts)
        self._commit_full()

    @contextmanager
    def _failing(self, record: Record) -> Iterator[None]:
        """Count a document that fails."""
        try:
            yield
        except RecordError as error:
            self._fail(Failed(record.id, record.source, error))

    def _changed(self, records: Iterable[Record | Failed]) -> Iterator[tuple[Record, Draft]]:
        """Yield the documents that are new or changed."""
        for record in records:
            if isinstance(record, Failed):
                self._fail(record)
                continue
            made: Draft | None = None
            with self._failing(record):
                made = self._begin(record)
            if made is not None:
                yield record, made

    def _begin(self, record: Record) -> Draft | None:
        """Return what is known of a document; None if it is unchanged, or came before."""
        made = draft(record, self._roots)
        if self._came_before(made.document, record):
            return None
        old = self._catalogs.of(made.document).document(made.document.identity)
        if old and old[1].sha256 == made.document.sha256:  # its text and what its text came from are the same
            self._keep(*old, made.document)
            return None
        made.replaces = old[0] if old else None
        return made

    def commit(self) -> None:
        """Write what was collected."""
        self._start()
        while self._batches:
            self._finish()

    def _start(self) -> None:
        """Start to embed the new passages of the collected documents, and analyse them meanwhile."""
        drafts, self._drafts, self._waiting = self._drafts, [], 0
        details, self._details = self._details, []
        if not drafts and not details:
            return
        before = self._batches[-1].vectors if self._batches else None
        vectors = Ahead(partial(self._vectors, drafts), before)
        words = [self._words_of(made) for made in drafts]
        self._batches.append(_Batch(drafts, details, vectors, words))

    def _finish(self) -> None:
        """Write the first batch in one commit."""
        import numpy as np

        batch = self._batches.pop(0)
        drafts, details, vectors = batch.drafts, batch.details, batch.vectors.result()
        written = [*(made.document for made in drafts), *(document for _, document in details)]
        self.files.forget((document.root, document.path) for document in written)
        starts = list(accumulate((len(made.texts) for made in drafts), initial=0))
        into = self._catalogs
        numbers = [(into.next_document(), [into.next_chunk() for _ in made.texts]) for made in drafts]
        count = 0
        for shard, catalog in enumerate(into.all):
            own = [place for place, made in enumerate(drafts) if into.number_of(made.document) == shard]
            known = [pair for pair in details if into.number_of(pair[1]) == shard]
            if not own and not known:
                continue
            with catalog.transaction():
                for number, document in known:
                    catalog.set_details(number, document)
                chunks = [
                    chunk
                    for place in own
                    for chunk in self._write(catalog, drafts[place], *numbers[place], batch.words[place])
                ]
                if chunks:
                    rows = [vectors[starts[place] : starts[place + 1]] for place in own]
                    segments.write(catalog, np.array(chunks, np.int64), np.concatenate(rows))
            segments.gather(catalog)
            count += len(chunks)
        updated = sum(made.replaces is not None for made in drafts)
        embedded = sum(text not in made.known for made in drafts for text in made.texts)
        self._count(updated=updated, added=len(drafts) - updated, chunks=count, embedded=embedded)
        if self._watch.progress:
            self._watch.progress(self.report)

    def remove_missing(self, changed: Iterable[str] | None = None) -> None:
        """Remove the documents of the sources, or of their changed files, that were not given in this run."""
        for source in dict.fromkeys(self._sources if changed is None else changed):
            below = source.rstrip("/") + "/"
            sql = f"""SELECT documents.id FROM documents JOIN roots ON roots.id = root
                      WHERE ({_PATH} = ? OR substr({_PATH}, 1, ?) = ?) AND {_UNSEEN} AND NOT EXISTS (
                         SELECT 1 FROM unread WHERE {_PATH} = unread.path
                         OR substr({_PATH}, 1, length(unread.path) + 1) = unread.path || '/')"""
            for catalog in self._catalogs.all:
                self._remove(catalog, catalog.db.execute(sql, (source, len(below), below)).fetchall())

    def record_sources(self, reads: Sequence[Mapping[str, Any]], /) -> None:
        """Record the sources and how the files of each are read, for an update without paths."""
        for catalog in self._catalogs.all:
            record_source(catalog, list(zip(self._given, map(non_default, reads), strict=False)))

    def remove_unseen(self) -> None:
        """Remove every document that was not given in this run, such as those of a killed rebuild."""
        for catalog in self._catalogs.all:
            self._remove(catalog, catalog.db.execute(f"SELECT id FROM documents WHERE {_UNSEEN}").fetchall())

    def _remove(self, catalog: Catalog, numbers: Sequence[tuple[int]]) -> None:
        if not numbers:
            return
        with catalog.transaction():
            for (number,) in numbers:
                catalog.delete_document(number, self._index_words)
        self._count(removed=len(numbers))

    def _keep(self, number: int, old: Document, new: Document) -> None:
        """Count a document whose text is unchanged; its other columns are written with the next commit."""
        self._count_unchanged(1)
        new = replace(new, chunks=old.chunks)
        if old != new:
            self._details.append((number, new))
            self._commit_full()

    def _commit_full(self) -> None:
        """Write a batch whose vectors are there, and start the next one if it is full."""
        if self._batches and self._batches[0].vectors.is_done:
            self._finish()
        if len(self._drafts) + len(self._details) >= BATCH_DOCUMENTS or self._waiting >= BATCH_CHUNKS:
            self._start()
            while len(self._batches) > AHEAD:
                self._finish()

    def _write(
        self, catalog: Catalog, made: Draft, number: int, chunks: Sequence[int], words: Sequence[IndexWords]
    ) -> Sequence[int]:
        if made.replaces is not None:
            catalog.delete_document(made.replaces, self._index_words)
        document = catalog.add_document(made.document, number=number)
        parts = zip(chunks, made.spans, made.tokens, made.texts, made.passages, made.spots, words, strict=True)
        for ordinal, (chunk, span, tokens, text, passage, spot, forms) in enumerate(parts):
            same = same_passage(text if passage is None else passage)
            place = spot.to_json()
            catalog.add_chunk(document, ordinal, span, tokens, text, passage, place, same, forms, number=chunk)
        return chunks

    def _words_of(self, made: Draft) -> list[IndexWords]:
        """Return the words of a document's passages; workers do not get what is shown."""
        if made.made is None:
            return [index_words(self._words, *texts) for texts in zip(made.texts, made.passages, strict=True)]
        pairs = zip(made.made.words, made.passages, strict=True)
        return [own if shown is None else as_shown(self._words, own, shown) for own, shown in pairs]

    def _index_words(self, text: str, shown: str | None = None) -> IndexWords:
        return index_words(self._words, text, shown)

    def _known(self, catalog: Catalog, number: int) -> dict[str, FloatArray]:
        """Return the vectors of a document's chunks by their text."""
        import numpy as np

        chunks = catalog.chunks_of(number)
        with suppress(DamagedIndexError):  # what was changed is embedded again
            rows = self._raw(catalog).rows(np.array([chunk for chunk, _ in chunks], np.int64))
            return {text: row for (_, text), row in zip(chunks, rows, strict=True)}
        return {}

    def _raw(self, catalog: Catalog) -> Vectors:
        """Return the raw vectors of all segments; they are opened again when the segments have changed."""
        names = tuple(segment.file for segment in catalog.segments())
        opened = self._opened.get(catalog.folder)
        if opened is None or opened[0] != names:
            opened = self._opened[catalog.folder] = names, open_all(catalog, self.manifest.dimension)
        return opened[1]

    def _vectors(self, drafts: Sequence[Draft]) -> FloatArray:
        """Return one vector for each chunk, `[n, d]`; unchanged passages of an updated document keep theirs."""
        import numpy as np

        if self._late and self._workers is None:
            parts = [self._late_vectors(made) for made in drafts]
            return np.concatenate([*parts, np.empty((0, self.manifest.dimension), np.float32)])
        known = []
        for made in drafts:
            for place, text in enumerate(made.texts):
                vector = made.known.get(text)
                if vector is None and made.made is not None:
                    vector = made.made.vectors[place]
                known.append(vector)
        texts = [text for made in drafts for text in made.texts]
        missing = [position for position, vector in enumerate(known) if vector is None]
        found = np.empty((len(texts), self.manifest.dimension), np.float32)
        for position, vector in enumerate(known):
            if vector is not None:
                found[position] = vector
        for first in range(0, len(missing), BATCH_CHUNKS):
            part = missing[first : first + BATCH_CHUNKS]
            found[part] = self._embed([texts[position] for position in part])
        return found

    def _late_vectors(self, made: Draft) -> FloatArray:
        text, spans = made.whole
        return checked_unit(late_vectors(self.embedder, text, spans), self.manifest.model)

    def _embed(self, texts: Sequence[str]) -> FloatArray:
        return embed_passages(self.embedder, self.manifest.model, texts)

    def _came_before(self, document: Document, record: Record) -> bool:
        """Return True if this row or file was already given in this run: named twice, or in two sources.

        Raises:
            RecordError: Another row came with the same id.
        """
        sql = "INSERT OR IGNORE INTO seen VALUES (?, ?, ?, ?)"
        db = self._catalogs.of(document).db
        if db.execute(sql, (*document.identity, document.line)).rowcount:
            return False
        sql = "SELECT line FROM seen WHERE root = ? AND path = ? AND key = ?"
        line = db.execute(sql, document.identity).fetchone()[0]
        if document.root and line == document.line:
            return True
        where = record.source.path if document.line is None else f"{record.source.path}:{document.line}"
        first = "another document" if line is None else f"line {line}"
        raise RecordError(f"{where}: {first} has the id '{record.id}' already", hint="give each document its own id")

    def _fail(self, failed: Failed) -> None:
        self._count(failed=1)
        path = canonical(failed.source.path)
        for catalog in self._catalogs.all:
            catalog.db.execute("INSERT OR IGNORE INTO unread VALUES (?)", (path,))
        if self._watch.failed:
            self._watch.failed(failed)

    def _count_unchanged(self, documents: int) -> None:
        self._count(unchanged=documents)
        if self._watch.progress:
            self._watch.progress(self.report)

    def _count(self, **more: int) -> None:
        self.report = replace(self.report, **{name: getattr(self.report, name) + n for name, n in more.items()})
