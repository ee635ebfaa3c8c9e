"""Japanese text: pure functions on str that keep character offsets into what the user gave.

Functions that have the name of their module are imported at once, all others when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.lazy import attributes

from .headings import headings
from .paragraphs import lines, paragraphs
from .sentences import cut, sentences

if TYPE_CHECKING:
    from .align import Aligned, Builder, compose, identity, retext
    from .charset import decode_page
    from .encodings import Decoded, Detected, ForeignTextError, UndecodableError, decode, detect
    from .markup import MARKUPS, aozora, front_matter, html, html_title, is_aozora, markdown
    from .normalize import FOLD_VERSION, NORMALIZERS, fold, fold_kana, nfkc, readable, search_fold, without_invisible
    from .stream import TextStream, open_text

__all__ = [
    "FOLD_VERSION",
    "MARKUPS",
    "NORMALIZERS",
    "Aligned",
    "Builder",
    "Decoded",
    "Detected",
    "ForeignTextError",
    "TextStream",
    "UndecodableError",
    "aozora",
    "compose",
    "cut",
    "decode",
    "decode_page",
    "detect",
    "fold",
    "fold_kana",
    "front_matter",
    "headings",
    "html",
    "html_title",
    "identity",
    "is_aozora",
    "lines",
    "markdown",
    "nfkc",
    "open_text",
    "paragraphs",
    "readable",
    "retext",
    "search_fold",
    "sentences",
    "without_invisible",
]

if not TYPE_CHECKING:  # for a type checker it would have every name
    __getattr__ = attributes(
        __name__,
        {
            "jnlp.text.align": ("Aligned", "Builder", "compose", "identity", "retext"),
            "jnlp.text.charset": ("decode_page",),
            "jnlp.text.encodings": ("Decoded", "Detected", "ForeignTextError", "UndecodableError", "decode", "detect"),
            "jnlp.text.markup": ("MARKUPS", "aozora", "front_matter", "html", "html_title", "is_aozora", "markdown"),
            "jnlp.text.normalize": (
                "FOLD_VERSION",
                "NORMALIZERS",
                "fold",
                "fold_kana",
                "nfkc",
                "readable",
                "search_fold",
                "without_invisible",
            ),
            "jnlp.text.stream": ("TextStream", "open_text"),
        },
    )
