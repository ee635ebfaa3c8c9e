"""Quick tests that tell which words and patterns a text cannot have, so that most texts cost one pass in C.

A word needs its first two characters next to each other; a pattern needs one of each of the sets of pairs or characters
that its syntax makes mandatory. Both are necessary, not sufficient: what passes is searched as before.
"""

from __future__ import annotations

from bisect import insort
from itertools import chain
from operator import add
from typing import TYPE_CHECKING

from jnlp.patterns import deferred

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jnlp_toxicity.lexicon import Entry

_MOST = 128
"""Characters of a set that still rules texts out."""

_TOKEN = deferred(
    r"\\.|\[\^?\]?(?:[^\]\\]|\\.)*\]|\(\?(?::|<?[=!])|[?*+][?+]?|\{(?:[0-9]+(?:,[0-9]*)?|,[0-9]*)\}[?+]?|[\s\S]"
)
"""What a regular expression is written in: escapes, classes, the beginnings of groups, quantifiers, characters."""

Needs = tuple[frozenset[str], ...]
_UNKNOWN: frozenset[str] = frozenset()


def pairs(text: str, /) -> set[str]:
    """Return each two characters that are next to each other in a text.

    Example:
        >>> sorted(pairs("馬鹿か"))
        ['馬鹿', '鹿か']
    """
    return set(map(add, text, text[1:]))


def needs(pattern: str, /) -> Needs:
    """Return sets of pairs or characters, of each of which a text must have one to match; none if nothing is known.

    Example:
        >>> [sorted(some) for some in needs("(?:馬車|鹿肉)が?出(?:る|た)")]
        [['馬車', '鹿肉']]
        >>> [sorted(some) for some in needs("(?:馬|鹿)が?出(?:る|た)")]
        [['馬', '鹿'], ['出'], ['た', 'る']]
    """
    reader = _Reader(pattern)
    try:
        found = reader.alternatives()
    except _UnreadableError:
        return ()
    usable = [some for some in found if 0 < len(some) <= _MOST]
    two = [some for some in usable if all(len(part) > 1 for part in some)]
    return tuple(two or usable)


class _UnreadableError(Exception):
    """A pattern has syntax that is not read here: flags, names, conditions."""


class _Reader:
    """Reads what a pattern makes mandatory: for each part that must match, the pairs or characters it takes one of."""

    def __init__(self, pattern: str, /) -> None:
        self._tokens: list[str] = _TOKEN.findall(pattern)
        self._place = 0

    def alternatives(self) -> list[frozenset[str]]:
        """Read alternatives up to the end of their group."""
        branches = [self._branch()]
        while self._peek() == "|":
            self._place += 1
            branches.append(self._branch())
        return branches[0] if len(branches) == 1 else [_one_of(branches)]

    def _branch(self) -> list[frozenset[str]]:
        found: list[frozenset[str]] = []
        before = ""
        while (token := self._peek()) and token not in ("|", ")"):
            self._place += 1
            if token in "^$":
                continue
            literal = token if len(token) == 1 and token != "." else _escaped(token)
            if token[0] == "(":
                literal, parts = "", self._group()
                if token[-1] in "=!":  # looks around, and takes nothing
                    continue
            else:
                parts = [frozenset(literal) if literal else _class(token)]
            least = self._least()
            if least is not None or not literal:
                found += parts if least is None or least > 0 else ()
                before = ""
                continue
            if before:
                found.append(frozenset((before + literal,)))
            found += parts
            before = literal
        return found

    def _peek(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _group(self) -> list[frozenset[str]]:
        if self._peek()[:1] in ("?", "*", "+"):
            raise _UnreadableError
        parts = self.alternatives()
        self._place += 1
        return parts

    def _least(self) -> int | None:
        """Read a quantifier and return the least number that it asks for; None if there is none."""
        token = self._peek()
        if token[:1] in ("?", "*"):
            least = 0
        elif token[:1] == "+":
            least = 1
        elif token[:1] == "{" and len(token) > 1:
            least = int(token[1:].partition("}")[0].partition(",")[0] or 0)
        else:
            return None
        self._place += 1
        return least


def _escaped(token: str) -> str:
    """Return the character that an escape means, or nothing if it is no single one."""
    return token[1] if len(token) == 2 and token[0] == "\\" and not (token[1].isascii() and token[1].isalnum()) else ""


def _class(token: str) -> frozenset[str]:
    """Return the characters of a class; none known where it is negated, has a category, or is too large."""
    if token[0] != "[" or len(token) < 3 or token[1] == "^":
        return _UNKNOWN
    found: set[str] = set()
    items: list[str] = _TOKEN.findall(token[1:-1]) if "\\" in token else list(token[1:-1])
    characters = [_escaped(item) if len(item) == 2 else item for item in items]
    if not all(len(character) == 1 for character in characters):
        return _UNKNOWN
    place = 0
    while place < len(characters):
        first, last = characters[place], characters[place]
        if place + 2 < len(characters) and items[place + 1] == "-":
            last = characters[place + 2]
            place += 2
        if ord(last) - ord(first) >= _MOST:
            return _UNKNOWN
        found.update(map(chr, range(ord(first), ord(last) + 1)))
        place += 1
    return frozenset(found)


def _one_of(branches: list[list[frozenset[str]]]) -> frozenset[str]:
    """Return what a text must have one of to match one of several branches: of each its pairs, if it has some."""
    found: set[str] = set()
    for parts in branches:
        usable = [some for some in parts if some]
        if not usable:
            return _UNKNOWN
        found |= next((some for some in usable if all(len(part) > 1 for part in some)), usable[0])
    return frozenset(found)


class Patterns:
    """Which of many patterns may match a text.

    Args:
        patterns: The patterns, as they are written.

    Example:
        >>> patterns = Patterns(["馬鹿", "頭が(?:悪|弱)い"])
        >>> text = "鹿は頭が弱いのか"
        >>> patterns.of(text, pairs(text))
        [1]
    """

    def __init__(self, patterns: Sequence[str], /) -> None:
        self._wanted: list[int] = []
        self._bits: dict[str, int] = {}
        self._owners: dict[str, set[int]] = {}
        bit = 1
        for number, pattern in enumerate(patterns):
            wanted, sets = 0, sorted(needs(pattern), key=len)
            for part in sets[0] if sets else ():
                self._owners.setdefault(part, set()).add(number)
            for some in sets:
                wanted |= bit
                for part in some:
                    self._bits[part] = self._bits.get(part, 0) | bit
                bit <<= 1
            self._wanted.append(wanted)
        self._always = frozenset(number for number, wanted in enumerate(self._wanted) if not wanted)
        self._openings = frozenset(self._owners)  # of each pattern the parts of the set that has the fewest
        self._pairs = frozenset(part for part in self._bits if len(part) > 1)
        self._singles = frozenset(part for part in self._bits if len(part) == 1)

    def of(self, text: str, beside: set[str], /) -> list[int]:
        """Return the numbers of the patterns that may match a text with these pairs, in order."""
        found = set(self._always)
        for part in (*(beside & self._openings), *self._openings.intersection(text)):
            found |= self._owners[part]
        if not found:
            return []
        have = 0
        for part in (*(beside & self._pairs), *(self._singles.intersection(text))):
            have |= self._bits[part]
        return sorted(number for number in found if self._wanted[number] & have == self._wanted[number])


class Words:
    """The words of a list by their folded spelling, found in a text through their first two characters.

    Example:
        >>> from jnlp_toxicity.lexicon import Entry
        >>> words = Words()
        >>> words.add("馬鹿", Entry("馬鹿", "insult", 0.55))
        >>> [(start, end, entry.word) for start, end, entry in words.find("この馬鹿", pairs("この馬鹿"))]
        [(2, 4, '馬鹿')]
    """

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Entry, ...]] = {}
        self._lengths: dict[str, list[int]] = {}  # of the words that begin with two characters, or are only one
        self._singles: set[str] = set()

    def __iter__(self) -> Iterator[Entry]:
        return chain.from_iterable(self._entries.values())

    def add(self, key: str, entry: Entry, /) -> None:
        """Add an entry under a folded spelling."""
        known = self._entries.get(key)
        if known is None:
            self._entries[key] = (entry,)
            if len(key) == 1:
                self._singles.add(key)
            lengths = self._lengths.setdefault(key[:2], [])
            if len(key) not in lengths:
                insort(lengths, len(key))
        elif entry not in known:
            self._entries[key] = (*known, entry)

    def find(
        self, text: str, beside: set[str], low: int = 0, high: int | None = None, /
    ) -> Iterator[tuple[int, int, Entry]]:
        """Yield where the words begin in `text[low:high]`, in order, the shorter first: `[start, end)` and the entry.

        `beside` are the text's pairs.
        """
        first = beside & self._lengths.keys()
        if self._singles:
            first |= self._singles.intersection(text)
        if not first:
            return
        end = len(text) if high is None else high
        last = len(text)
        for start, opening in sorted({(at, part) for part in first for at in _each(text, part, low, end)}):
            for length in self._lengths[opening]:
                stop = start + length
                for entry in self._entries.get(text[start:stop], ()) if stop <= last else ():
                    yield start, stop, entry


def _each(text: str, part: str, low: int, high: int) -> Iterator[int]:
    place = text.find(part, low)
    while 0 <= place < high:
        yield place
        place = text.find(part, place + 1)
