"""Where words begin and end in Japanese, which does not write it: Sudachi's longest units, and changes of script."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jnlp.patterns import deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REACH = 60
_BREAK = deferred(r"[。！？!?\n\r、,「」『』（）()\s]")
_KATAKANA = deferred(r"[ァ-ヺｦ-ﾟㇰ-ㇿ]")
_ENDINGS = "カヨ?|ダ[ヨナ]?|メ|ヨ|ナノ|ジャン|ヤン|ヤロ|ｶﾖ?|ﾀﾞ[ﾖﾅ]?|ﾒ|ﾖ"
_DRAWL = deferred(f"[ーｰ〜~ッｯっァィゥェォｧｨｩｪｫ]*(?:(?:{_ENDINGS})(?![ァ-ヺーｦ-ﾟ]))?")
"""What may follow a word in katakana: it is drawn out, or the sentence goes on in katakana."""

_LATIN = deferred(r"[A-Za-zＡ-Ｚａ-ｚ]")

_local = threading.local()


@dataclass(frozen=True, slots=True)
class Token:
    """A word of the text as Sudachi cuts it: `[start, end)`, whether the dictionary has it, its part of speech."""

    start: int
    end: int
    known: bool
    speech: tuple[str, ...]
    normal: str


class Segments:
    """The words of a text, looked up clause by clause; each clause is cut once."""

    def __init__(self, text: str, /) -> None:
        self._text = text
        self._clauses: dict[tuple[int, int], list[Token]] = {}
        self._others: dict[str, list[Token]] = {}

    def of(self, text: str, /) -> list[Token]:
        """Return the tokens of another clause; one that comes again, as in a drawl without end, is cut once."""
        if text not in self._others:
            self._others[text] = tokens(text)
        return self._others[text]

    def around(self, start: int, end: int, /) -> list[Token]:
        """Return the tokens of the clause around `[start, end)`; of a long range those around its ends."""
        if end - start > 2 * REACH:
            return [*self.around(start, start + REACH), *self.around(end - REACH, end)]
        low, high = clause(self._text, start, end)
        if (low, high) not in self._clauses:
            self._clauses[low, high] = tokens(self._text[low:high], low)
        return self._clauses[low, high]


def clause(text: str, start: int, end: int, /) -> tuple[int, int]:
    """Return the clause around `[start, end)`, at most 120 characters to each side.

    Where nothing ends it, its edges are multiples of 60, so that the words of a long clause are looked up together.
    """
    low, high = max(0, (start // REACH - 1) * REACH), min(len(text), (end // REACH + 2) * REACH)
    for stop in _BREAK.finditer(text, low, start):
        low = stop.end()
    if after := _BREAK.search(text, end, high):
        high = after.start()
    return low, high


def tokens(text: str, offset: int = 0, /) -> list[Token]:
    """Return the tokens of a clause, their places counted from `offset`."""
    return [
        Token(offset + m.begin(), offset + m.end(), not m.is_oov(), m.part_of_speech(), m.normalized_form())
        for m in _tokenizer().tokenize(text)
    ]


def is_katakana(text: str, /) -> bool:
    """Return whether a text is katakana throughout, marks and symbols aside."""
    letters = [c for c in text if c.isalpha() and c not in "ーｰ"]
    return bool(letters) and all(_KATAKANA.match(c) for c in letters)


def script_continues(text: str, start: int, end: int, /) -> bool:
    """Return whether katakana or Latin letters run on outside `[start, end)`; a drawl after it (バカー) does not."""
    for script in (_KATAKANA, _LATIN):
        if start > 0 and script.match(text[start]) and script.match(_before(text, start)):
            return True
        if script.match(text[end - 1]) or text[end - 1] in "ーｰ":
            rest = _DRAWL.match(text, end)
            after = rest.end() if rest and script is _KATAKANA else end
            if after < len(text) and script.match(text[after]):
                return True
    return False


def stands_alone(text: str, start: int, end: int, around: Callable[[], Sequence[Token]], /) -> bool:
    """Return whether `text[start:end]` is whole words.

    Katakana and Latin letters must not continue outside it. It begins and ends where words do; of katakana and Latin
    alone, which make words that no dictionary has, only a word that the dictionary has counts against it. `around`
    returns the tokens there, and is called only where they matter.
    """
    if script_continues(text, start, end):
        return False
    words = around()
    if all(_KATAKANA.match(c) or _LATIN.match(c) or c in "ーｰ" for c in text[start:end]):
        return not within_a_word(start, end, words)
    edges = {edge for token in words for edge in (token.start, token.end)} | {0, len(text)}
    return start in edges and end in edges


def within_a_word(start: int, end: int, words: Sequence[Token], /) -> bool:
    """Return whether the dictionary has a word that holds all of `[start, end)` and more."""
    return any(w.known and w.start <= start and end <= w.end and w.end - w.start > end - start for w in words)


def crosses_a_word(start: int, end: int, words: Sequence[Token], /, *, drawn: bool = False) -> bool:
    """Return whether a word of the dictionary lies partly inside `[start, end)`, or, unless `drawn`, equals it."""
    return any(
        w.known
        and w.end - w.start > 1
        and w.start < end
        and start < w.end
        and (w.start < start or w.end > end or ((w.start, w.end) == (start, end) and not drawn))
        for w in words
    )


def _before(text: str, start: int) -> str:
    """The character before, seen through long-vowel marks."""
    place = start - 1
    while place > 0 and text[place] in "ーｰ":
        place -= 1
    return text[place]


def _tokenizer() -> Any:
    """Return this thread's Sudachi tokenizer; one must not be used by two threads at once."""
    if not hasattr(_local, "tokenizer"):
        from sudachipy import Dictionary, SplitMode

        _local.tokenizer = Dictionary().tokenizer(mode=SplitMode.C)
    return _local.tokenizer
