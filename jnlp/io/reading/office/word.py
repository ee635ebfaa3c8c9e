"""Word: headings, paragraphs with their automatic numbers, tables, text boxes and notes, in reading order."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jnlp.io.reading.archive import open_archive
from jnlp.io.reading.office.numbering import Numbering
from jnlp.io.reading.office.package import SKIPPED, is_prompt, main_part, properties, related, shown
from jnlp.io.reading.options import Unit
from jnlp.io.reading.outlined import Outlined
from jnlp.io.reading.units import Whole, cut
from jnlp.patterns import deferred

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from jnlp.io.reading.archive import Archive
    from jnlp.io.reading.inputs import Input
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import Failed, Record

_HEADING = deferred(r"(?:heading|見出し)\s*([1-9])", re.IGNORECASE)
_CONTENTS = deferred(r"(?:toc|目次)\s*[1-9]", re.IGNORECASE)
_TITLE = frozenset({"title", "表題"})
_DEEPEST = 6  # levels of headings


def read_docx(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield the file as one record (or as `unit` says); offsets are those in the extracted text.

    The table of contents, headers, footers, comments and deleted text are left out.

    Raises:
        RecordError: The file is encrypted, damaged or too large.
    """
    with open_archive(source, "docx") as archive:
        title, about = properties(archive)
        document = _Document(archive, main_part(archive, "word/document.xml"))
        document.read()
    written = document.written
    whole = Whole(written.text(), None, None, None, title or document.title, about, written.outline())
    yield from cut(source, whole, options.unit or Unit.DOCUMENT)


@dataclass(slots=True)
class _Style:
    """What a paragraph's style says, and the one it is based on."""

    name: str = ""
    based_on: str | None = None
    outline: int | None = None
    number: str | None = None
    level: int | None = None


@dataclass(slots=True)
class _Paragraph:
    """What counts of a paragraph's style: `level` of its heading, or None."""

    level: int | None = None
    contents: bool = False
    title: bool = False
    number: str | None = None
    number_level: int = 0


@dataclass(slots=True)
class _Document:
    archive: Archive
    path: str
    written: Outlined = field(default_factory=Outlined)
    title: str | None = None
    _styles: dict[str, _Style] = field(default_factory=dict)
    _default: str | None = None
    _numbering: Numbering = field(default_factory=Numbering)
    _in_list: bool = False

    def read(self) -> None:
        """Write the body, then the notes."""
        for path in related(self.archive, self.path, "styles"):
            self._learn(self.archive.xml(path))
        for path in related(self.archive, self.path, "numbering"):
            self._numbering = Numbering.of(self.archive.xml(path))
        self._blocks(self.archive.xml(self.path))
        for kind in ("footnotes", "endnotes"):
            for path in related(self.archive, self.path, kind):
                for note in self.archive.xml(path):
                    if note.get("type") not in ("separator", "continuationSeparator", "continuationNotice"):
                        self._blocks(note)

    def _learn(self, styles: Element) -> None:
        for element in styles.iter("style"):
            style = _Style(name=_value(element, "name") or "", based_on=_value(element, "basedOn"))
            style.outline, style.number, style.level = _paragraph_properties(element.find("pPr"))
            self._styles[element.get("styleId", "")] = style
            if element.get("type") == "paragraph" and element.get("default") in ("1", "true"):
                self._default = element.get("styleId")

    def _blocks(self, parent: Element) -> None:
        for child in parent:
            if child.tag == "p":
                self._paragraph(child)
            elif child.tag == "tbl":
                self._table(child)
            elif child.tag not in SKIPPED and not _is_contents(child) and not is_prompt(child):
                self._blocks(child)

    def _paragraph(self, element: Element) -> None:
        boxes: list[Element] = []
        text = shown(element, boxes).strip()
        style = self._style(element)
        label = ""
        if style.number is not None and (text or style.level is not None):
            label = self._numbering.label(style.number, style.number_level)
        if text and not style.contents:
            line = f"{label} {text}" if label and label != "・" else label + text
            if style.level is not None:
                self.written.mark("heading", style.level, " ".join(line.split()))
            if style.title and self.title is None:
                self.title = " ".join(text.split())
            in_list = bool(label) and style.level is None
            self.written.add(line, "\n" if in_list and self._in_list else "\n\n")
            self._in_list = in_list
        for box in boxes:
            self._blocks(box)

    def _style(self, element: Element) -> _Paragraph:
        properties = element.find("pPr")
        outline, number, level = _paragraph_properties(properties)
        named = _value(properties, "pStyle") if properties is not None else None
        found = _Paragraph()
        seen: set[str] = set()
        name = named or self._default
        while name is not None and name not in seen and name in self._styles:
            seen.add(name)
            style = self._styles[name]
            heading = _HEADING.fullmatch(style.name.strip())
            if outline is None:
                outline = int(heading[1]) - 1 if heading else style.outline
            if number is None and style.number is not None:
                number = style.number
                level = style.level if level is None else level
                level = self._numbering.level_of(number, name) if level is None else level
            found.contents = found.contents or bool(_CONTENTS.fullmatch(style.name.strip()))
            found.title = found.title or style.name.strip().lower() in _TITLE
            name = style.based_on
        found.level = min(outline + 1, _DEEPEST) if outline is not None and outline < 9 else None
        found.number = None if number == "0" else number
        found.number_level = level or 0
        return found

    def _table(self, table: Element) -> None:
        """Write one line per row, cells separated by tabs; a table with a single cell is a frame around paragraphs."""
        rows = list(_rows(table))
        if len(rows) == 1 and len(rows[0]) == 1:
            self._blocks(rows[0][0])
            return
        self._in_list = False
        gap = "\n\n"
        for row in rows:
            line = "\t".join(self._cell(cell) for cell in row)
            if line.strip():
                self.written.add(line, gap)
                gap = "\n"

    def _cell(self, cell: Element) -> str:
        """The text of a cell in one line, with that of the tables in it."""
        texts = []
        for paragraph in _paragraphs(cell):
            boxes: list[Element] = []
            text = shown(paragraph, boxes)
            style = self._style(paragraph)
            label = self._numbering.label(style.number, style.number_level) if style.number and text.strip() else ""
            texts += [label, text, *(shown(inner) for box in boxes for inner in _paragraphs(box))]
        return " ".join(" ".join(texts).split())


def _rows(table: Element) -> Iterator[list[Element]]:
    """The rows of a table as their cells, also those in content controls and those inserted."""
    for child in table:
        if child.tag == "tr":
            yield list(_cells(child))
        elif child.tag not in SKIPPED and child.tag not in ("tblPr", "tblGrid"):
            yield from _rows(child)


def _cells(row: Element) -> Iterator[Element]:
    for child in row:
        if child.tag == "tc":
            yield child
        elif child.tag not in SKIPPED and child.tag not in ("trPr", "tblPrEx"):
            yield from _cells(child)


def _paragraphs(parent: Element) -> Iterator[Element]:
    for child in parent:
        if child.tag == "p":
            yield child
        elif child.tag not in SKIPPED:
            yield from _paragraphs(child)


def _paragraph_properties(properties: Element | None) -> tuple[int | None, str | None, int | None]:
    """The outline level, the list and the level in the list that `pPr` states."""
    if properties is None:
        return None, None, None
    outline = _value(properties, "outlineLvl")
    numbered = properties.find("numPr")
    number = _value(numbered, "numId") if numbered is not None else None
    level = _value(numbered, "ilvl") if numbered is not None else None
    return _digit(outline), number, _digit(level)


def _digit(text: str | None) -> int | None:
    return int(text) if text and len(text) == 1 and text in "0123456789" else None


def _value(element: Element, tag: str) -> str | None:
    child = element.find(tag)
    return None if child is None else child.get("val")


def _is_contents(element: Element) -> bool:
    """Whether a content control is the table of contents."""
    gallery = element.find("sdtPr/docPartObj/docPartGallery")
    return gallery is not None and gallery.get("val") == "Table of Contents"
