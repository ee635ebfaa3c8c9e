"""An index opened for searching."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jnlp.encoder.vectors import unit
from jnlp.errors import JnlpError
from jnlp.options import build
from jnlp.types import Purpose
from jnlp_search.analyse import analyser
from jnlp_search.builder import check_finite
from jnlp_search.options import SearchOptions
from jnlp_search.query import ask
from jnlp_search.query.relevance import load_reranker, relevance
from jnlp_search.query.view import View, place_of
from jnlp_search.store.catalog import Catalog
from jnlp_search.store.checks import damage_reported
from jnlp_search.store.segments import Segments
from jnlp_search.store.selection import Selection
from jnlp_search.store.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from jnlp.types import Embedder, FloatArray, Hit, Models, Place, SearchScores
    from jnlp_search.store.entries import Document
    from jnlp_search.store.schema import Manifest
    from jnlp_search.store.selection import Narrowing


def open_index(folder: Path, models: Models, /, *, model: str | None = None) -> Reader:
    """Open an index for searching; another process may keep writing it.

    Args:
        folder: The index.
        models: Supplies the embedder when a search first needs it.
        model: The model to search with; None is the one that the index was made with.

    Raises:
        UsageError: There is no index in the folder.
        JnlpError: It cannot be read, or was made with another model.
    """
    return Reader(folder, models, model)


class Reader:
    """An index opened for searching. Several threads may use it."""

    def __init__(self, folder: Path, models: Models, model: str | None = None, /) -> None:
        self.folder = folder
        self._models, self._model = models, model
        self._catalog = Catalog.reading(folder)
        self._segments = Segments(folder)
        self._selection: Selection | None = None
        self._terms: Terms | None = None
        self._lock = threading.Lock()
        if model is not None:
            try:
                self._embedder(self.manifest())
            except BaseException:
                self.close()
                raise

    def manifest(self) -> Manifest:
        """Return the manifest: the settings that the index was made with."""
        with self._lock, damage_reported(self.folder, reading=True):
            manifest = self._catalog.manifest()
        if manifest is None:
            raise JnlpError(f"{self.folder} has no documents yet", hint=f"jnlp index PATH… --index {self.folder}")
        return manifest

    def search(self, query: str, /, **chosen: Any) -> list[Hit]:
        """Return the best passages, best first; see `ask.search`.

        Args:
            query: A question or words.
            chosen: Fields of `SearchOptions`.
        """
        return ask.search([self], query, build(SearchOptions, chosen, where="search"))

    @contextmanager
    def view(self, manifest: Manifest, narrowing: Narrowing, /) -> Iterator[View | None]:
        """Open a snapshot of the last commit for a search; yield None if the manifest has changed.

        Args:
            manifest: The manifest for which the query was prepared.
            narrowing: The passages that may be found.
        """
        with self._lock, damage_reported(self.folder, reading=True), self._catalog.snapshot() as version:
            if self._catalog.manifest() != manifest:
                yield None
                return
            self._segments.sync(self._catalog, version)
            if self._terms is None:
                self._terms = Terms(self._catalog)
            if narrowing and self._selection is None:
                self._selection = Selection(self._catalog)
            among = self._selection.chunks(narrowing, version) if narrowing and self._selection else None
            yield View(self._catalog, self._segments, self._terms, version, among)

    def vector(self, manifest: Manifest, query: str, /) -> tuple[FloatArray, SearchScores | None]:
        """Return a query's unit vector, float32 `[d]`, and the model's measured scores."""
        embedder = self._embedder(manifest)
        vectors = unit(embedder.embed([query], purpose=Purpose.QUERY).vectors)
        check_finite(vectors, manifest.model)
        return vectors[0], embedder.search

    def vectors(self, manifest: Manifest, texts: Sequence[str], /) -> FloatArray:
        """Return unit vectors of parts of passages, float32 `[n, d]`."""
        vectors = unit(self._embedder(manifest).embed(texts, purpose=Purpose.DOCUMENT).vectors)
        check_finite(vectors, manifest.model)
        return vectors

    def relevance(self, model: str, query: str, passages: Sequence[str], /) -> list[float]:
        """Return, by a cross-encoder, the probability that each passage answers the query.

        Raises:
            JnlpError: The model is not a reranker.
        """
        return relevance(load_reranker(self._models, model), [(query, passage) for passage in passages])

    def is_outdated(self) -> bool:
        """Return True if the full text was made with other rules or another dictionary than this search uses."""
        manifest = self.manifest()
        return analyser(manifest.analyser).version != manifest.analyser_version

    def documents(self) -> Iterator[tuple[Place, Document]]:
        """Yield the documents by number, each with its place."""
        with self._lock, damage_reported(self.folder, reading=True), self._catalog.snapshot():
            roots = {root.id: root for root in self._catalog.roots()}
            found = [(place_of(document, roots), document) for _, document in self._catalog.documents()]
        yield from found

    def close(self) -> None:
        """Release the files."""
        with self._lock:
            self._catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
