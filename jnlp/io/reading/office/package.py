"""What all Office files share: parts that refer to one another, and properties."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from jnlp.io.reading.archive import Archive

SKIPPED = frozenset({"del", "moveFrom", "delText", "instrText", "pPr", "rPr", "rt", "Fallback", "sdtPr", "endParaRPr"})
"""Elements whose text is not shown: deleted, a field's code, a reading, the form for older programs."""

_BREAKS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}


@dataclass(frozen=True, slots=True)
class Relation:
    """A reference from one part to another: the last word of its type, and the other's path."""

    kind: str
    path: str


def relations(archive: Archive, path: str, /) -> dict[str, Relation]:
    """Return the references of a part by id; "" is the package itself. References to the outside are left out."""
    folder, name = posixpath.split(path)
    rels = posixpath.join(folder, "_rels", f"{name}.rels")
    if rels not in archive:
        return {}
    found = {}
    for relation in archive.xml(rels):
        if relation.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, relation.get("Target", "")))
            found[relation.get("Id", "")] = Relation(relation.get("Type", "").rpartition("/")[2], target)
    return found


def related(archive: Archive, path: str, kind: str, /) -> Iterator[str]:
    """Yield the parts of one kind that a part refers to and that are there."""
    for relation in relations(archive, path).values():
        if relation.kind == kind and relation.path in archive:
            yield relation.path


def main_part(archive: Archive, usual: str, /) -> str:
    """Return the path of the document's own part."""
    return next(related(archive, "", "officeDocument"), usual)


def properties(archive: Archive, /) -> tuple[str | None, dict[str, str]]:
    """Return the title, and author and date, of a document. The date is that of the last change that it knows of."""
    try:
        path = next(related(archive, "", "core-properties"), "docProps/core.xml")
        said = {element.tag: " ".join((element.text or "").split()) for element in archive.xml(path)}
    except (KeyError, ValueError, ParseError):  # there are none, or what is there is no XML: the text can still be read
        return None, {}
    date = max(said.get("created", ""), said.get("modified", ""))
    about = {"author": said.get("creator", ""), "date": date}
    return said.get("title") or None, {key: value for key, value in about.items() if value}


def shown(element: Element, /, boxes: list[Element] | None = None) -> str:
    """Return the text of a paragraph; `boxes` receives the text boxes that are anchored in it."""
    parts: list[str] = []
    _collect(element, parts, [] if boxes is None else boxes)
    return "".join(parts)


def is_prompt(element: Element, /) -> bool:
    """Whether a content control shows what to fill in, and nothing was filled in."""
    return element.tag == "sdt" and element.find("sdtPr/showingPlcHdr") is not None


def _collect(element: Element, parts: list[str], boxes: list[Element]) -> None:
    for child in element:
        tag = child.tag
        if tag == "t":
            parts.append(child.text or "")
        elif tag in _BREAKS:
            parts.append(_BREAKS[tag])
        elif tag == "txbxContent":
            boxes.append(child)
        elif tag not in SKIPPED and not (tag == "fld" and child.get("type") == "slidenum") and not is_prompt(child):
            _collect(child, parts, boxes)
