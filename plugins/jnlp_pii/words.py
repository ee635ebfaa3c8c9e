"""Words of a text by Sudachi, with offsets and parts of speech."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_local = threading.local()


@dataclass(frozen=True, slots=True)
class Word:
    """A word `[start, end)` and its part of speech."""

    start: int
    end: int
    surface: str
    speech: tuple[str, ...]
    known: bool

    @property
    def is_person(self) -> bool:
        """Whether it is a person's name."""
        return self.speech[2] == "人名"

    @property
    def is_place(self) -> bool:
        """Whether it is the name of a place."""
        return self.speech[2] == "地名"


def words(text: str, offset: int = 0, /) -> list[Word]:
    """Return the words of a short text, their places counted from `offset`."""
    return [
        Word(offset + m.begin(), offset + m.end(), m.surface(), m.part_of_speech(), not m.is_oov())
        for m in _tokenizer().tokenize(text)
    ]


@lru_cache(maxsize=1 << 12)
def is_surname(surface: str, /) -> bool:
    """Return whether the dictionary has a text as a surname too (千葉, 福島)."""
    _tokenizer()
    return any(m.part_of_speech()[3] == "姓" for m in _local.dictionary.lookup(surface))


def _tokenizer() -> Any:
    """Return this thread's Sudachi tokenizer; one must not be used by two threads at once."""
    if not hasattr(_local, "tokenizer"):
        from sudachipy import Dictionary, SplitMode

        _local.dictionary = Dictionary()
        _local.tokenizer = _local.dictionary.tokenizer(mode=SplitMode.C)
    return _local.tokenizer
