"""EPUB: the chapters of a book in reading order, with their headings."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote
from xml.etree.ElementTree import ParseError

from jnlp.errors import RecordError
from jnlp.io.reading.archive import open_archive
from jnlp.io.reading.options import Unit
from jnlp.io.reading.outlined import Outlined
from jnlp.io.reading.units import Whole, cut
from jnlp.patterns import deferred
from jnlp.text import decode_page
from jnlp.text.hypertext import html_with_outline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from jnlp.io.reading.archive import Archive
    from jnlp.io.reading.inputs import Input
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import Failed, Record

_BODY = deferred(r"<body(?=[\s>/])", re.IGNORECASE)
_PAGES = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml"})
_ENCRYPTION = "META-INF/encryption.xml"


@dataclass(frozen=True, slots=True)
class _Item:
    """A file of the book: its path, its type, and its properties."""

    path: str
    type: str
    properties: tuple[str, ...]


def read_epub(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield the book as one record (or as `unit` says); offsets are those in the extracted text.

    Raises:
        RecordError: The file is encrypted, damaged or too large.
    """
    written = Outlined()
    with open_archive(source, "epub") as archive:
        root = archive.xml("META-INF/container.xml").find("rootfiles/rootfile")
        package = root.get("full-path", "") if root is not None else ""
        book = archive.xml(package, doctype=True)
        items = {item.get("id"): _item(item, posixpath.dirname(package)) for item in book.iterfind("manifest/item")}
        order = [items.get(item.get("idref")) for item in book.iterfind("spine/itemref")]
        chapters = [item for item in order if item is not None and item.type in _PAGES and "nav" not in item.properties]
        locked = _encrypted_files(archive)
        if locked.intersection(item.path.lower() for item in chapters):
            raise RecordError(f"{source.name}: encrypted (copy protection)", hint="jnlp reads free books only")
        names = _contents(archive, book, items)
        for item in chapters:
            if item.path in archive:
                _chapter(archive, item.path, names.get(item.path), written)
    title, about = _metadata(book)
    whole = Whole(written.text(), None, None, None, title, about, written.outline())
    yield from cut(source, whole, options.unit or Unit.DOCUMENT)


def _chapter(archive: Archive, path: str, name: str | None, written: Outlined) -> None:
    """Write a chapter; a chapter without a heading gets its name from the table of contents."""
    page = decode_page(archive.read(path), name=f"{archive.name}/{path}").text
    body = _BODY.search(page)  # before it is the title, mostly that of the whole book
    aligned, outline = html_with_outline(page[body.start() :] if body else page)
    if name and not outline:
        written.mark("heading", 1, name)
    written.extend(aligned.text, outline)


def _item(element: Element, folder: str) -> _Item:
    path = posixpath.normpath(posixpath.join(folder, unquote(element.get("href", ""))))
    return _Item(path, element.get("media-type", ""), tuple(element.get("properties", "").split()))


def _contents(archive: Archive, book: Element, items: dict[str | None, _Item]) -> dict[str, str]:
    """Return the name of each file in the table of contents: a page with links in EPUB 3, a list in EPUB 2."""
    listed = [item for item in items.values() if "nav" in item.properties]
    spine = book.find("spine")
    old = items.get(spine.get("toc")) if spine is not None else None
    names: dict[str, str] = {}
    for item in [*listed, *([old] if old else [])]:
        if item.path not in archive:
            continue
        folder = posixpath.dirname(item.path)
        try:
            root = archive.xml(item.path, doctype=True)
        except (ParseError, ValueError):  # a page with entities of HTML, mostly; the chapters have their own headings
            continue
        links = [(link.get("href"), "".join(link.itertext())) for link in root.iter("a")]
        for point in root.iter("navPoint"):
            content = point.find("content")
            label = point.find("navLabel")
            if content is not None and label is not None:
                links.append((content.get("src"), "".join(label.itertext())))
        for target, name in links:
            path, _, _ = (target or "").partition("#")
            if path:
                names.setdefault(posixpath.normpath(posixpath.join(folder, unquote(path))), " ".join(name.split()))
    return names


def _metadata(book: Element) -> tuple[str | None, dict[str, str]]:
    """Return the title, and author, date and language, of a book."""

    def all_of(tag: str) -> list[str]:
        found = book.iterfind(f"metadata/{tag}")
        return [text for element in found if (text := " ".join("".join(element.itertext()).split()))]

    about = {"author": "、".join(all_of("creator")), "date": next(iter(all_of("date")), "")}
    about["language"] = next(iter(all_of("language")), "").lower().partition("-")[0]
    return next(iter(all_of("title")), None), {key: value for key, value in about.items() if value}


def _encrypted_files(archive: Archive) -> set[str]:
    """Return the encrypted files; fonts often are, even in free books."""
    if _ENCRYPTION not in archive:
        return set()
    references = archive.xml(_ENCRYPTION).iter("CipherReference")
    return {unquote(reference.get("URI", "")).lower() for reference in references}
