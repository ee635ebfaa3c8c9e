"""Searches an index: both legs, fused; passages with offsets and highlights."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from jnlp.encoder.vectors import unit
from jnlp.errors import JnlpError, UsageError
from jnlp.types import Hit, Purpose
from jnlp_search.analyse import Query, analyser, highlights
from jnlp_search.catalog import Catalog, clear_damage
from jnlp_search.fuse import convex, ranked, with_phrases
from jnlp_search.options import Legs, SearchOptions
from jnlp_search.segments import Segments

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jnlp.types import Embedder, FloatArray, Models
    from jnlp_search.catalog import Passage
    from jnlp_search.schema import Manifest

CANDIDATES = 100
"""Chunks that each leg gives at least; more where too few passages are left of them."""

MOST = 6_400
"""After so many a leg is not asked for more: where one document fills an index, the rest of it is not gone through."""

_DEFAULT = SearchOptions()
_NO_WORDS = Query("", "", frozenset())


def open_index(folder: Path, models: Models, /, *, model: str | None = None) -> LocalIndex:
    """Open an index for searching; another process may go on writing it.

    Args:
        folder: The index.
        models: Gives the embedder, when a search first needs it.
        model: The model to search with; None is the one the index was made with.

    Raises:
        UsageError: There is no index in the folder.
        JnlpError: It cannot be read, or was made with another model.
    """
    return LocalIndex(folder, models, model)


class LocalIndex:
    """An open index folder; several threads may search it."""

    def __init__(self, folder: Path, models: Models, model: str | None = None, /) -> None:
        self.folder = folder
        self._models, self._model = models, model
        self._catalog = Catalog.reading(folder)
        self._segments = Segments(folder)
        self._lock = threading.Lock()
        if model is not None:
            try:
                self._embedder(self.manifest())
            except BaseException:
                self.close()
                raise

    def manifest(self) -> Manifest:
        """Return what the index was made with."""
        with self._lock, clear_damage(self.folder):
            manifest = self._catalog.manifest()
        if manifest is None:
            raise JnlpError(f"{self.folder} holds no documents yet", hint=f"jnlp index PATH… --index {self.folder}")
        return manifest

    def search(
        self,
        query: str,
        /,
        *,
        top: int = _DEFAULT.top,
        legs: Legs | str = _DEFAULT.legs,
        per_document: int = _DEFAULT.per_document,
        dense_weight: float = _DEFAULT.dense_weight,
    ) -> list[Hit]:
        """Return the best passages, best first; of passages with the same text the best one only.

        The score is a cosine (`dense`), BM25 (`lexical`), or between 0 and 1 (`hybrid`, see `fuse.convex`).

        Args:
            query: A question or words.
            top: How many passages.
            legs: `hybrid`, `dense` or `lexical`.
            per_document: At most so many of one document; 0 is no limit.
            dense_weight: The vectors' share of a hybrid score.

        Raises:
            UsageError: The query is empty, or no text.
            JnlpError: The model at hand is not the one that the index was made with.
        """
        if not query.strip():
            raise UsageError("the query is empty", hint="give words or a question")
        if any("\ud800" <= character <= "\udfff" for character in query):
            raise UsageError("the query has bytes that are no text", hint="type it in the terminal's own encoding")
        legs = Legs(legs)
        while True:
            manifest = self.manifest()
            words = analyser(manifest.analyser)
            asked = words.query(query)
            vector = None if legs is Legs.LEXICAL else self._vector(manifest, query)
            with self._lock, clear_damage(self.folder), self._catalog.snapshot() as version:
                if self._catalog.manifest() != manifest:
                    continue  # rebuilt since the query was embedded
                self._segments.sync(self._catalog, version)
                leg = _NO_WORDS if legs is Legs.DENSE else asked
                found = self._found(leg, vector, top, per_document, dense_weight)
            break
        return [
            Hit(
                rank=rank,
                score=score,
                document=passage.document,
                chunk=passage.ordinal,
                start=passage.start,
                end=passage.stop,
                text=passage.text,
                highlights=highlights(words, asked, passage.text),
                metadata=json.loads(passage.metadata),
            )
            for rank, (passage, score) in enumerate(found, 1)
        ]

    def close(self) -> None:
        """Release the files."""
        with self._lock:
            self._catalog.close()

    def __enter__(self) -> LocalIndex:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _found(
        self, asked: Query, vector: FloatArray | None, top: int, per_document: int, dense_weight: float
    ) -> list[tuple[Passage, float]]:
        """Ask for candidates, more of them while too few are left when doubles and crowding documents are out."""
        limit = max(CANDIDATES, 4 * top)
        while True:
            scores = self._scores(asked, vector, limit, dense_weight)
            order = ranked(scores)
            found = _chosen(order, self._catalog.passages([chunk for chunk, _ in order]), top, per_document)
            if len(found) >= top or len(order) < limit or limit >= MOST:
                return found
            limit *= 4

    def _scores(self, asked: Query, vector: FloatArray | None, limit: int, dense_weight: float) -> Mapping[int, float]:
        words = with_phrases(self._catalog.lexical(asked.match, limit), self._catalog.lexical(asked.phrases, limit))
        if vector is None:
            return words
        dense = self._segments.search(vector, limit)
        if not asked.match:
            return dense
        # What only the words found gets its exact cosine too.
        chunks, rows = self._catalog.vectors([chunk for chunk in words if chunk not in dense])
        if chunks:
            dense |= dict(zip(chunks, (rows @ vector).tolist(), strict=True))
        return convex(words, dense, dense_weight)

    def _vector(self, manifest: Manifest, query: str) -> FloatArray:
        vector: FloatArray = unit(self._embedder(manifest).embed([query], purpose=Purpose.QUERY).vectors)[0]
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


def _chosen(
    order: list[tuple[int, float]], passages: Mapping[int, Passage], top: int, per_document: int
) -> list[tuple[Passage, float]]:
    """Return the first `top` passages, without doubles and without more than `per_document` of one document."""
    chosen: list[tuple[Passage, float]] = []
    texts: set[str] = set()
    of_document: dict[str, int] = {}
    for chunk, score in order:
        passage = passages[chunk]
        text = " ".join(passage.text.split())
        count = of_document.get(passage.document, 0)
        if text in texts or (per_document and count >= per_document):
            continue
        texts.add(text)
        of_document[passage.document] = count + 1
        chosen.append((passage, score))
        if len(chosen) == top:
            break
    return chosen
