"""Rows that repeat a text: with the same label they count once, with another one of them is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jnlp.training.classifier.targets import names
from jnlp.training.splits import duplicate_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Example, IntArray, Text

_SHOWN = 20
_WIDTH = 30


@dataclass(frozen=True, slots=True)
class Repeats:
    """What repeats in labelled rows.

    Args:
        doubled: Rows whose text and label an earlier row has.
        contradicting: Texts with several labels, and these.
    """

    doubled: int
    contradicting: tuple[tuple[str, tuple[str, ...]], ...]

    def report(self) -> dict[str, object]:
        """Return what `metrics.json` says of them; of the texts at most twenty."""
        shown = [{"text": text, "labels": list(labels)} for text, labels in self.contradicting[:_SHOWN]]
        return {"doubled": self.doubled, "contradicting": len(self.contradicting), "contradictions": shown}

    def cautions(self) -> list[str]:
        """Return a sentence for each kind that is there."""
        said = []
        if self.contradicting:
            text, labels = self.contradicting[0]
            shown = text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
            some = f"{len(self.contradicting):,} texts have" if len(self.contradicting) > 1 else "a text has"
            said.append(
                f"{some} different labels in different rows, e.g. '{shown}': {' and '.join(labels)}; correct them"
            )
        if self.doubled:
            some = f"{self.doubled:,} rows repeat" if self.doubled > 1 else "a row repeats"
            said.append(f"{some} the text and label of another row; the intervals count them once")
        return said


def find_repeats(examples: Sequence[Example], /) -> Repeats:
    """Return what repeats; two texts are the same as in a split: NFKC, case folded, without white space.

    Example:
        >>> from jnlp.types import Example
        >>> rows = [Example("良い", "高"), Example("良い ", "高"), Example("良い", "低"), Example("別の文", "高")]
        >>> found = find_repeats(rows)
        >>> found.doubled, found.contradicting
        (1, (('良い', ('高', '低')),))
    """
    texts: dict[str, Text] = {}
    labels: dict[str, dict[tuple[str, ...], int]] = {}
    for example in examples:
        key = duplicate_key(example.text)
        texts.setdefault(key, example.text)
        own = labels.setdefault(key, {})
        label = tuple(sorted(names(example)))
        own[label] = own.get(label, 0) + 1
    doubled = sum(count - 1 for own in labels.values() for count in own.values())
    several = [(texts[key], own) for key, own in labels.items() if len(own) > 1]
    return Repeats(doubled, tuple((_shown(text), tuple(map(_joined, own))) for text, own in several))


def same_texts(examples: Sequence[Example], /) -> IntArray:
    """Return int64 `[n]`: rows with the same text have the same number, from 0 in the order of their first.

    Example:
        >>> from jnlp.types import Example
        >>> same_texts([Example("良い", "高"), Example("別の文", "高"), Example("良い ", "低")]).tolist()
        [0, 1, 0]
    """
    numbers: dict[str, int] = {}
    found = [numbers.setdefault(duplicate_key(example.text), len(numbers)) for example in examples]
    return np.asarray(found, dtype=np.int64)


def _shown(text: Text) -> str:
    return text if isinstance(text, str) else " / ".join(text)


def _joined(labels: tuple[str, ...]) -> str:
    return ", ".join(labels) or "no label"
