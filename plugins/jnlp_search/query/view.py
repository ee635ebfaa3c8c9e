"""A snapshot of an index for a search."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jnlp.types import Hit, Place
from jnlp_search.draft import PATH
from jnlp_search.fuse import sort_by_score, with_phrases
from jnlp_search.query.scores import word_weights
from jnlp_search.roots import display_name, display_path
from jnlp_search.store.selection import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jnlp.types import FloatArray, IntArray
    from jnlp_search.analyse import Query
    from jnlp_search.store.catalog import Catalog
    from jnlp_search.store.entries import Document, Passage, Root
    from jnlp_search.store.segments import Segments
    from jnlp_search.store.terms import Terms

SMALL = 1_000
"""Up to so many selected chunks, vectors are read and compared directly."""

MOST_PLACES = 100
"""Maximum documents listed for a shared passage."""


class View:
    """The queries of a search to one index; the caller holds its lock and its snapshot.

    Args:
        catalog: The catalogue, within a snapshot.
        segments: The segments of that snapshot.
        terms: The number of passages with a word.
        version: The number of the snapshot.
        among: The chunks to search, int64 ascending; None is all.
    """

    def __init__(
        self, catalog: Catalog, segments: Segments, terms: Terms, version: int, among: IntArray | None, /
    ) -> None:
        self._catalog, self._segments, self._terms = catalog, segments, terms
        self._version, self._among = version, among

    def lexical(self, asked: Query, limit: int, /) -> dict[int, float]:
        """Return BM25 by chunk, of the best chunks for the query's words and phrases."""
        among = "" if self._among is None else TABLE
        words, phrases = (self._catalog.lexical(match, limit, among=among) for match in (asked.match, asked.phrases))
        return with_phrases(words, phrases)

    def nearest(self, vector: FloatArray, limit: int, /) -> dict[int, float]:
        """Return the cosine by chunk of the nearest chunks."""
        if self._among is None or len(self._among) > SMALL:
            return self._segments.search(vector, limit, among=self._among)
        return dict(sort_by_score(self.cosines(vector, self._among.tolist()))[:limit])

    def cosines(self, vector: FloatArray, chunks: Sequence[int], /) -> dict[int, float]:
        """Return the exact cosine by chunk."""
        if not chunks:
            return {}
        found, rows = self._catalog.vectors(chunks)
        return dict(zip(found, (rows @ vector).tolist(), strict=True))

    def passages(self, chunks: Sequence[int], /) -> dict[int, Passage]:
        """Return passages by chunk."""
        return self._catalog.passages(chunks)

    def neighbours(self, passage: Passage, count: int, /) -> list[Passage]:
        """Return passages of the same document, as many as `count` before it and after it, in their order."""
        return self._catalog.neighbours(passage, count)

    def weights(self, asked: Query, /) -> dict[str, float]:
        """Return the weight of each word of the query; rarer words weigh more."""
        return word_weights(*self._terms.counts(sorted(asked.forms), self._version))

    def hits(self, passages: Sequence[Passage], /, *, sharing: bool) -> Iterator[Hit]:
        """Yield bare hits: rank and score 0, no highlights.

        Args:
            passages: The passages found.
            sharing: Whether to list the other documents that have the passage.
        """
        shared = {
            passage.same: self._catalog.documents_with(passage.same, MOST_PLACES + 1) if sharing else (1, [])
            for passage in passages
        }
        wanted = {passage.document for passage in passages}.union(*(numbers for _, numbers in shared.values()))
        documents = dict(self._catalog.documents(sorted(wanted)))
        roots = {root.id: root for root in self._catalog.roots()}
        for passage in passages:
            if passage.document not in documents:
                raise self._catalog.damaged(f"document {passage.document} is missing")
            count, numbers = shared[passage.same]
            others = [number for number in numbers if number != passage.document and number in documents]
            also = tuple(place_of(documents[number], roots) for number in others[:MOST_PLACES])
            yield hit_of(passage, documents[passage.document], roots, count, also)


def hit_of(
    passage: Passage, document: Document, roots: dict[int, Root], count: int = 1, also: tuple[Place, ...] = (), /
) -> Hit:
    """Return a passage as a bare hit: rank and score 0, no highlights."""
    place, metadata = place_of(document, roots), json.loads(document.metadata)
    spot = passage.read_place()
    return Hit(
        rank=0,
        score=0.0,
        document=place.document,
        chunk=passage.ordinal,
        start=passage.start,
        end=passage.stop,
        text=passage.text,
        metadata={**metadata, PATH: place.path} if metadata.get(PATH, "") is None else metadata,
        path=place.path,
        line=spot.get("line", place.line),
        headings=tuple(spot.get("headings", ())),
        page=spot.get("page"),
        slide=spot.get("slide"),
        count=count,
        also=also,
    )


def place_of(document: Document, roots: dict[int, Root], /) -> Place:
    """Return where a document is, as a user knows it."""
    return Place(display_name(document, roots), display_path(document, roots), document.line)
