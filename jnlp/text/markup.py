"""The markup languages by name: functions from a file's text to readable text, with offsets into the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .align import identity
from .aozora_to_text import aozora, is_aozora
from .hypertext import html, html_title
from .markdown_to_text import front_matter, markdown

if TYPE_CHECKING:
    from collections.abc import Callable

    from .align import Aligned

__all__ = ["MARKUPS", "aozora", "front_matter", "html", "html_title", "is_aozora", "markdown"]

MARKUPS: dict[str, Callable[[str], Aligned]] = {
    "plain": identity,
    "aozora": aozora,
    "markdown": markdown,
    "html": html,
}
