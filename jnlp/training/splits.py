"""Splits examples into training, validation and test sets without leaks."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from jnlp.errors import JnlpError
from jnlp.patterns import deferred

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from jnlp.types import Example, Text

T = TypeVar("T")

_SPACE = deferred(r"\s+")
_BINS = 5


@dataclass(frozen=True, slots=True)
class Split:
    """Three disjoint lists of positions, each ascending."""

    train: tuple[int, ...]
    valid: tuple[int, ...]
    test: tuple[int, ...]


def duplicate_key(text: Text, /) -> str:
    """Return a key that equal texts share: NFKC, case folded, without white space; a pair has one key."""
    parts = (text,) if isinstance(text, str) else text
    return "\0".join(_SPACE.sub("", unicodedata.normalize("NFKC", part).casefold()) for part in parts)


def components(examples: Sequence[Example], /) -> list[list[int]]:
    """Return the positions that must stay together: those linked by an equal text or an equal group, in order."""
    texts = [[("text", duplicate_key(example.text))] for example in examples]
    groups = [[("group", example.group)] if example.group is not None else [] for example in examples]
    return link_rows([[*text, *group] for text, group in zip(texts, groups, strict=True)])


def link_rows(keys: Sequence[Sequence[Hashable]], /) -> list[list[int]]:
    """Return the rows that share a key, directly or through others, as ascending lists in the order of their first.

    Args:
        keys: The keys of each row.

    Example:
        >>> link_rows([["a"], ["b"], ["a", "c"], ["c"]])
        [[0, 2, 3], [1]]
    """
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    numbers: dict[Hashable, int] = {}
    rows = [row for row, own in enumerate(keys) for _ in own]
    columns = [len(keys) + numbers.setdefault(key, len(numbers)) for own in keys for key in own]
    size = len(keys) + len(numbers)
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    members: dict[int, list[int]] = defaultdict(list)
    for row, number in enumerate(component[: len(keys)].tolist()):
        members[number].append(row)
    return list(members.values())


def split(examples: Sequence[Example], /, *, valid: float = 0.1, test: float = 0.1, seed: int = 0) -> Split:
    """Split examples so that labels keep their shares, and equal texts or groups are never in two sets.

    Components (equal text, equal group) are assigned as a whole, largest first, each to the set that still needs most
    of its labels. Numbers are stratified by quantile. The first component of every label goes to training.

    Args:
        examples: The examples.
        valid: The share of the validation set; 0 leaves it empty.
        test: The share of the test set; 0 leaves it empty.
        seed: The seed of the order of components of equal size.

    Raises:
        JnlpError: A requested set would be empty.
    """
    if not (0 <= valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise JnlpError(f"the shares valid={valid} and test={test} leave nothing to train on")
    shares = {"train": 1 - valid - test, "valid": valid, "test": test}
    wanted = {name: share for name, share in shares.items() if share > 0}
    together = components(examples)
    dealt = _deal(together, _strata([example.target for example in examples]), wanted, seed)
    for name in wanted:
        if not dealt[name]:
            groups = f" in {len(together)} groups that belong together" if len(together) < len(examples) else ""
            raise JnlpError(
                f"{len(examples)} examples{groups} are too few to hold out a {name} set",
                hint=f"give more examples, or --{name}-share 0; are --text and --label the right columns?",
            )
    return Split(*(tuple(sorted(dealt[name])) for name in ("train", "valid", "test")))


def hold_out_linked(keys: Sequence[Sequence[Hashable]], share: float, seed: int, /) -> set[int]:
    """Return about a share of the rows: whole components of rows that have a key in common; perhaps none.

    Args:
        keys: The keys of each row.
        share: The wanted share.
        seed: Decides which.
    """
    parts = link_rows(keys)
    random.Random(seed).shuffle(parts)
    wanted, held = max(1, round(share * len(keys))), set[int]()
    for part in parts if len(parts) > 1 else []:
        if len(held) < wanted and len(held) + len(part) <= max(1.5 * wanted, 1):
            held.update(part)
    return held


def take(items: Sequence[T], positions: Iterable[int], /) -> list[T]:
    """Return the items at the given positions."""
    return [items[position] for position in positions]


def _deal(
    groups: list[list[int]], strata: list[tuple[str, ...]], shares: Mapping[str, float], seed: int
) -> dict[str, list[int]]:
    total = Counter(label for labels in strata for label in labels)
    lack = {name: {label: share * count for label, count in total.items()} for name, share in shares.items()}
    room = {name: share * len(strata) for name, share in shares.items()}
    dealt: dict[str, list[int]] = {"train": [], "valid": [], "test": []}
    trained: set[str] = set()
    random.Random(seed).shuffle(groups)
    for group in sorted(groups, key=len, reverse=True):
        counts = Counter(label for position in group for label in strata[position])
        if "train" in shares and not set(counts) <= trained:
            name = "train"
        else:
            # The share of the set's own need that this component fills, so that small sets are served as soon as large
            # ones; the rows still missing decide between equals.
            name = max(shares, key=lambda s: (_need(lack[s], counts) / shares[s], room[s] / shares[s]))
        dealt[name].extend(group)
        room[name] -= len(group)
        for label, count in counts.items():
            lack[name][label] -= count
        if name == "train":
            trained |= set(counts)
    return dealt


def _need(lack: Mapping[str, float], counts: Mapping[str, int]) -> float:
    return sum(lack[label] * count for label, count in counts.items()) / max(1, sum(counts.values()))


def _strata(targets: Sequence[str | tuple[str, ...] | float]) -> list[tuple[str, ...]]:
    """Return the labels to balance by: the label, the labels of a multi-label row, the quantile bin of a number."""
    numbers = sorted(float(target) for target in targets if isinstance(target, (int, float)))
    edges = [numbers[len(numbers) * cut // _BINS] for cut in range(1, _BINS)] if numbers else []
    strata: list[tuple[str, ...]] = []
    for target in targets:
        if isinstance(target, str):
            strata.append((target,))
        elif isinstance(target, tuple):
            strata.append(target or ("",))
        else:
            strata.append((str(sum(target >= edge for edge in edges)),))
    return strata
