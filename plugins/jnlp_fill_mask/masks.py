"""Finds the masks in a text."""

from __future__ import annotations

import re

from jnlp.patterns import deferred

SPELLINGS = ("<mask>", "[MASK]")
"""Spellings of a mask that are accepted with every model."""

_LOW_LINES = deferred("＿+")


def find_masks(text: str, spellings: tuple[str, ...] = SPELLINGS, /) -> list[tuple[int, int]]:
    """Return the character offsets of a text's masks, in order.

    If the text has none of the spellings, each run of ＿ (U+FF3F, as in Japanese gap texts) is a mask. If one spelling
    is the beginning of another, the longer one is matched.
    """
    longest_first = sorted(set(spellings), key=len, reverse=True)
    found = [match.span() for match in re.finditer("|".join(map(re.escape, longest_first)), text)]
    return found or [match.span() for match in _LOW_LINES.finditer(text)]


def respell(text: str, spans: list[tuple[int, int]], token: str, /) -> str:
    """Return the text with each of the spans spelled `token`."""
    kept = [text[end:start] for (_, end), (start, _) in zip([(0, 0), *spans], [*spans, (len(text), 0)], strict=True)]
    return token.join(kept)
