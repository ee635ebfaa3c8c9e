"""The cloze test: sixty sentences with a gap, and how often a right word is among the first guesses.

An item is right at rank k if one of its answers is among the first k pieces. An answer that is not a single piece of
the vocabulary can never be right. It stays in the set, so that a poor vocabulary lowers the score.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from jnlp_pretrain.tokenizer_train import SPECIAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jnlp.types import FloatArray, IntArray, MaskedLM, Tokenizer
    from jnlp_family.masked_lm.ngram import CharacterNGram

MASK = "<mask>"
_REACH = 4  # characters after the gap that an n-gram of order 5 sees it from
_TOP = (1, 5)


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
    text = (resources.files("jnlp_family.masked_lm") / "cloze.jsonl").read_text(encoding="utf-8")
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
    return _answers(items, pieces(model.tokenizer), lambda number: logits[number])


def by_ngram(ngram: CharacterNGram, tokenizer: Tokenizer, items: Sequence[Item], /) -> list[Answer]:
    """Return the guesses of an n-gram: the pieces that make the whole sentence most probable."""
    words = pieces(tokenizer)
    allowed = [number for number, word in enumerate(words) if word]

    def scores(number: int) -> FloatArray:
        before, after = (unicodedata.normalize("NFKC", part) for part in items[number].parts)
        history, rest = ("\n" + before)[-_REACH:], (after + "\n")[:_REACH]
        found = np.full(len(words), -np.inf, np.float32)
        windows = [history + words[piece] + rest for piece in allowed]
        found[allowed] = ngram.log_probability(windows, [len(history)] * len(windows))
        return found

    return _answers(items, words, scores)


def by_frequency(counts: IntArray, tokenizer: Tokenizer, items: Sequence[Item], /, *, scripts: bool) -> list[Answer]:
    """Return the most frequent pieces as the guess for every item; with `scripts`, those of the answer's script."""
    words = pieces(tokenizer)
    own = np.array([script(word) for word in words])

    def scores(number: int) -> FloatArray:
        fits = own == script(items[number].answers[0]) if scripts else np.ones(len(words), bool)
        return np.where(fits, counts, -1).astype(np.float32)

    return _answers(items, words, scores)


def piece_counts(tokenizer: Tokenizer, texts: Sequence[str], /) -> IntArray:
    """Return int64 `[vocabulary]`: the count of each piece in texts."""
    counts = np.zeros(tokenizer.vocabulary, np.int64)
    for encoded in tokenizer.encode(texts):
        counts += np.bincount(encoded.ids, minlength=tokenizer.vocabulary)
    counts[: len(SPECIAL)] = 0
    return counts


def pieces(tokenizer: Tokenizer, /) -> list[str]:
    """Return the text of every piece without its space marker; special and byte pieces are empty."""
    found = [tokenizer.token(number).removeprefix("▁").strip() for number in range(tokenizer.vocabulary)]
    return ["" if _is_byte(word) or number < len(SPECIAL) else word for number, word in enumerate(found)]


def _is_byte(word: str) -> bool:
    return len(word) == 6 and word.startswith("<0x") and word.endswith(">")


def script(word: str, /) -> str:
    """Return the script that all characters of a word share: kanji, hiragana or katakana; otherwise `other`."""
    found = {_script(character) for character in word} or {"other"}
    return found.pop() if len(found) == 1 else "other"


def _script(character: str) -> str:
    if "一" <= character <= "鿿" or character in "々〆":
        return "kanji"
    if "ぁ" <= character <= "ゖ":
        return "hiragana"
    return "katakana" if "ァ" <= character <= "ヺ" or character == "ー" else "other"


def _answers(items: Sequence[Item], words: Sequence[str], scores: Callable[[int], FloatArray]) -> list[Answer]:
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
