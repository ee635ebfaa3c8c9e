"""Markdown and HTML: a record per file, the markup removed, offsets back to the file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jnlp.io.reading.decoded import whole
from jnlp.io.reading.options import Unit
from jnlp.io.reading.units import Whole, cut
from jnlp.patterns import deferred
from jnlp.text import decode_page, front_matter, html_title
from jnlp.text.hypertext import html_meta, html_with_outline
from jnlp.text.markdown_to_text import markdown_with_outline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp.io.reading.inputs import Input
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import Failed, Record

_NAMED = deferred(r"^(title|author|date)[ \t]*[:=][ \t]*([^\r\n]+)", re.MULTILINE)


def read_markdown(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield the file as one record (or by `unit`), with the title of its front matter or its first heading."""
    decoded = whole(source, options)
    aligned, outline = markdown_with_outline(decoded.text)
    said = _front_title(front_matter(decoded.text)[0])
    title = said.pop("title", None) or (outline[0].title if outline else None)
    whole_text = Whole(aligned.text, decoded.encoding, decoded.text, aligned, title, said, outline)
    yield from cut(source, whole_text, options.unit or Unit.DOCUMENT)


def read_html(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield the page as one record (or by `unit`), with its title; use its declared encoding if that is correct."""
    decoded = whole(source, options, decode_page)
    aligned, outline = html_with_outline(decoded.text, content=True)
    title = html_title(decoded.text)
    whole_text = Whole(aligned.text, decoded.encoding, decoded.text, aligned, title, html_meta(decoded.text), outline)
    yield from cut(source, whole_text, options.unit or Unit.DOCUMENT)


def _front_title(front: str) -> dict[str, str]:
    """The title, author and date in a front matter."""
    found = ((key, value.strip().strip("\"'").strip()) for key, value in _NAMED.findall(front))
    return {key: value for key, value in reversed([*found]) if value and not value.startswith(("[", "{", "|", ">"))}
