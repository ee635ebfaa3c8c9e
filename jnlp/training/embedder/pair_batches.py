"""Pairs as token sequences, in batches of documents with all their queries; each text is encoded once per step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jnlp.encoder.windows import frame
from jnlp.training.embedder.hard_negatives import gather_batches
from jnlp.training.splits import duplicate_key
from jnlp.types import Overflow, Purpose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from jnlp.encoder.tokenizer import Tokenizer
    from jnlp.training.embedder.pairs import GradedSet, Pair, PairSet, TextSet

    Ids = NDArray[np.int64]
    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]
    Encode = Callable[[Sequence[str], Purpose], list[Ids]]
    Teach = Callable[[Sequence[str], Purpose], Floats]


@dataclass(frozen=True, slots=True)
class PairIds:
    """A set of pairs as token sequences, each text once.

    Args:
        name: The set's.
        weight: Passes an epoch.
        queries: Token ids of each query.
        documents: Token ids of each document, negatives included.
        owner: int64 `[q]`, each query's document.
        positives: All documents that a query's text is paired with.
        negatives: The negatives given with each query.
        asked: The queries of each document.
        siblings: The other documents of each document's group, the next ones first.
        taught: A teacher's unit vectors of queries and documents, float32 `[q, t]` and `[n, t]`, or None.
    """

    name: str
    weight: float
    queries: list[Ids]
    documents: list[Ids]
    owner: Ints
    positives: list[frozenset[int]]
    negatives: list[tuple[int, ...]]
    asked: list[list[int]]
    siblings: list[list[int]]
    taught: tuple[Floats, Floats] | None = None


@dataclass(frozen=True, slots=True)
class TextIds:
    """Single texts as token sequences, and a teacher's unit vectors of them, float32 `[n, t]`."""

    name: str
    weight: float
    texts: list[Ids]
    taught: Floats


@dataclass(frozen=True, slots=True)
class GradedIds:
    """Graded pairs as token sequences, and their float32 grades `[n]`."""

    name: str
    weight: float
    first: list[Ids]
    second: list[Ids]
    grades: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of a `PairIds` that go through together.

    Args:
        queries: Numbers of queries.
        documents: Numbers of documents: those of the queries and their negatives.
        owner: int64 `[queries]`, each query's place in `documents`.
        hidden: bool `[queries, documents]`, true where a document answers the query too and is not its own.
    """

    queries: list[int]
    documents: list[int]
    owner: Ints
    hidden: NDArray[np.bool_]


def encoder_of(tokenizer: Tokenizer, prefixes: Mapping[Purpose, str], max_length: int, /) -> Encode:
    """Return what turns texts into token ids as inference does: prefix, special tokens, cut to `max_length`."""

    def encode(texts: Sequence[str], purpose: Purpose) -> list[Ids]:
        framed = frame(texts, tokenizer, max_length, Overflow.TRUNCATE, prefix=prefixes.get(purpose, ""))
        return [f.window(0).ids for f in framed]

    return encode


def encode_pairs(pairs: PairSet, encode: Encode, teach: Teach | None = None, /) -> PairIds:
    """Return a set's texts as token ids, and a teacher's vectors of them; a repeated pair is taken once."""
    seen: dict[tuple[str, str], int] = {}
    documents: dict[str, int] = {}
    by_query: dict[str, set[int]] = {}
    rows: list[tuple[Pair, str, int]] = []
    for pair in pairs.pairs:
        query, document = duplicate_key(pair.query), documents.setdefault(pair.document, len(documents))
        by_query.setdefault(query, set()).add(document)
        if (query, duplicate_key(pair.document)) not in seen:
            seen[query, duplicate_key(pair.document)] = len(rows)
            rows.append((pair, query, document))
    negatives = [tuple(documents.setdefault(n, len(documents)) for n in pair.negatives) for pair, _, _ in rows]
    sides = (Purpose.SIMILARITY, Purpose.SIMILARITY) if pairs.symmetric else (Purpose.QUERY, Purpose.DOCUMENT)
    asked: list[list[int]] = [[] for _ in documents]
    for number, (_, _, document) in enumerate(rows):
        asked[document].append(number)
    positives = [frozenset(by_query[query]) for _, query, _ in rows]
    queries = [pair.query for pair, _, _ in rows]
    return PairIds(
        pairs.name,
        pairs.weight,
        encode(queries, sides[0]),
        encode(list(documents), sides[1]),
        np.array([document for _, _, document in rows], np.int64),
        positives,
        [tuple(n for n in own if n not in right) for own, right in zip(negatives, positives, strict=True)],
        asked,
        _siblings(len(documents), {document: pair.group for pair, _, document in rows}),
        (teach(queries, sides[0]), teach(list(documents), sides[1])) if teach else None,
    )


def _siblings(count: int, groups: Mapping[int, str | None]) -> list[list[int]]:
    """Return for each document the others of its group, in turn: those that follow it, then the first ones."""
    members: dict[str, list[int]] = {}
    for document, group in groups.items():
        if group is not None:
            members.setdefault(group, []).append(document)
    found: list[list[int]] = [[] for _ in range(count)]
    for own in members.values():
        for at, document in enumerate(own):
            found[document] = own[at + 1 :] + own[:at]
    return found


def encode_texts(texts: TextSet, encode: Encode, teach: Teach, /) -> TextIds:
    """Return single texts as token ids, and a teacher's vectors of them; a repeated text is taken once."""
    each = list(dict.fromkeys(texts.texts))
    return TextIds(texts.name, texts.weight, encode(each, Purpose.DOCUMENT), teach(each, Purpose.DOCUMENT))


def encode_graded(graded: GradedSet, encode: Encode, /) -> GradedIds:
    """Return graded pairs as token ids."""
    return GradedIds(
        graded.name,
        graded.weight,
        encode([pair.first for pair in graded.pairs], Purpose.SIMILARITY),
        encode([pair.second for pair in graded.pairs], Purpose.SIMILARITY),
        np.array([pair.score for pair in graded.pairs], np.float32),
    )


def draw(count: int, weight: float, rng: np.random.Generator, /) -> list[int]:
    """Return numbers below `count` in random order, each as often as the weight's whole part, and a share once more."""
    order: list[int] = []
    while weight > 0:
        order += rng.permutation(count)[: round(count * min(1.0, weight))].tolist()
        weight -= 1.0
    return order


def pair_batches(
    data: PairIds,
    rng: np.random.Generator,
    size: int,
    /,
    *,
    near: Sequence[Sequence[int]] | None = None,
    count: int = 0,
    per_document: int = 4,
    given: int = 1,
) -> Iterator[Batch]:
    """Yield the batches of one epoch.

    Args:
        data: The pairs.
        rng: Decides the order.
        size: Documents with queries in a batch; the negatives given come on top.
        near: Hard negatives of each document, to be met in the same batch; None has none yet.
        count: How many of these a document brings along.
        per_document: Queries of one document at most; a random choice of more.
        given: Negatives given with a query that are taken in, a random choice of more.
    """
    asked = [d for d, queries in enumerate(data.asked) if queries]
    weight = data.weight
    while weight > 0:  # one pass at a time, so that no document meets itself
        order = [asked[i] for i in draw(len(asked), min(1.0, weight), rng)]
        weight -= 1.0
        # a negative that was given has no query: it comes with its own, and would take the place of a positive
        bringing = [[d for d in own if data.asked[d]] for own in near or [()] * len(data.documents)]
        for documents in gather_batches(order, bringing, size, count if near is not None else 0):
            yield _batch(data, rng, documents, per_document, given)


def _batch(data: PairIds, rng: np.random.Generator, documents: list[int], per_document: int, given: int) -> Batch:
    queries: list[int] = []
    for document in documents:
        own = data.asked[document]
        queries += own if len(own) <= per_document else rng.choice(own, per_document, replace=False).tolist()
    place = {document: at for at, document in enumerate(documents)}
    for query in queries:
        own = list(data.negatives[query])
        for negative in own if len(own) <= given else rng.choice(own, given, replace=False).tolist():
            place.setdefault(negative, len(place))
    hidden = np.zeros((len(queries), len(place)), bool)
    for row, query in enumerate(queries):
        hidden[row, [place[d] for d in data.positives[query] if d in place and d != data.owner[query]]] = True
    owner = np.array([place[int(data.owner[query])] for query in queries], np.int64)
    return Batch(queries, list(place), owner, hidden)
