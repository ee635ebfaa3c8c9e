"""Searches an index: full text and vectors, fused; passages with offsets and highlights."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jnlp.encoder.vectors import unit
from jnlp.errors import JnlpError, UsageError
from jnlp.options import build
from jnlp.types import Hit, Place, Purpose
from jnlp_search.analyse import Query, analyser, highlights
from jnlp_search.builder import check_finite
from jnlp_search.draft import PATH
from jnlp_search.fuse import convex, ranked, with_phrases
from jnlp_search.options import Retriever, SearchOptions
from jnlp_search.roots import shown_name, shown_path
from jnlp_search.store.catalog import Catalog
from jnlp_search.store.checks import damage_reported
from jnlp_search.store.segments import Segments
from jnlp_search.store.selection import SMALL, TABLE, Selection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Self

    from jnlp.types import Embedder, FloatArray, IntArray, Models
    from jnlp_search.store.entries import Document, Passage, Root
    from jnlp_search.store.schema import Manifest

CANDIDATES = 100
"""Chunks that each retriever gives at least; more where too few passages are left of them."""

MOST = 6_400
"""A retriever is asked for no more than about so many: one long document that fills an index is not read to its end."""

MOST_PLACES = 100
"""Documents that are listed with a passage they share."""

_NO_WORDS = Query("", "", frozenset())


def open_index(folder: Path, models: Models, /, *, model: str | None = None) -> Reader:
    """Open an index for searching; another process may go on writing it.

    Args:
        folder: The index.
        models: Gives the embedder, when a search first needs it.
        model: The model to search with; None is the one the index was made with.

    Raises:
        UsageError: There is no index in the folder.
        JnlpError: It cannot be read, or was made with another model.
    """
    return Reader(folder, models, model)


class Reader:
    """An index that is open for searching; several threads may search it."""

    def __init__(self, folder: Path, models: Models, model: str | None = None, /) -> None:
        self.folder = folder
        self._models, self._model = models, model
        self._catalog = Catalog.reading(folder)
        self._segments = Segments(folder)
        self._selection: Selection | None = None
        self._lock = threading.Lock()
        if model is not None:
            try:
                self._embedder(self.manifest())
            except BaseException:
                self.close()
                raise

    def manifest(self) -> Manifest:
        """Return what the index was made with."""
        with self._lock, damage_reported(self.folder, reading=True):
            manifest = self._catalog.manifest()
        if manifest is None:
            raise JnlpError(f"{self.folder} holds no documents yet", hint=f"jnlp index PATH… --index {self.folder}")
        return manifest

    def search(self, query: str, /, **chosen: Any) -> list[Hit]:
        """Return the best passages, best first.

        The score is a cosine (`dense`), BM25 (`lexical`), or between 0 and 1 (`hybrid`, see `fuse.convex`).

        Args:
            query: A question or words.
            chosen: Fields of `SearchOptions`.

        Raises:
            UsageError: The query is empty or no text, or an option is not allowed.
            JnlpError: The model at hand is not the one that the index was made with, or the index is damaged.
        """
        check_query(query)
        options = build(SearchOptions, chosen, where="search")
        while True:
            manifest = self.manifest()
            words = analyser(manifest.analyser)
            asked = words.query(query)
            vector = None if options.retriever is Retriever.LEXICAL else self._vector(manifest, query)
            with (
                self._lock,
                damage_reported(self.folder, reading=True),
                self._catalog.snapshot() as version,
            ):
                if self._catalog.manifest() != manifest:
                    continue  # rebuilt since the query was embedded
                self._segments.sync(self._catalog, version)
                among = self._selected(options.where, version)
                best = self._found(_NO_WORDS if options.retriever is Retriever.DENSE else asked, vector, among, options)
                hits = list(self._hits(best, options))
            break
        return [_with_highlights(hit, highlights(words, asked, hit.text)) for hit in hits]

    def is_outdated(self) -> bool:
        """Whether the full text was made by other rules or another dictionary than this search uses."""
        manifest = self.manifest()
        return analyser(manifest.analyser).version != manifest.analyser_version

    def documents(self) -> Iterator[tuple[Place, Document]]:
        """Yield the documents by number, each with its place."""
        with self._lock, damage_reported(self.folder, reading=True), self._catalog.snapshot():
            roots = self._roots()
            found = [(_place(document, roots), document) for _, document in self._catalog.documents()]
        yield from found

    def close(self) -> None:
        """Release the files."""
        with self._lock:
            self._catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _selected(self, where: str | None, version: int) -> IntArray | None:
        if where is None:
            return None
        if self._selection is None:
            self._selection = Selection(self._catalog)
        return self._selection.chunks(where, version)

    def _found(
        self, asked: Query, vector: FloatArray | None, among: IntArray | None, options: SearchOptions
    ) -> list[tuple[Passage, float]]:
        """Ask for candidates, more of them while too few are left when doubles and crowding documents are out."""
        limit = max(CANDIDATES, 4 * options.top)
        while True:
            order = ranked(self._scores(asked, vector, limit, among, options.dense_weight))
            found = _chosen(order, self._catalog.passages([chunk for chunk, _ in order]), options)
            if len(found) >= options.top or len(order) < limit or limit >= MOST:
                return found
            limit *= 4

    def _scores(
        self, asked: Query, vector: FloatArray | None, limit: int, among: IntArray | None, dense_weight: float
    ) -> Mapping[int, float]:
        table = "" if among is None else TABLE
        words = with_phrases(
            self._catalog.lexical(asked.match, limit, among=table),
            self._catalog.lexical(asked.phrases, limit, among=table),
        )
        if vector is None:
            return words
        dense = self._nearest(vector, limit, among)
        if not asked.match:
            return dense
        # What only the words found gets its exact cosine too.
        return convex(
            words, dense | self._cosines(vector, [chunk for chunk in words if chunk not in dense]), dense_weight
        )

    def _nearest(self, vector: FloatArray, limit: int, among: IntArray | None) -> dict[int, float]:
        if among is None or len(among) > SMALL:
            return self._segments.search(vector, limit, among=among)
        return dict(ranked(self._cosines(vector, among.tolist()))[:limit])

    def _cosines(self, vector: FloatArray, chunks: list[int]) -> dict[int, float]:
        found, rows = self._catalog.vectors(chunks)
        return dict(zip(found, (rows @ vector).tolist(), strict=True)) if found else {}

    def _hits(self, chosen: list[tuple[Passage, float]], options: SearchOptions) -> Iterator[Hit]:
        """Yield hits without highlights, each with the other documents that have its passage."""
        sharing = {
            passage.same: self._catalog.documents_with(passage.same, MOST_PLACES + 1) if options.group else (1, [])
            for passage, _ in chosen
        }
        wanted = {passage.document for passage, _ in chosen}.union(*(numbers for _, numbers in sharing.values()))
        documents = dict(self._catalog.documents(sorted(wanted)))
        roots = self._roots()
        for rank, (passage, score) in enumerate(chosen, 1):
            if passage.document not in documents:
                raise self._catalog.damaged(f"document {passage.document} is missing")
            document = documents[passage.document]
            place = _place(document, roots)
            metadata = json.loads(document.metadata)
            count, numbers = sharing[passage.same]
            others = [number for number in numbers if number != passage.document and number in documents]
            yield Hit(
                rank=rank,
                score=score,
                document=place.document,
                chunk=passage.ordinal,
                start=passage.start,
                end=passage.stop,
                text=passage.text,
                metadata={**metadata, PATH: place.path} if metadata.get(PATH, "") is None else metadata,
                path=place.path,
                line=place.line,
                count=count,
                also=tuple(_place(documents[number], roots) for number in others[:MOST_PLACES]),
            )

    def _roots(self) -> dict[int, Root]:
        return {root.id: root for root in self._catalog.roots()}

    def _vector(self, manifest: Manifest, query: str) -> FloatArray:
        vectors = unit(self._embedder(manifest).embed([query], purpose=Purpose.QUERY).vectors)
        check_finite(vectors, manifest.model)
        vector: FloatArray = vectors[0]
        return vector

    def _embedder(self, manifest: Manifest) -> Embedder:
        name = self._model or manifest.model
        embedder = self._models.embedder(name)
        if embedder.fingerprint != manifest.fingerprint:
            what = "another version of it or another --normalize" if name == manifest.model else name
            raise JnlpError(
                f"{self.folder} was made with model {manifest.model}, not {what}",
                hint=f"jnlp search {self.folder} QUERY --model {manifest.model}, "
                f"or jnlp index PATH… --index {self.folder} --model {name} --rebuild",
            )
        return embedder


def check_query(query: str, /) -> None:
    """Refuse a query that holds nothing to search for.

    Raises:
        UsageError: It is empty, or no text.
    """
    if not query.strip():
        raise UsageError("the query is empty", hint="give words or a question")
    if any("\ud800" <= character <= "\udfff" for character in query):
        raise UsageError("the query has bytes that are no text", hint="type it in the terminal's own encoding")


def _place(document: Document, roots: dict[int, Root]) -> Place:
    return Place(shown_name(document, roots), shown_path(document, roots), document.line)


def _with_highlights(hit: Hit, spans: tuple[tuple[int, int], ...]) -> Hit:
    return replace(hit, highlights=spans)


def _chosen(
    order: list[tuple[int, float]], passages: Mapping[int, Passage], options: SearchOptions
) -> list[tuple[Passage, float]]:
    """Return the first passages: equal ones once where they are grouped, and at most `per_document` of a document."""
    chosen: list[tuple[Passage, float]] = []
    seen: set[bytes] = set()
    of_document: dict[int, int] = {}
    for chunk, score in order:
        passage = passages[chunk]
        count = of_document.get(passage.document, 0)
        if (options.group and passage.same in seen) or (options.per_document and count >= options.per_document):
            continue
        seen.add(passage.same)
        of_document[passage.document] = count + 1
        chosen.append((passage, score))
        if len(chosen) == options.top:
            break
    return chosen
