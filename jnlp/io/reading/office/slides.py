"""PowerPoint: the text of each slide, its tables, charts and diagrams, and the speaker's notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.io.reading.archive import open_archive
from jnlp.io.reading.office.package import SKIPPED, Relation, main_part, properties, related, relations, shown
from jnlp.io.reading.options import Unit
from jnlp.io.reading.outlined import Outlined
from jnlp.io.reading.units import Whole, cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from xml.etree.ElementTree import Element

    from jnlp.io.reading.archive import Archive
    from jnlp.io.reading.inputs import Input
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import Failed, Record

_TITLES = frozenset({"title", "ctrTitle"})
_REPEATED = frozenset({"dt", "ftr", "sldNum", "hdr", "sldImg"})


def read_pptx(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield the file as one record (or as `unit` says); offsets are those in the extracted text.

    Date, footer and slide number are left out; hidden slides are not.

    Raises:
        RecordError: The file is encrypted, damaged or too large.
    """
    written = Outlined()
    with open_archive(source, "pptx") as archive:
        title, about = properties(archive)
        main = main_part(archive, "ppt/presentation.xml")
        known = relations(archive, main)
        order = [known.get(slide.get("r:id", "")) for slide in archive.xml(main).iterfind("sldIdLst/sldId")]
        for number, slide in enumerate(order, start=1):
            if slide is not None and slide.path in archive:
                heading = _slide(archive, slide.path, number, written)
                title = title or heading
    whole = Whole(written.text(), None, None, None, title, about, written.outline())
    yield from cut(source, whole, options.unit or Unit.DOCUMENT)


def _slide(archive: Archive, path: str, number: int, written: Outlined) -> str | None:
    """Write a slide with its notes and return its title."""
    tree = archive.xml(path).find("cSld/spTree")
    shapes = list(_shapes(tree)) if tree is not None else []
    titles = [shape for shape in shapes if _placeholder(shape) in _TITLES]
    heading = " ".join(" ".join(shown(text) for shape in titles for text in shape.iter("p")).split())
    written.mark("slide", 1, heading, number)
    written.add(heading)
    known = relations(archive, path)
    for shape in shapes:
        if shape not in titles:
            _shape(archive, shape, known, written)
    for notes in related(archive, path, "notesSlide"):
        notes_tree = archive.xml(notes).find("cSld/spTree")
        for shape in _shapes(notes_tree) if notes_tree is not None else ():
            if _placeholder(shape) == "body":
                _shape(archive, shape, {}, written)
    return heading or None


def _shapes(parent: Element) -> Iterator[Element]:
    """Yield the shapes of a slide in its order, those in groups too."""
    for child in parent:
        if child.tag in ("sp", "graphicFrame"):
            yield child
        elif child.tag not in SKIPPED:
            yield from _shapes(child)


def _placeholder(shape: Element) -> str | None:
    """What a shape is a placeholder for, or None: one without a type is for the body."""
    place = shape.find("nvSpPr/nvPr/ph")
    return None if place is None else place.get("type", "body")


def _shape(archive: Archive, shape: Element, known: Mapping[str, Relation], written: Outlined) -> None:
    if _placeholder(shape) in _REPEATED:
        return
    gap = "\n\n"
    for row in shape.iter("tr"):
        written.add("\t".join(" ".join(_texts(cell)) for cell in row.iterfind("tc")), gap)
        gap = "\n"
    if shape.tag == "graphicFrame":
        for text in _graphic_texts(archive, shape, known):
            written.add(text, gap)
            gap = "\n"
        return
    for text in _texts(shape):
        written.add(text, gap)
        gap = "\n"


def _texts(element: Element) -> list[str]:
    return [text for paragraph in element.iter("p") if (text := shown(paragraph).strip())]


def _graphic_texts(archive: Archive, frame: Element, known: Mapping[str, Relation]) -> Iterator[str]:
    """The words of a chart or a diagram, which lie in a part of their own."""
    for element in frame.iter():
        target = known.get(element.get("r:dm") or element.get("r:id") or "")
        if element.tag not in ("relIds", "chart") or target is None or target.path not in archive:
            continue
        root = archive.xml(target.path)
        yield from _texts(root)
        cached = (value.text or "" for cache in root.iter("strCache") for value in cache.iter("v"))
        yield from dict.fromkeys(text.strip() for text in cached)
