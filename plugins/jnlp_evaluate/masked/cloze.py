"""The cloze test: sixty sentences with a gap, and how often a right word is among the first guesses.

An item is right at rank k if one of its answers is among the first k pieces. An answer that is not a single piece of
the vocabulary can never be right. It stays in the set, so that a poor vocabulary lowers the score.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from jnlp.patterns import deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jnlp.types import FloatArray, MaskedLM, Tokenizer

MASK = "<mask>"
_TOP = (1, 5)
_SPECIAL = deferred(r"<[\w/|]+>|\[[A-Z0-9]+\]")


@dataclass(frozen=True, slots=True)
class Item:
    """A sentence with one gap.

    Args:
        kind: `fact`, `particle`, `daily`, `technical` or `verb`.
        content: Whether the gap is a content word.
        text: The sentence, `<mask>` for the gap.
        answers: Words that are right.
    """

    kind: str
    content: bool
    text: str
    answers: tuple[str, ...]

    @property
    def parts(self) -> tuple[str, str]:
        """The text before the gap and after it."""
        before, _, after = self.text.partition(MASK)
        return before, after


@dataclass(frozen=True, slots=True)
class Answer:
    """The rank of the first right guess, from 1 (0 if no piece is right), and the first five guesses."""

    item: Item
    rank: int
    five: tuple[str, ...]


def read_items() -> list[Item]:
    """Return the sixty items, which were fixed before any model was scored on them."""
    text = (resources.files("jnlp_evaluate.masked") / "cloze.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return [Item(row["kind"], row["content"], row["text"], tuple(row["answers"])) for row in rows]


def by_model(model: MaskedLM, items: Sequence[Item], /) -> list[Answer]:
    """Return the guesses of a masked LM."""
    sequences, places = [], []
    for item in items:
        ids = model.tokenizer.encode([item.text.replace(MASK, model.tokenizer.mask_token)])[0].ids
        sequences.append(ids)
        places.append(np.flatnonzero(ids == model.tokenizer.mask_id))
    logits = model.at_masks(sequences, places)
    return answers_by(items, pieces(model.tokenizer), lambda number: logits[number])


def pieces(tokenizer: Tokenizer, /) -> list[str]:
    """Return the text of every piece without its space marker; special and byte pieces are empty."""
    found = [tokenizer.token(number).removeprefix("▁").strip() for number in range(tokenizer.vocabulary)]
    return ["" if is_special(word) else word for word in found]


def is_special(word: str, /) -> bool:
    """Return whether a piece is a special token or a byte, not text: `<s>`, `[MASK]`, `<0x0A>`.

    Example:
        >>> [is_special(word) for word in ("<mask>", "[CLS]", "<0xE3>", "東京", "<", "[...]")]
        [True, True, True, False, False, False]
    """
    return _SPECIAL.fullmatch(word) is not None


def answers_by(items: Sequence[Item], words: Sequence[str], scores: Callable[[int], FloatArray], /) -> list[Answer]:
    """Return the guesses of scores: called with the number of an item, it returns float32 `[vocabulary]`."""
    found = []
    for number, item in enumerate(items):
        order = np.argsort(-scores(number), kind="stable")
        wanted = set(item.answers)
        rank = next((rank for rank, piece in enumerate(order, 1) if words[piece] in wanted), 0)
        found.append(Answer(item, rank, tuple(words[piece] for piece in order[: _TOP[-1]])))
    return found


def table(answers: Sequence[Answer], /) -> dict[str, dict[str, float]]:
    """Return the number of items and the share right at rank 1 and within 5: by kind, for content words, for all."""
    groups: Mapping[str, list[Answer]] = {
        **{kind: [a for a in answers if a.item.kind == kind] for kind in Counter(a.item.kind for a in answers)},
        "content words": [a for a in answers if a.item.content],
        "all": list(answers),
    }
    return {
        name: {
            "items": len(group),
            **{f"top{top}": sum(0 < a.rank <= top for a in group) / max(1, len(group)) for top in _TOP},
        }
        for name, group in groups.items()
    }
