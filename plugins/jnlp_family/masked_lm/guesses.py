"""Guesses at the cloze test by baselines that know no language: an n-gram, and the most frequent pieces."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import numpy as np

from jnlp_evaluate.masked.cloze import Answer, Item, answers_by, is_special, pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import FloatArray, IntArray, Tokenizer
    from jnlp_family.masked_lm.ngram import CharacterNGram

_REACH = 4  # characters after the gap that an n-gram of order 5 sees it from


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

    return answers_by(items, words, scores)


def by_frequency(counts: IntArray, tokenizer: Tokenizer, items: Sequence[Item], /, *, scripts: bool) -> list[Answer]:
    """Return the most frequent pieces as the guess for every item; with `scripts`, those of the answer's script."""
    words = pieces(tokenizer)
    own = np.array([script(word) for word in words])

    def scores(number: int) -> FloatArray:
        fits = own == script(items[number].answers[0]) if scripts else np.ones(len(words), bool)
        return np.where(fits, counts, -1).astype(np.float32)

    return answers_by(items, words, scores)


def piece_counts(tokenizer: Tokenizer, texts: Sequence[str], /) -> IntArray:
    """Return int64 `[vocabulary]`: the count of each piece in texts."""
    counts = np.zeros(tokenizer.vocabulary, np.int64)
    for encoded in tokenizer.encode(texts):
        counts += np.bincount(encoded.ids, minlength=tokenizer.vocabulary)
    counts[[number for number in range(len(counts)) if is_special(tokenizer.token(number))]] = 0
    return counts


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
