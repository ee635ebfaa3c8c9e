"""Markdown and HTML: a record per file, the markup removed, offsets back to the file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jnlp.io.decoded import whole
from jnlp.io.options import Unit
from jnlp.io.units import Whole, cut
from jnlp.text import html, html_title, markdown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp.io.options import ReadOptions
    from jnlp.io.sources import Input
    from jnlp.types import Failed, Record

_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(
    r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*\r?$|^(\S[^\r\n]*)\r?\n(?:=+|-{2,})[ \t]*\r?$", re.MULTILINE
)


def read_markdown(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield the file as one record (or as `unit` says), its first heading as the field `title`."""
    decoded = whole(source, options)
    aligned = markdown(decoded.text)
    fields = _titled(markdown_title(decoded.text))
    yield from cut(
        source, Whole(aligned.text, decoded.encoding, decoded.text, aligned, fields), options.unit or Unit.DOCUMENT
    )


def read_html(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield the page as one record (or as `unit` says), its title as the field `title`."""
    decoded = whole(source, options)
    aligned = html(decoded.text)
    fields = _titled(html_title(decoded.text))
    yield from cut(
        source, Whole(aligned.text, decoded.encoding, decoded.text, aligned, fields), options.unit or Unit.DOCUMENT
    )


def markdown_title(text: str, /) -> str | None:
    """Return the first heading of a Markdown text outside code fences, its own markup removed, or None."""
    match = _HEADING.search(_FENCE.sub("", text))
    if match is None:
        return None
    return markdown(match.group(1) or match.group(2)).text.strip() or None


def _titled(title: str | None) -> dict[str, object]:
    return {"title": title} if title else {}
