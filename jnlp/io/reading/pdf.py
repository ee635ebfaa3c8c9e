"""PDF: the text layer, pages joined by form feeds."""

from __future__ import annotations

import io
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jnlp.errors import MissingExtraError, RecordError
from jnlp.io.reading.damage import not_understood
from jnlp.io.reading.options import Unit
from jnlp.io.reading.streams import read_all
from jnlp.io.reading.units import Whole, cut
from jnlp.text.spacing import join_spaced
from jnlp.types import Mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp.io.reading.inputs import Input
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import Failed, Record

PAGE_BREAK = "\f"

_DEEPEST = 5  # forms in forms that are searched for pictures


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a PDF says: the text of its pages, its title, and author and date."""

    pages: list[str]
    title: str | None = None
    about: dict[str, str] = field(default_factory=dict)


def read_pdf(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield the file as one record (or as `unit` says); offsets are those in the extracted text.

    Raises:
        MissingExtraError: pypdf is not installed.
        RecordError: The file is encrypted, damaged, empty or without a text layer.
    """
    with source.open() as stream:
        found = extract(read_all(stream, source.name), source.name)
    text = PAGE_BREAK.join(found.pages)
    whole = Whole(text, None, None, None, found.title, found.about, tuple(_marks(found.pages)))
    yield from cut(source, whole, options.unit or Unit.DOCUMENT)


def _marks(pages: list[str]) -> Iterator[Mark]:
    start = 0
    for number, page in enumerate(pages, start=1):
        yield Mark(start, "page", 1, "", number)
        start += len(page) + len(PAGE_BREAK)


def extract(data: bytes, name: str) -> Extracted:
    """Return the text of a PDF's pages, letter-spaced lines joined, and what the file says of itself.

    Raises:
        MissingExtraError: pypdf is not installed.
        RecordError: It is encrypted, damaged, empty or without a text layer.
    """
    try:
        import pypdf
    except ImportError:
        raise MissingExtraError("pdf", "reading PDF") from None
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its notes on malformed files are not for the user
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise RecordError(f"{name}: encrypted with a password", hint="remove the password first")
        pages = [join_spaced(page.extract_text()).replace(PAGE_BREAK, " ") for page in reader.pages]
        if not any(page.strip() for page in pages):
            raise _without_text(reader, name)
        title, about = _metadata(reader.metadata)
        if scanned := _is_scan(reader, pages):
            about["scanned_pages"] = ", ".join(map(str, scanned))
        return Extracted(pages, title, about)
    except (RecordError, MissingExtraError):
        raise
    except pypdf.errors.DependencyError:  # newer encryption, which pypdf leaves to another package
        raise MissingExtraError("pdf", f"{name}: reading encrypted PDF") from None
    # A malformed file makes pypdf raise nearly anything (KeyError, RecursionError …); none of it is a bug of ours.
    except Exception as error:
        raise not_understood(name, "PDF", error, io.BytesIO(data)) from error


def _metadata(metadata: Any) -> tuple[str | None, dict[str, str]]:
    """The title, and author and date; a field that is malformed is left out."""
    said: dict[str, str] = {}
    for key, names in (("title", ["title"]), ("author", ["author"]), ("date", ["creation_date", "modification_date"])):
        for name in names:
            with suppress(ValueError, TypeError, AttributeError, KeyError, OverflowError):
                value = getattr(metadata, name)
                text = value.isoformat() if key == "date" and value is not None else " ".join(str(value or "").split())
                if text and key not in said:
                    said[key] = text
    return said.pop("title", None), said


def _is_scan(reader: Any, pages: list[str]) -> list[int]:
    """The pages that show a picture and have no text, by number."""
    blank = [number for number, page in enumerate(pages, start=1) if not page.strip()]
    return [number for number in blank if _has_picture(reader.pages[number - 1].get("/Resources"), _DEEPEST)]


def _without_text(reader: Any, name: str) -> RecordError:
    """The error for a PDF without text: its pages are pictures, drawings, or empty."""
    count = f"{len(reader.pages):,} page{'s' if len(reader.pages) != 1 else ''}"
    hint = "run OCR over it first"
    if any(_has_picture(page.get("/Resources"), _DEEPEST) for page in reader.pages):
        return RecordError(f"{name}: no text layer: a scan of {count}", hint=hint)
    if any(_draws(page) for page in reader.pages):
        return RecordError(f"{name}: no text layer: {count} of drawings, or of text as curves", hint=hint)
    return RecordError(f"{name}: empty: {count} that show{'s' if len(reader.pages) == 1 else ''} nothing")


def _has_picture(resources: Any, depth: int) -> bool:
    """Whether a page, or a form on it, shows a picture."""
    if resources is None or depth == 0:
        return False
    shown = resources.get_object().get("/XObject")
    for reference in shown.get_object().values() if shown is not None else ():
        thing = reference.get_object()
        if thing.get("/Subtype") == "/Image" or _has_picture(thing.get("/Resources"), depth - 1):
            return True
    return False


def _draws(page: Any) -> bool:
    contents = page.get_contents()
    return contents is not None and bool(contents.get_data().strip())
