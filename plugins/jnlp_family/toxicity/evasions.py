"""Disguises of listed words, made by rule, to measure how many are still found."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from jnlp_toxicity.decision import SIGNS
from jnlp_toxicity.lexicon import load

if TYPE_CHECKING:
    from collections.abc import Callable

_TO_KATAKANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}
_TO_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
_HALF = {unicodedata.normalize("NFKC", chr(code)): chr(code) for code in range(0xFF66, 0xFF9E)}
_ALIKE = str.maketrans("カロニトタエハチオサムヒミ", "力口二卜夕工八千才廾厶匕彡")
_PLAIN = 0.5


def _half_width(word: str) -> str:
    whole = unicodedata.normalize("NFD", word.translate(_TO_KATAKANA))
    marks = {"\u3099": "ﾞ", "\u309a": "ﾟ", "ー": "ｰ", "ッ": "ｯ", "ャ": "ｬ", "ュ": "ｭ", "ョ": "ｮ"}
    return "".join(marks.get(character) or _HALF.get(character, character) for character in whole)


def _drawn(word: str) -> str:
    return f"{word[0]}ーー{word[1:]}"


EVASIONS: dict[str, Callable[[str], str]] = {
    "katakana for hiragana": lambda word: word.translate(_TO_KATAKANA),
    "hiragana for katakana": lambda word: word.translate(_TO_HIRAGANA),
    "half-width kana": _half_width,
    "a blank between letters": " ".join,
    "a dot between letters": "・".join,
    "an emoji between letters": "🙂".join,
    "a star after the first letter": lambda word: f"{word[0]}★{word[1:]}",
    "invisible characters": "\u200b".join,
    "drawn out (ばーーか)": _drawn,
    "the last kana repeated": lambda word: word + word[-1] * 3 if "ぁ" <= word[-1] <= "ヺ" else word,
    "look-alikes (バ力)": lambda word: word.translate(_ALIKE),
    "a mark for an inner letter (ま○こ)": lambda word: f"{word[0]}○{word[2:]}" if len(word) > 2 else word,
}
"""Each disguise as a function of the word; words that it leaves as they are, are not counted."""


def base_words() -> list[str]:
    """Return the plain and severe words of the shipped list that are two letters or longer and in Japanese script."""
    found = {
        entry.word
        for entry in load().words
        if entry.severity > _PLAIN and not entry.latin and not entry.katakana and entry.category not in SIGNS
    }
    return sorted(word for word in found if len(word) > 1 and not word.isascii())
