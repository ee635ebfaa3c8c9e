"""Japanese text: pure functions on str that keep character offsets into what the user gave."""

from __future__ import annotations

from .align import Aligned, Builder, compose, identity, retext
from .charset import decode_page
from .encodings import Decoded, Detected, ForeignTextError, UndecodableError, decode, detect
from .headings import headings
from .markup import MARKUPS, aozora, front_matter, html, html_title, is_aozora, markdown
from .normalize import FOLD_VERSION, NORMALIZERS, fold, fold_kana, nfkc, readable, search_fold, without_invisible
from .paragraphs import lines, paragraphs
from .sentences import cut, sentences
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
