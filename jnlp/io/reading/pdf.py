"""PDF: the text layer, pages joined by form feeds."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

from jnlp.errors import MissingExtraError, RecordError
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


def read_pdf(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield the file as one record (or as `unit` says); offsets are those in the extracted text.

    Raises:
        MissingExtraError: pypdf is not installed.
        RecordError: The file is encrypted, damaged or without a text layer.
    """
    with source.open() as stream:
        text, title = extract(read_all(stream, source.name), source.name)
    if not text.strip("\f \n"):
        raise RecordError(f"{source.name}: no text layer (a scan?)", hint="run OCR over it first")
    whole = Whole(text, None, None, None, title, outline=tuple(_pages(text)))
    yield from cut(source, whole, options.unit or Unit.DOCUMENT)


def _pages(text: str) -> Iterator[Mark]:
    start = 0
    for number, page in enumerate(text.split(PAGE_BREAK), start=1):
        yield Mark(start, "page", 1, "", number)
        start += len(page) + 1


def extract(data: bytes, name: str) -> tuple[str, str | None]:
    """Return the text of a PDF's pages, joined by form feeds, and its title. Letter-spaced lines are joined.

    Raises:
        MissingExtraError: pypdf is not installed.
        RecordError: It is encrypted or damaged.
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
        title = reader.metadata.title if reader.metadata else None
        pages = [join_spaced(page.extract_text()) for page in reader.pages]
        return PAGE_BREAK.join(page.replace(PAGE_BREAK, " ") for page in pages), (
            str(title).strip() or None if title else None
        )
    except RecordError:
        raise
    # A malformed file makes pypdf raise nearly anything (KeyError, RecursionError …); none of it is a bug of ours.
    except Exception as error:
        raise RecordError(f"{name}: cannot be read as PDF: {type(error).__name__}: {error}") from error
