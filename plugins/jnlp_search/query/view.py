"""A snapshot of an index for a search."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jnlp.types import Hit, Place
from jnlp_search.analyse import is_sign, joined
from jnlp_search.offsets import spans_at
from jnlp_search.query.bm25 import Ranking
from jnlp_search.query.scores import word_weights
from jnlp_search.roots import display_name, display_path
from jnlp_search.store.entries import PATH
from jnlp_search.store.tokens import tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

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
        roots: The folders that were indexed, by number.
    """

    catalog: Catalog
    segments: Segments
    words: Words
    roots: dict[int, Root]


@dataclass(frozen=True, slots=True)
class Marks:
    """A query's words in a passage, as the full text has them.

    Args:
        forms: The words.
        places: Where they are among its words, ascending.
        offsets: Where its words are in the text; None if that is not kept.
    """

    forms: frozenset[str]
    places: tuple[int, ...] = ()
    offsets: bytes | None = None

    @property
    def spans(self) -> tuple[tuple[int, int], ...] | None:
        """The offsets to highlight in the passage; None if the index does not tell."""
        if not self.forms:
            return ()
        if self.offsets is None:
            return None
        return joined(spans_at(self.offsets, self.places))


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
        self._read: dict[int, Passage] = {}

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
        for part, own in self._by_shard([chunk for chunk in chunks if chunk not in self._read]):
            passages = part.catalog.passages(own)
            self._read |= passages
            for passage in passages.values() if len(self._parts) > 1 else ():
                self._shard_of_document[passage.document] = self._shard[passage.chunk]
        return {chunk: self._read[chunk] for chunk in chunks}

    def marks(self, forms: Iterable[str], passages: Iterable[Passage], /) -> dict[int, Marks]:
        """Return what the full text tells of index words in passages, by chunk; none for a passage it does not tell of.

        Args:
            forms: The words.
            passages: Some that were found.
        """
        import numpy as np

        asked = list(forms)
        signs = any(map(is_sign, asked))  # Markdown's are shown, and not in the full text
        told = {
            passage.chunk: passage
            for passage in passages
            if passage.analysed or (passage.offsets is not None and not signs)
        }
        if not all(tokens(form) == (form,) for form in asked):
            return {}
        has: dict[int, list[str]] = {chunk: [] for chunk in told}
        places: dict[int, list[int]] = {chunk: [] for chunk in told}
        for part, own in self._by_shard(list(told)):
            chunks = np.array(own, np.int64)
            for form in asked:
                for chunk, at in part.words.postings.find(form).within(chunks):
                    has[chunk].append(form)
                    places[chunk] += at
        return {
            chunk: Marks(frozenset(has[chunk]), tuple(sorted(places[chunk])), passage.offsets)
            for chunk, passage in told.items()
        }

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
        shared = self._sharing({passage.same for passage in passages}) if sharing else {}
        wanted = {passage.document for passage in passages}.union(*(numbers for _, numbers in shared.values()))
        documents: dict[int, Document] = {}
        for part in self._parts:
            own = [number for number in sorted(wanted) if self._part_of(number) is part]
            documents |= dict(part.catalog.documents(own))
        roots = self._parts[0].roots
        for passage in passages:
            if passage.document not in documents:
                raise self._part_of(passage.document).catalog.damaged(f"document {passage.document} is missing")
            count, numbers = shared.get(passage.same, (1, []))
            others = [number for number in numbers if number != passage.document and number in documents]
            also = tuple(place_of(documents[number], roots) for number in others[:MOST_PLACES])
            yield hit_of(passage, documents[passage.document], roots, count, also)

    def _sharing(self, same: Collection[bytes]) -> dict[bytes, tuple[int, list[int]]]:
        """Return for passages how many documents have each, and the numbers of the first of them, ascending."""
        found: dict[bytes, tuple[int, list[int]]] = {}
        for shard, part in enumerate(self._parts):
            for one, (count, numbers) in part.catalog.documents_with(same, MOST_PLACES + 1).items():
                self._shard_of_document.update(dict.fromkeys(numbers, shard))
                before, known = found.get(one, (0, []))
                found[one] = before + count, sorted([*known, *numbers])[: MOST_PLACES + 1]
        return found

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
