"""A hit as a JSONL record, and as a few lines for a person."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from jnlp_search.fuse import best_sentence

if TYPE_CHECKING:
    from jnlp.types import Hit

SHORT = 120
"""A passage of at most so many characters is shown whole."""


def as_json(hit: Hit, /) -> dict[str, Any]:
    """Return a hit as a JSONL record, offsets as lists of two."""
    return {
        **{field.name: getattr(hit, field.name) for field in dataclasses.fields(hit)},
        "highlights": [list(span) for span in hit.highlights],
        "metadata": dict(hit.metadata),
    }


def snippet(hit: Hit, /) -> tuple[str, list[tuple[int, int]]]:
    """Return what a person is shown of a passage: its best sentence, with the offsets of the highlights in it."""
    start, end = (0, len(hit.text)) if len(hit.text) <= SHORT else best_sentence(hit.text, hit.highlights)
    inside = [(max(a, start) - start, min(b, end) - start) for a, b in hit.highlights if a < end and b > start]
    return hit.text[start:end], inside
