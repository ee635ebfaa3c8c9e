"""Finds the masks that people write into a text."""

from __future__ import annotations

import re

SPELLINGS = ("<mask>", "[MASK]")
"""Accepted whatever the model's own spelling is."""

_LOW_LINES = re.compile("＿+")


def find_masks(text: str, spellings: tuple[str, ...] = SPELLINGS, /) -> list[tuple[int, int]]:
    """Return the character offsets of a text's masks, in order.

    Where the text has none of the spellings, each run of ＿ (U+FF3F, as in a Japanese gap text) is one mask.
    Where one spelling begins another, the longer one is read.
    """
    longest_first = sorted(set(spellings), key=len, reverse=True)
    found = [match.span() for match in re.finditer("|".join(map(re.escape, longest_first)), text)]
    return found or [match.span() for match in _LOW_LINES.finditer(text)]


def respell(text: str, spans: list[tuple[int, int]], token: str, /) -> str:
    """Return the text with each of the spans spelled `token`."""
    kept = [text[end:start] for (_, end), (start, _) in zip([(0, 0), *spans], [*spans, (len(text), 0)], strict=True)]
    return token.join(kept)
