"""Where words begin and end in Japanese, which does not write it."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

_REACH = 60
_BREAK = re.compile(r"[。！？!?\n\r、,「」『』（）()\s]")
_KATAKANA = re.compile(r"[ァ-ヺｦ-ﾟㇰ-ㇿ]")
_DRAWL = re.compile(r"[ーｰ〜~ッｯっ]*")
_LATIN = re.compile(r"[A-Za-zＡ-Ｚａ-ｚ]")

_local = threading.local()


def is_katakana(text: str, /) -> bool:
    """Return whether a text is katakana throughout, marks and symbols aside."""
    letters = [c for c in text if c.isalpha() and c not in "ーｰ"]
    return bool(letters) and all(_KATAKANA.match(c) for c in letters)


def stands_alone(text: str, start: int, end: int, /) -> bool:
    """Return whether `text[start:end]` is whole words.

    Katakana and Latin letters must not continue outside it; where hiragana or kanji take part, it begins and ends where
    tokens do, as Sudachi's shortest units have it. A drawl after it (バカー, バカッ) does not continue it.
    """
    for script in (_KATAKANA, _LATIN):
        if start > 0 and script.match(text[start]) and script.match(_before(text, start)):
            return False
        if script.match(text[end - 1]) or text[end - 1] in "ーｰ":
            rest = _DRAWL.match(text, end)
            after = rest.end() if rest and script is _KATAKANA else end
            if after < len(text) and script.match(text[after]):
                return False
    if all(_KATAKANA.match(c) or _LATIN.match(c) or c in "ーｰ" for c in text[start:end]):
        return True
    edges = _edges(text, start, end)
    return start in edges and end in edges


def _before(text: str, start: int) -> str:
    """The character before, seen through long-vowel marks."""
    place = start - 1
    while place > 0 and text[place] in "ーｰ":
        place -= 1
    return text[place]


def _edges(text: str, start: int, end: int) -> AbstractSet[int]:
    """Return the offsets at which a token begins or ends, in the clause around `[start, end)`."""
    low, high = max(0, start - _REACH), min(len(text), end + _REACH)
    for stop in _BREAK.finditer(text, low, start):
        low = stop.end()
    if after := _BREAK.search(text, end, high):
        high = after.start()
    edges = {low, high}
    for morpheme in _tokenizer().tokenize(text[low:high]):
        edges.update((low + morpheme.begin(), low + morpheme.end()))
    return edges


def _tokenizer() -> Any:
    """Return this thread's Sudachi tokenizer; one must not be used by two threads at once."""
    if not hasattr(_local, "tokenizer"):
        from sudachipy import Dictionary, SplitMode

        _local.tokenizer = Dictionary().tokenizer(mode=SplitMode.A)
    return _local.tokenizer
