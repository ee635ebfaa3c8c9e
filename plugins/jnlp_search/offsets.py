"""Where the index words of a passage are in its text, so that a search need not analyse it again.

A word is kept as its distance from the end of the one before and its length, in one number: of a byte, or of two or
four bytes where one is too small for any word of the passage. There is an entry for each token that the full text makes
of the words, so a token's place in the full text is the place of its entry. A token that is not the whole word has
length 0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SIZES = ((1, "B", 5), (2, "H", 9), (4, "I", 12))
"""For bytes of an entry: how `struct` calls it, and its bits for the length; the others are for the distance."""

_FORM = {size: (code, bits) for size, code, bits in _SIZES}
_BIAS = 1  # ㍿ is two words in one place, so the second begins one character before the end of the first
_ENDS = bytes(max(0, (value >> 5) - _BIAS + (value & 31)) for value in range(256))
"""For an entry of one byte: from the end of the word before to its own."""


@dataclass(frozen=True, slots=True)
class IndexWords:
    """What the index keeps of a passage's words.

    Args:
        words: Their forms, joined by spaces.
        offsets: Where they are; see `packed`. None if that is not kept.
    """

    words: str
    offsets: bytes | None = None


def packed(spans: Sequence[tuple[int, int]], /) -> bytes | None:
    """Return the offsets of words in a text, in their order, as bytes; None if they cannot be kept.

    Args:
        spans: The start and end of each; an empty one for a token that is not a whole word.

    Example:
        >>> packed([(0, 2), (2, 3), (5, 7)]).hex()
        '01222162'
    """
    gaps, lengths, last = [], [], 0
    for start, end in spans:
        gaps.append(start - last + _BIAS)
        lengths.append(end - start)
        last = end
    if not gaps:
        return b"\1"
    least, widest, longest = min(gaps), max(gaps), max(lengths)
    for size, code, bits in _SIZES:
        if least >= 0 and widest < 1 << (8 * size - bits) and longest < 1 << bits:
            values = [gap << bits | length for gap, length in zip(gaps, lengths, strict=True)]
            return struct.pack(f"<B{len(values)}{code}", size, *values)
    return None


def spans_at(offsets: bytes, places: Iterable[int], /) -> list[tuple[int, int]]:
    """Return the spans of some entries of `packed`, without those of parts of words.

    Raises:
        IndexError: There is no such entry.

    Example:
        >>> spans_at(packed([(0, 2), (2, 3), (5, 7)]), [0, 2])
        [(0, 2), (5, 7)]
    """
    code, bits = _FORM[offsets[0]]
    mask = (1 << bits) - 1
    values: Sequence[int] = offsets[1:]
    if offsets[0] == 1:
        ends = list(accumulate(offsets[1:].translate(_ENDS)))
    else:
        values = struct.unpack(f"<{(len(offsets) - 1) // offsets[0]}{code}", offsets[1:])
        ends = list(accumulate([(value >> bits) - _BIAS + (value & mask) for value in values]))
    found = [(ends[place], values[place] & mask) for place in places]
    return [(end - length, end) for end, length in found if length]
