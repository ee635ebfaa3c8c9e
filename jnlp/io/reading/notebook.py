"""Jupyter notebooks: the text and the code of their cells, without output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jnlp.errors import RecordError
from jnlp.io.reading.archive import damage_named
from jnlp.io.reading.damage import AGAIN
from jnlp.io.reading.decoded import whole as whole_text
from jnlp.io.reading.options import Unit
from jnlp.io.reading.outlined import Outlined
from jnlp.io.reading.units import Whole, cut
from jnlp.text.markdown_to_text import markdown_with_outline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jnlp.io.reading.inputs import Input
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import Failed, Record


def read_ipynb(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield the notebook as one record (or as `unit` says); offsets are those in the extracted text.

    Raises:
        RecordError: The file is not a notebook.
    """
    decoded = whole_text(source, options)
    if not decoded.text.strip():
        raise RecordError(f"{source.name}: cannot be read as ipynb: the file is empty", hint=AGAIN)
    with damage_named(source.name, "ipynb"):
        notebook = json.loads(decoded.text)
    if not isinstance(notebook, dict):
        raise RecordError(f"{source.name}: cannot be read as ipynb: it is not a JSON object")
    written = Outlined()
    for cell in _cells(notebook):
        lines = cell.get("source", cell.get("input", ""))
        text = "".join(map(str, lines)) if isinstance(lines, list) else str(lines)
        if cell.get("cell_type") in ("markdown", "heading"):
            aligned, outline = markdown_with_outline(text)
            written.extend(aligned.text, outline)
        else:
            written.add(text)
    outline = written.outline()
    title, about = _metadata(notebook)
    heading = outline[0].title if outline else None
    whole = Whole(written.text(), decoded.encoding, None, None, title or heading, about, outline)
    yield from cut(source, whole, options.unit or Unit.DOCUMENT)


def _cells(notebook: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Return the cells of a notebook; before format 4 they were in worksheets."""
    sheets = notebook.get("worksheets")
    for holder in [notebook, *(sheets if isinstance(sheets, list) else [])]:
        cells = holder.get("cells") if isinstance(holder, dict) else None
        for cell in cells if isinstance(cells, list) else ():
            if isinstance(cell, dict):
                yield cell


def _metadata(notebook: Mapping[str, object]) -> tuple[str | None, dict[str, str]]:
    metadata = notebook.get("metadata")
    if not isinstance(metadata, dict):
        return None, {}
    authors = metadata.get("authors")
    names = [author.get("name") for author in authors if isinstance(author, dict)] if isinstance(authors, list) else []
    author = "、".join(str(name) for name in names if name)
    title = metadata.get("title")
    return (title if isinstance(title, str) and title.strip() else None), ({"author": author} if author else {})
