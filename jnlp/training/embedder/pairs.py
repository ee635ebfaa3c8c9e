"""Training data of embedders and rerankers: positive pairs with negatives, and graded pairs."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from jnlp.errors import JnlpError
from jnlp.training.splits import duplicate_key, hold_out_linked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jnlp.types import Example

ENTAILMENT, NEUTRAL, CONTRADICTION = "entailment", "neutral", "contradiction"
_IGNORED = frozenset({NEUTRAL, "non-entailment"})


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and a document that answers it, with documents that do not.

    Args:
        query: The query, or the first of two texts with the same meaning.
        document: The document that matches it.
        negatives: Hard negatives: similar documents that do not answer.
        group: Pairs of one group (an article, an author) are held out together.
    """

    query: str
    document: str
    negatives: tuple[str, ...] = ()
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Graded:
    """Two texts with a similarity score; only the order of scores matters."""

    first: str
    second: str
    score: float
    group: str | None = None


@dataclass(frozen=True, slots=True)
class PairSet:
    """Pairs of one kind. Batches do not mix kinds, so in-batch negatives are of the same kind.

    Args:
        name: For the card.
        pairs: The pairs.
        symmetric: Both texts are of one sort (NLI, paraphrases): both take the prefix of similarity.
        weight: Passes over the pairs in one epoch; a fraction draws a share of them.
    """

    name: str
    pairs: Sequence[Pair]
    symmetric: bool = False
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class GradedSet:
    """Graded pairs; both texts take the prefix of similarity."""

    name: str
    pairs: Sequence[Graded]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class TextSet:
    """Single texts, of which a teacher says how they are related."""

    name: str
    texts: Sequence[str]
    weight: float = 1.0


def part_texts(examples: Sequence[Example], /) -> tuple[list[str], list[Example]]:
    """Return the single texts among examples, and the examples that are pairs."""
    texts = [example.text for example in examples if isinstance(example.text, str)]
    return texts, [example for example in examples if not isinstance(example.text, str)]


def sets_of(examples: Sequence[Example], /) -> tuple[list[PairSet], list[GradedSet]]:
    """Sort examples by their label: none makes a pair, a number a graded pair, `entailment` and so on NLI triples.

    Of NLI rows the entailed texts of a premise are its documents and the contradicted ones their negatives.

    Raises:
        JnlpError: An example is not a pair, or its label is none of these.
    """
    plain: list[Pair] = []
    graded: list[Graded] = []
    judged: dict[str, list[tuple[str, Example]]] = defaultdict(list)
    for number, example in enumerate(examples, 1):
        if isinstance(example.text, str):
            raise JnlpError(f"example {number} is not a pair", hint="--text COLUMN --text-pair COLUMN")
        label = example.target
        if label == "":
            plain.append(Pair(*example.text, example.negatives, example.group))
        elif (score := _number(label)) is not None:
            graded.append(Graded(*example.text, score, example.group))
        else:
            judged[example.text[0]].append((_nli(label, number), example))
    nli = [pair for rows in judged.values() for pair in _triples(rows)]
    pair_sets = [PairSet("pairs", plain), PairSet("nli", nli, symmetric=True)]
    return [s for s in pair_sets if s.pairs], [GradedSet("graded", graded)] if graded else []


def _number(label: object) -> float | None:
    try:
        value = float(label)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _nli(label: object, number: int) -> str:
    name = str(label).strip().lower()
    if name not in (ENTAILMENT, CONTRADICTION, *_IGNORED):
        raise JnlpError(
            f"example {number} has the label '{label}'",
            hint="a number, entailment, neutral or contradiction; pairs that belong together need no label",
        )
    return name


def _triples(rows: Iterable[tuple[str, Example]]) -> list[Pair]:
    found = [(label, example.text[1], example) for label, example in rows]
    wrong = tuple(dict.fromkeys(second for label, second, _ in found if label == CONTRADICTION))
    return [
        Pair(example.text[0], second, (*example.negatives, *wrong), example.group)
        for label, second, example in found
        if label == ENTAILMENT
    ]


P = TypeVar("P", Pair, Graded)
T = TypeVar("T")


def hold_out(pairs: Sequence[P], share: float, seed: int, /) -> tuple[list[P], list[P]]:
    """Split pairs into training and validation pairs; equal texts and groups stay together.

    Raises:
        JnlpError: One of the two would be empty.
    """
    return _hold_out(pairs, [_keys(pair) for pair in pairs], share, seed, "pairs are too few, or too much linked,")


def hold_out_texts(texts: Sequence[str], share: float, seed: int, /) -> tuple[list[str], list[str]]:
    """Divide texts into those to train on and those to compare with the teacher; equal texts stay together.

    Raises:
        JnlpError: One of the two would be empty.
    """
    return _hold_out(texts, [[duplicate_key(text)] for text in texts], share, seed, "texts are too few")


def _hold_out(
    items: Sequence[T], keys: Sequence[Sequence[str]], share: float, seed: int, few: str
) -> tuple[list[T], list[T]]:
    held = hold_out_linked(keys, share, seed)
    if not held or len(held) == len(items):
        raise JnlpError(f"{len(items)} {few} to hold some out", hint="give --valid")
    return [item for at, item in enumerate(items) if at not in held], [items[at] for at in sorted(held)]


def key_of(pair: Pair | Graded, /) -> tuple[str, str]:
    """Return what two pairs share when they are the same pair, in either order."""
    texts = (pair.query, pair.document) if isinstance(pair, Pair) else (pair.first, pair.second)
    first, second = sorted(map(duplicate_key, texts))
    return first, second


def keys_of(pairs: Iterable[PairSet], graded: Iterable[GradedSet] = (), /) -> set[tuple[str, str]]:
    """Return the keys of all pairs of some sets."""
    keys = {key_of(pair) for one in pairs for pair in one.pairs}
    return keys | {key_of(pair) for one in graded for pair in one.pairs}


def _keys(pair: Pair | Graded) -> list[str]:
    texts = [f"text {key}" for key in key_of(pair)]
    return texts if pair.group is None else [*texts, f"group {pair.group}"]
