"""The text as the rules read it: width folded, hyphens alike, nothing invisible; with offsets back to the original."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.patterns import deferred
from jnlp.text import compose, nfkc, retext, without_invisible

if TYPE_CHECKING:
    from jnlp.text import Aligned

_HYPHENS = str.maketrans(dict.fromkeys("‐‑‒–—―−─━﹣", "-"))
_LONG_BETWEEN_DIGITS = deferred("(?<=[0-9)])[ーｰ](?=[0-9(])")


def read(text: str, /) -> Aligned:
    """Return the text with full-width characters as half-width ones, and all hyphens as `-`.

    A long-vowel mark is a hyphen between digits alone (０３ー１２３４, not データ).

    Example:
        >>> seen = read("☎０９０ー１２３４－５６７８")
        >>> seen.text, seen.span(1, 14)
        ('☎090-1234-5678', (1, 14))
    """
    if text.isascii():
        return retext(text, text)
    visible = without_invisible(text)
    folded = compose(visible, nfkc(visible.text))
    plain = folded.text.translate(_HYPHENS)
    return compose(folded, retext(folded.text, _LONG_BETWEEN_DIGITS.sub("-", plain)))
