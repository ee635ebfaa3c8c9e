"""An index opened for searching, with all of its shards."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from heapq import merge
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp.options import build
from jnlp.types import Purpose
from jnlp_search.analyse import analyser
from jnlp_search.embed import checked_unit, embed_passages
from jnlp_search.opened import Opened
from jnlp_search.options import SearchOptions
from jnlp_search.query import ask
from jnlp_search.query.relevance import load_reranker
from jnlp_search.query.stored import stored_document
from jnlp_search.query.view import View, place_of
from jnlp_search.store.checks import DamagedIndexError, damage_reported
from jnlp_search.store.selection import select
from jnlp_search.store.shards import folders_of, stamp_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from jnlp.types import Embedder, FloatArray, Hit, IntArray, Models, Place, SearchScores, StoredDocument
    from jnlp_search.query.relevance import Reranker
    from jnlp_search.store.catalog import Catalog
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
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._shards = self._open()
        if model is not None:
            try:
                self._embedder(self.manifest())
            except BaseException:
                self.close()
                raise

    def manifest(self) -> Manifest:
        """Return the manifest: the settings that the index was made with."""
        with self._lock, damage_reported(self.folder, reading=True):
            self._renew()
            manifest = self._shards[0].manifest()
        if manifest is None:
            raise JnlpError(f"{self.folder} has no documents yet", hint=f"jnlp index PATH… --index {self.folder}")
        return manifest

    def search(self, query: str, /, **chosen: Any) -> list[Hit]:
        """Return the best passages, best first; see `ask.search`.

        Args:
            query: A question or words.
            chosen: Fields of `SearchOptions`.
        """
        return self.search_many([query], **chosen)[0]

    def search_many(self, queries: Sequence[str], /, **chosen: Any) -> list[list[Hit]]:
        """Return the best passages for each query, best first; see `ask.search_many`."""
        return ask.search_many([self], queries, build(SearchOptions, chosen, where="search"))

    @contextmanager
    def view(self, manifest: Manifest, narrowing: Narrowing, /) -> Iterator[View | None]:
        """Open a snapshot of the last commit for a search; yield None if the manifest has changed.

        Args:
            manifest: The manifest for which the query was prepared.
            narrowing: The passages that may be found.
        """
        with self._lock, damage_reported(self.folder, reading=True), ExitStack() as snapshots:
            self._renew()
            versions: list[int] = []
            for shard in self._shards:
                try:
                    version = snapshots.enter_context(shard.snapshot(manifest))
                except DamagedIndexError:
                    if stamp_of(self.folder) == self._stamp:
                        raise
                    version = None  # a rebuild has replaced the shards
                if version is None:
                    yield None
                    return
                versions.append(version)
            among: Sequence[IntArray | None] = [None] * len(versions)
            if narrowing:
                pairs = zip(self._shards, versions, strict=True)
                among = select([(shard.selection, version) for shard, version in pairs], narrowing)
            parts = zip(self._shards, versions, among, strict=True)
            yield View([shard.part(version, chunks) for shard, version, chunks in parts])

    def _open(self) -> list[Opened]:
        """Open the shards; those of the next generation if a rebuild puts them in place meanwhile."""
        while True:
            self._stamp = stamp_of(self.folder)
            try:
                return _open_all(folders_of(self.folder))
            except JnlpError:
                if stamp_of(self.folder) == self._stamp:
                    raise

    def _renew(self) -> None:
        """Open the shards of a new generation."""
        if stamp_of(self.folder) != self._stamp:
            old, self._shards = self._shards, self._open()
            for shard in old:
                shard.close()

    def query_vectors(self, manifest: Manifest, queries: Sequence[str], /) -> tuple[FloatArray, SearchScores | None]:
        """Return the unit vectors of queries, float32 `[n, d]`, and the model's measured scores."""
        embedder = self._embedder(manifest)
        found = embedder.embed(queries, purpose=Purpose.QUERY).vectors
        return checked_unit(found, manifest.model), embedder.search

    def vectors(self, manifest: Manifest, texts: Sequence[str], /) -> FloatArray:
        """Return unit vectors of parts of passages, float32 `[n, d]`."""
        return embed_passages(self._embedder(manifest), manifest.model, texts)

    def reranker(self, model: str, /) -> Reranker:
        """Return a cross-encoder.

        Raises:
            JnlpError: The model is not a reranker.
        """
        return load_reranker(self._models, model)

    def is_outdated(self) -> bool:
        """Return True if the full text was made with other rules or another dictionary than this search uses."""
        manifest = self.manifest()
        return analyser(manifest.analyser).version != manifest.analyser_version

    def documents(self) -> Iterator[tuple[Place, Document]]:
        """Yield the documents by number, each with its place."""
        with self._snapshots() as catalogs:
            roots = {root.id: root for root in catalogs[0].roots()}
            numbered = merge(*(catalog.documents() for catalog in catalogs), key=itemgetter(0))
            found = [(place_of(document, roots), document) for _, document in numbered]
        yield from found

    def document(self, name: str, /) -> StoredDocument:
        """Return a document by the name that hits show, or by `Place.name`; raise UsageError if there is none."""
        with self._snapshots() as catalogs:
            return stored_document(catalogs, self.folder, name)

    @contextmanager
    def _snapshots(self) -> Iterator[list[Catalog]]:
        """Open a snapshot of each shard."""
        with self._lock, damage_reported(self.folder, reading=True), ExitStack() as snapshots:
            self._renew()
            for shard in self._shards:
                snapshots.enter_context(shard.catalog.snapshot())
            yield [shard.catalog for shard in self._shards]

    def close(self) -> None:
        """Release the files."""
        with self._lock:
            for shard in self._shards:
                shard.close()

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


def _open_all(folders: Sequence[Path]) -> list[Opened]:
    shards: list[Opened] = []
    try:
        for folder in folders:
            shards.append(Opened(folder, len(folders)))
    except BaseException:
        for shard in shards:
            shard.close()
        raise
    return shards
