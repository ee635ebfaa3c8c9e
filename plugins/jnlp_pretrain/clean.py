"""Removes low-quality text and near-duplicates from a corpus, and counts the reasons."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from jnlp.patterns import deferred

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

_JAPANESE = deferred("[\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff々〆〇]")
_UNSPOKEN = deferred(r"[\W_\d]+")
_LOOKED_AT = 5_000  # characters of a text that quality is judged by
_GRAM = 4


@dataclass(frozen=True, slots=True)
class Clean:
    """What to remove; by default nothing.

    Args:
        unit: Check each whole `document`, or each `line` separately.
        min_characters: Shorter text is `short`.
        min_japanese: Text with a smaller share of kana and kanji among its letters is `foreign`.
        max_symbols: Text with a larger share of characters other than letters, digits and spaces is `symbols`.
        max_repetition: Text with a larger share of 4-grams that occur earlier in it is `repetitive` (first 5,000
            characters).
        near_duplicates: Remove text that resembles earlier text of any source. MinHash finds 99 % of the texts that
            share nine tenths of their 5-grams, 77 % at eight tenths, 3 % at a half.
        memory: Bytes for the signatures; a corpus that needs more forgets its oldest texts first.
        exclude: Sentences of test sets: lines that contain one of them (after NFKC) are removed, whatever `unit` is.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    unit: str = "document"
    min_characters: int = 0
    min_japanese: float = 0.0
    max_symbols: float = 1.0
    max_repetition: float = 1.0
    near_duplicates: bool = False
    memory: int = 1 << 27
    exclude: tuple[str, ...] = ()

    def flaw(self, text: str) -> str | None:
        """Return why a text is of low quality, or None."""
        seen = text.strip()[:_LOOKED_AT]
        if len(seen) < self.min_characters:
            return "short"
        if self.min_japanese > 0 and japanese_share(seen) < self.min_japanese:
            return "foreign"
        if self.max_symbols < 1 and symbol_share(seen) > self.max_symbols:
            return "symbols"
        if self.max_repetition < 1 and repetition(seen) > self.max_repetition:
            return "repetitive"
        return None


@dataclass(slots=True)
class Cleaner:
    """Applies the rules to a stream of texts and counts the removed ones.

    Args:
        rules: The rules.
        dropped: Number of removed texts, by reason.
    """

    rules: Clean
    dropped: Counter[str] = field(default_factory=Counter)
    _seen: Seen | None = None
    _excluded: re.Pattern[str] | None = None

    def __post_init__(self) -> None:
        if self.rules.near_duplicates:
            self._seen = Seen(self.rules.memory)
        if self.rules.exclude:
            self._excluded = re.compile("|".join(re.escape(nfkc(sentence)) for sentence in self.rules.exclude))

    def __call__(self, text: str) -> str | None:
        """Return the text that remains, or None."""
        if self.rules == _NOTHING:
            return text
        if self._excluded is not None and self._excluded.search(nfkc(text)):
            text = "\n".join(line for line in text.split("\n") if not self._is_excluded(line))
            if not text.strip():
                return None
        if self.rules.unit == "document":
            return text if self._good(text) else None
        return "\n".join(line for line in text.split("\n") if self._good(line)) or None

    def _is_excluded(self, line: str) -> bool:
        found = self._excluded is not None and self._excluded.search(nfkc(line)) is not None
        self.dropped["excluded"] += found
        return found

    def _good(self, text: str) -> bool:
        reason = self.rules.flaw(text)
        if reason is None and self._seen is not None and self._seen.add(text):
            reason = "near-duplicate"
        if reason is not None:
            self.dropped[reason] += 1
        return reason is None


_NOTHING = Clean()


def nfkc(text: str) -> str:
    """Return a text in NFKC."""
    return unicodedata.normalize("NFKC", text)


def japanese_share(text: str) -> float:
    """Return the share of kana and kanji among the letters of a text; 0 without letters."""
    letters = sum(character.isalpha() for character in text)
    return len(_JAPANESE.findall(text)) / letters if letters else 0.0


def symbol_share(text: str) -> float:
    """Return the share of characters that are neither letters nor digits, spaces or Japanese full stops and commas."""
    odd = sum(not (c.isalnum() or c.isspace() or c in "、。ー") for c in text)
    return odd / len(text) if text else 0.0


def repetition(text: str) -> float:
    """Return the share of character 4-grams that occur earlier in the text."""
    grams = len(text) - _GRAM + 1
    return 1 - len({text[i : i + _GRAM] for i in range(grams)}) / grams if grams > 0 else 0.0


_SHINGLE, _BANDS, _ROWS = 5, 8, 8
_MOST = 20_000  # shingles of a text that are hashed
_FEWEST = 8  # with fewer, chance would call different texts alike
_ODD = np.random.default_rng(20_230_801).integers(0, 1 << 63, size=(2, _BANDS * _ROWS), dtype=np.uint64) | np.uint64(1)


class Seen:
    """Remembers texts by the bands of their MinHash signatures (Broder 1997), in a table of fixed size.

    Args:
        memory: Bytes of the table. A band that hits an occupied slot replaces it. So duplicates may be missed, but
            lack of memory never makes a text a duplicate.
    """

    def __init__(self, memory: int) -> None:
        self._table = np.zeros(max(memory // 8, 1), np.uint64)

    def add(self, text: str) -> bool:
        """Remember a text; return True if a similar one was seen."""
        shingles = shingle_hashes(text)
        if len(shingles) < _FEWEST:
            return False
        keys = bands(shingles)
        places = keys % np.uint64(len(self._table))
        known = bool((self._table[places] == keys).any())
        self._table[places] = keys
        return known


def shingle_hashes(text: str) -> Hashes:
    """Return the hashes of the 5-grams of a text after NFKC, without case, digits, spaces and punctuation."""
    plain = _UNSPOKEN.sub("", unicodedata.normalize("NFKC", text[: 4 * _MOST]).lower())
    codes = np.frombuffer(plain.encode("utf-32-le"), np.uint32).astype(np.uint64)
    if len(codes) < _SHINGLE:
        return np.empty(0, np.uint64)
    mixed = np.zeros(len(codes) - _SHINGLE + 1, np.uint64)
    for offset in range(_SHINGLE):
        mixed = mixed * np.uint64(0x100000001B3) + codes[offset : offset + len(mixed)]
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    return np.unique(mixed ^ (mixed >> np.uint64(32)))[:_MOST]


def bands(shingles: Hashes) -> Hashes:
    """Return the bands of a MinHash signature, uint64 `[8]`: two texts share a band if 8 of their minima agree."""
    factors, terms = _ODD
    minima = np.full(len(factors), np.iinfo(np.uint64).max, np.uint64)
    for part in np.array_split(shingles, -(-len(shingles) // 1024)):  # a block stays in the caches
        minima = np.minimum(minima, (part[:, None] * factors + terms).min(0))
    keys = np.arange(1, _BANDS + 1, dtype=np.uint64)
    for column in minima.reshape(_BANDS, _ROWS).T:
        keys = (keys ^ column) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(31)
    return keys | np.uint64(1)  # 0 is an empty place
