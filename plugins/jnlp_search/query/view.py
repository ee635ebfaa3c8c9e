"""A snapshot of an index for a search."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jnlp.types import Hit, Place
from jnlp_search.draft import PATH
from jnlp_search.query.bm25 import Ranking
from jnlp_search.query.scores import word_weights
from jnlp_search.roots import display_name, display_path
from jnlp_search.store.postings import tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from jnlp.types import FloatArray
    from jnlp_search.analyse import Query
    from jnlp_search.query.bm25 import Words
    from jnlp_search.store.catalog import Catalog
    from jnlp_search.store.entries import Document, Passage, Root
    from jnlp_search.store.nearest import Segments

MOST_PLACES = 100
"""Maximum documents listed for a shared passage."""


@dataclass(frozen=True, slots=True)
class Part:
    """A snapshot of a shard, or of an index without shards; the caller holds its lock.

    Args:
        catalog: The catalogue, within the snapshot.
        segments: The segments of the snapshot.
        words: Its full text.
    """

    catalog: Catalog
    segments: Segments
    words: Words


class View:
    """The queries of a search to one index. Numbers of chunks and documents are unique in all of its shards.

    Args:
        parts: Its shards.
    """

    def __init__(self, parts: Sequence[Part], /) -> None:
        self._parts = parts
        self._ranking = Ranking([part.words for part in parts])
        self._near: dict[tuple[bytes, int], dict[int, float]] = {}
        self._shard: dict[int, int] = {}  # of the chunks that were found
        self._shard_of_document: dict[int, int] = {}

    @property
    def count(self) -> int:
        """The number of passages that are searched: those that a condition, a phrase or an excluded word leaves."""
        among = [part.words.among for part in self._parts]
        sizes = (part.words.postings.size[0] for part in self._parts)
        return sum(size if left is None else len(left) for size, left in zip(sizes, among, strict=True))

    def lexical(self, asked: Query, limit: int, /) -> dict[int, float]:
        """Return BM25 by chunk, of the best chunks for the query's words and phrases."""
        return self._ranking.lexical(asked, limit, found=self._found)

    def prepare(self, vectors: FloatArray, limit: int, /) -> None:
        """Find the nearest chunks of several vectors at once, for later calls of `nearest`.

        Args:
            vectors: float32 `[q, d]`.
            limit: The maximum number of chunks that will be asked for.
        """
        found: list[dict[int, float]] = [{} for _ in vectors]
        for number, part in enumerate(self._parts):
            for own, near in zip(found, part.segments.search(vectors, limit, among=part.words.among), strict=True):
                self._found(number, near)
                own.update(near)
        if len(self._parts) > 1:
            found = [dict(sorted(near.items(), key=lambda item: (-item[1], item[0]))[:limit]) for near in found]
        keys = ((vector.tobytes(), limit) for vector in vectors)
        self._near = dict(zip(keys, found, strict=True))

    def nearest(self, vector: FloatArray, limit: int, /) -> dict[int, float]:
        """Return the cosine by chunk of the nearest chunks."""
        key = vector.tobytes(), limit
        if key not in self._near:
            self.prepare(vector[None], limit)
        return self._near[key]

    def cosines(self, vector: FloatArray, chunks: Sequence[int], /) -> dict[int, float]:
        """Return the exact cosine by chunk, of chunks that were found."""
        found: dict[int, float] = {}
        for part, own in self._by_shard(chunks):
            found |= part.segments.cosines(vector, own)
        return found

    def passages(self, chunks: Sequence[int], /) -> dict[int, Passage]:
        """Return passages by chunk, of chunks that were found."""
        found: dict[int, Passage] = {}
        for part, own in self._by_shard(chunks):
            passages = part.catalog.passages(own)
            found |= passages
            for passage in passages.values() if len(self._parts) > 1 else ():
                self._shard_of_document[passage.document] = self._shard[passage.chunk]
        return found

    def words_in(self, forms: Iterable[str], passage: Passage, /) -> frozenset[str] | None:
        """Return which of some index words a passage has, without analysing it; None if the full text does not tell.

        Args:
            forms: The words.
            passage: One that was found.
        """
        if not passage.analysed:
            return None
        found = []
        postings = self._parts[self._shard[passage.chunk] if len(self._parts) > 1 else 0].words.postings
        for form in forms:
            if tokens(form) != (form,):
                return None
            chunks = postings.find(form).chunks
            at = int(chunks.searchsorted(passage.chunk))
            if at < len(chunks) and chunks[at] == passage.chunk:
                found.append(form)
        return frozenset(found)

    def neighbours(self, passage: Passage, count: int, /) -> list[Passage]:
        """Return passages of the same document, as many as `count` before it and after it, in their order."""
        return self._part_of(passage.document).catalog.neighbours(passage, count)

    def weights(self, asked: Query, /) -> dict[str, float]:
        """Return the weight of each word of the query; rarer words weigh more."""
        return word_weights(self._ranking.count, self._ranking.held(sorted(asked.forms)))

    def hits(self, passages: Sequence[Passage], /, *, sharing: bool) -> Iterator[Hit]:
        """Yield bare hits: rank and score 0, no highlights.

        Args:
            passages: The passages found.
            sharing: Whether to list the other documents that have the passage.
        """
        shared = {passage.same: self._sharing(passage.same) if sharing else (1, []) for passage in passages}
        wanted = {passage.document for passage in passages}.union(*(numbers for _, numbers in shared.values()))
        documents: dict[int, Document] = {}
        for part in self._parts:
            own = [number for number in sorted(wanted) if self._part_of(number) is part]
            documents |= dict(part.catalog.documents(own))
        roots = {root.id: root for root in self._parts[0].catalog.roots()}
        for passage in passages:
            if passage.document not in documents:
                raise self._part_of(passage.document).catalog.damaged(f"document {passage.document} is missing")
            count, numbers = shared[passage.same]
            others = [number for number in numbers if number != passage.document and number in documents]
            also = tuple(place_of(documents[number], roots) for number in others[:MOST_PLACES])
            yield hit_of(passage, documents[passage.document], roots, count, also)

    def _sharing(self, same: bytes) -> tuple[int, list[int]]:
        """Return how many documents have a passage, and the numbers of the first of them, ascending."""
        count, found = 0, list[int]()
        for shard, part in enumerate(self._parts):
            own, numbers = part.catalog.documents_with(same, MOST_PLACES + 1)
            self._shard_of_document.update(dict.fromkeys(numbers, shard))
            count, found = count + own, [*found, *numbers]
        return count, sorted(found)[: MOST_PLACES + 1]

    def _found(self, shard: int, chunks: Iterable[int]) -> None:
        """Note in which shard chunks are."""
        if len(self._parts) > 1:
            self._shard.update(dict.fromkeys(chunks, shard))

    def _by_shard(self, chunks: Sequence[int]) -> Iterator[tuple[Part, list[int]]]:
        if len(self._parts) == 1:
            yield self._parts[0], list(chunks)
            return
        own: dict[int, list[int]] = {}
        for chunk in chunks:
            own.setdefault(self._shard[chunk], []).append(chunk)
        for number, some in own.items():
            yield self._parts[number], some

    def _part_of(self, document: int) -> Part:
        return self._parts[self._shard_of_document[document] if len(self._parts) > 1 else 0]


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
