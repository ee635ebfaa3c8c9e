"""Word lists as values: what to find, how severe it is, and the contexts in which it is harmless."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp.patterns import deferred
from jnlp_toxicity.screens import Patterns, Words
from jnlp_toxicity.views import MASK, SEPARATOR, fold_words, squeeze_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SEVERITY = {1: 0.25, 2: 0.55, 3: 0.9}
"""What one word of each level says alone about a text: levels 2 and 3 pass the default threshold."""

SHIPPED = "words.txt"
"""The list that ships; a test compiles its patterns."""

_SECTION = deferred(r"\[\s*([\w-]+)(?:\s+([1-3]))?((?:\s+\w+)*)\s*\]$")
_LONG = 3
"""Letters of a word that one hidden inner letter leaves readable as no other word."""

_NUMERALS = frozenset("一二三四五六七八九十百千")
"""With 〇 they are numbers: 三〇人."""

ALLOW = "allow"
"""The category of expressions in which no word is meant."""

_FLAGS = frozenset({"katakana", "masked", "free", "latin", "disguised", "pattern"})
_NO_FLAGS = frozenset[str]()

_Line = tuple[str, str, float, frozenset[str]]
"""A word as a list writes it, its category, its severity and the flags of its section."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One word or pattern of a list.

    Args:
        word: As the list writes it.
        category: insult, discrimination, sexual, violence, or a user's own.
        severity: Between 0 and 1, as `SEVERITY` maps the levels.
        katakana: Found only where the text is in katakana.
        free: Found inside longer words too.
        latin: Found only where letters or digits of the Latin script take part (shine, 4ね).
        disguised: A spelling that only hides the word.
        key: The word as folded.
    """

    word: str
    category: str
    severity: float
    katakana: bool = False
    free: bool = False
    latin: bool = False
    disguised: bool = False
    key: str = ""


@dataclass(frozen=True)
class Lexicon:
    """Compiled lists: words by their spelling, patterns, and allowed expressions.

    Args:
        words: The words by their spellings, masked ones too.
        entries: The words in the order of the lists.
        patterns: The patterns.
        allowed: The expressions in which no word is meant.
        screen: Tells which patterns may match.
    """

    words: Words
    entries: tuple[Entry, ...] = ()
    patterns: tuple[tuple[re.Pattern[str], Entry], ...] = ()
    allowed: Words = field(default_factory=Words)
    screen: Patterns = field(default_factory=lambda: Patterns(()))

    @cached_property
    def squeezed(self) -> Words:
        """The words as `squeeze` leaves them; made when a text first has a disguise."""
        made = Words()
        for entry in self.entries:
            made.add(squeeze_key(entry.key), entry)
        return made

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories of all entries, sorted."""
        return tuple(sorted({entry.category for entry in (*(entry for _, entry in self.patterns), *self.words)}))


def load(lists: Sequence[str] = (), allow: Iterable[str] = (), /) -> Lexicon:
    """Return the shipped list together with a user's lists and allowed expressions.

    Args:
        lists: Paths of UTF-8 files in the form of `words.txt`; words before any section are `custom`, level 3.
        allow: Expressions in which no word is meant, or paths of files of them, one a line.

    Raises:
        JnlpError: A list cannot be read or has a line that is not understood.
    """
    return _load(tuple(lists), tuple(allow))


@lru_cache(maxsize=8)
def _load(lists: tuple[str, ...], allow: tuple[str, ...]) -> Lexicon:
    texts = [(SHIPPED, (Path(__file__).parent / SHIPPED).read_text("utf-8")), *((path, _read(path)) for path in lists)]
    words, allowed = Words(), Words()
    found: list[_Line] = []
    patterns: list[tuple[re.Pattern[str], Entry]] = []
    for name, text in texts:
        _parse(name, text, found, patterns)
    found += [(expression, ALLOW, 0.0, _NO_FLAGS) for expression in _expressions(allow)]
    entries: list[Entry] = []
    for key, (word, category, severity, flags) in zip(_folded([line[0] for line in found]), found, strict=True):
        marks = {flag: True for flag in flags if flag != "masked"}
        entry = Entry(word, category, severity, key=key, **marks)
        if category == ALLOW:
            allowed.add(key, entry)
            continue
        entries.append(entry)
        for spelling in _spellings(key, masked="masked" in flags):
            words.add(spelling, entry)
    return Lexicon(words, tuple(entries), tuple(patterns), allowed, Patterns([entry.word for _, entry in patterns]))


def _folded(words: Sequence[str]) -> list[str]:
    """Return words as they are compared, folded together: that takes a third of the time."""
    together = fold_words("\0".join(words)).text.split("\0")
    return together if len(together) == len(words) else [fold_words(word).text for word in words]


def _expressions(allow: Iterable[str]) -> Iterator[str]:
    """Yield the expressions given, and those in the files that are given in their place."""
    for given in allow:
        if not is_file(given):
            yield given
            continue
        lines = (line.strip() for line in _read(given).splitlines())
        yield from (line for line in lines if line and not line.startswith(("#", "[")))


def is_file(name: str, /) -> bool:
    """Return whether a name is that of a file."""
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise JnlpError(
            f"cannot read the word list {path}: {error}", hint="give a UTF-8 text file, one word a line"
        ) from error


def _parse(name: str, text: str, found: list[_Line], patterns: list[tuple[re.Pattern[str], Entry]]) -> None:
    """Add the words and the patterns of a list."""
    category, level, flags = "custom", 3, _NO_FLAGS
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if header := _SECTION.match(line):
            category, level, flags = header[1], int(header[2] or 3), frozenset(header[3].split())
            if not flags <= _FLAGS:
                raise JnlpError(
                    f"{name}:{number}: unknown flag in {line}", hint=f"flags are {', '.join(sorted(_FLAGS))}"
                )
        elif "pattern" in flags:
            patterns.append(
                (
                    deferred(line) if name == SHIPPED else _compile(line, f"{name}:{number}"),
                    Entry(line, category, SEVERITY[level], disguised="disguised" in flags),
                )
            )
        elif category == ALLOW:
            found += [(word, category, 0.0, _NO_FLAGS) for word in line.split()]
        else:
            found += [(word, category, SEVERITY[level], flags) for word in line.split()]


def _compile(pattern: str, where: str) -> re.Pattern[str]:
    """Compile one pattern; one that could match nothing would match every text."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise JnlpError(f"{where}: {error}: {pattern}", hint="it is a Python regular expression") from error
    if compiled.match(""):
        raise JnlpError(f"{where}: the pattern matches the empty text: {pattern}", hint="make a part of it required")
    return compiled


def _spellings(key: str, *, masked: bool) -> set[str]:
    """Return a folded word with its masked forms: all apart, a mark put between, one inner character hidden."""
    if not masked and len(key) >= _LONG and SEPARATOR not in key and key[0] not in _NUMERALS:
        return {key, *(key[:place] + MASK + key[place + 1 :] for place in range(1, len(key) - 1))}
    if not masked or len(key) < 2:
        return {key}
    found = {key, SEPARATOR.join(key), MASK.join(key)}
    for place in range(1, len(key)):
        found.add(key[:place] + MASK + key[place:])
        if len(key) > 2 and (place < len(key) - 1 or len(key) > 3):
            found.add(key[:place] + MASK + key[place + 1 :])
    return found


def noisy_or(parts: Iterable[float], /) -> float:
    """Return 1 - ∏(1 - p): the chance that at least one of several independent signs is right."""
    return 1.0 - math.prod(1.0 - part for part in parts)
