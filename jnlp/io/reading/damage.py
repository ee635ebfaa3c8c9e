"""Why a file cannot be read, in words for its reader: it is empty, cut off, of another kind, or damaged."""

from __future__ import annotations

import json
import zipfile
import zlib
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from jnlp.errors import RecordError
from jnlp.patterns import deferred

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import IO

HEAD = 1 << 10
"""Bytes at the beginning of a file by which its kind is known."""

AGAIN = "copy or download it again"

_ZIP, _PDF, _PARQUET = b"PK\x03\x04", b"%PDF-", b"PAR1"
_OTHERS = (
    (_PDF, "it is a PDF", "rename it to .pdf"),
    (b"{\\rtf", "it is in Rich Text Format", "open it in Word, and save it as docx"),
    (b"\x89PNG", "it is a picture", None),
    (b"\xff\xd8\xff", "it is a picture", None),
    (b"GIF8", "it is a picture", None),
    (b"\x1f\x8b", "it is packed by gzip", "add .gz to its name"),
    (_PARQUET, "it is a Parquet file", "rename it to .parquet"),
    (_ZIP, "it is a ZIP archive", None),
)
_PAGE = (b"<!doctype html", b"<html", b"<head", b"<body", b"<meta", b"<title", b"<script", b"<table", b"<div")
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")  # byte order marks
_QUOTED = deferred("'(.+)'")
_PARTS = {
    "word/document.xml": ("docx", "a docx"),
    "xl/workbook.xml": ("xlsx", "an xlsx"),
    "ppt/presentation.xml": ("pptx", "a pptx"),
    "meta-inf/container.xml": ("epub", "an epub"),
}
"""The main part of each kind of archive."""

_ENDS = {"PDF": (_PDF, b"%%EOF"), "parquet": (_PARQUET, _PARQUET)}
"""How a file of a kind begins, and what is near its end."""


class RefusedError(ValueError):
    """Something in a file that jnlp does not read; the message is for the user."""


def not_understood(name: str, kind: str, error: Exception, file: IO[bytes] | None = None, /) -> RecordError:
    """Return the error for a file that a parser did not understand, in one line.

    Args:
        name: The file.
        kind: The format that it should have: `docx`.
        error: What the parser raised.
        file: The file, to see what it is instead; seekable.
    """
    what, hint = _reason(kind, error, file)
    return RecordError(f"{name}: cannot be read as {kind}: {' '.join(what.split())}", hint=hint)


def _reason(kind: str, error: Exception, file: IO[bytes] | None) -> tuple[str, str | None]:
    """Return what is wrong, and what to do about it if anything helps."""
    if file is not None and (found := _by_content(kind, error, file)) is not None:
        return found
    match error:
        case RefusedError():
            return str(error).lstrip("/"), None
        case json.JSONDecodeError():
            return f"broken JSON at line {error.lineno}, column {error.colno}: {error.msg}", None
        case KeyError():
            named = _QUOTED.search(str(error)) or [str(error)] * 2  # zipfile writes a sentence, a dict the key
            return f"its part {named[1].lstrip('/')} is missing", AGAIN
        case ElementTree.ParseError():
            return f"the XML in it is damaged ({error})", AGAIN
        case zipfile.BadZipFile() | zlib.error() | EOFError():
            return f"a part of it is damaged ({error})", AGAIN
        case NotImplementedError():
            return "it is packed in a way that jnlp does not read", "open it in its program, and save it again"
        case RecursionError():
            return "its parts are nested too deeply", None
    return f"it is damaged, or unlike any {kind} that jnlp knows ({type(error).__name__}: {error})", None


def _by_content(kind: str, error: Exception, file: IO[bytes]) -> tuple[str, str | None] | None:
    """Return what a file is instead; None if it begins and ends as it should."""
    try:
        file.seek(0)
        head = file.read(HEAD)
        size = file.seek(0, 2)
        file.seek(max(0, size - 2 * HEAD))
        tail = file.read()
    except (OSError, ValueError):  # it is closed: the parser has done that
        return None
    if not head.strip(b"\0"):
        return ("the file is empty" if not size else "there are only zeros in it"), AGAIN
    if kind in _ENDS:
        begin, end = _ENDS[kind]
        if begin in head:
            return None if end in tail else ("it is cut off: its end is missing", AGAIN)
        return what_it_is(head, kind)
    if not head.startswith(_ZIP):
        return what_it_is(head, kind)
    if isinstance(error, zipfile.BadZipFile) and not zipfile.is_zipfile(file):
        return "it is cut off: its end is missing", AGAIN
    if isinstance(error, KeyError) and not _has_folder_of_a_document(file):
        return f"it is a ZIP archive, and no {kind}", None
    return None


def _has_folder_of_a_document(file: IO[bytes]) -> bool:
    folders = {part.partition("/")[0] for part in _PARTS}
    with zipfile.ZipFile(file) as whole:
        return any(name.lower().partition("/")[0] in folders for name in whole.namelist())


def what_it_is(head: bytes, kind: str, /) -> tuple[str, str | None]:
    """Return what a file is that is not of a kind, and what to do about it if anything helps.

    Args:
        head: How it begins.
        kind: The format that it should have.

    Example:
        >>> what_it_is(b"<!DOCTYPE html><html>", "docx")
        ('it is a web page', 'rename it to .html, or save it as docx')
        >>> what_it_is("名前,年齢".encode(), "xlsx")
        ('it is plain text', 'rename it to .txt or .csv, or save it as xlsx')
    """
    for start, what, hint in _OTHERS:
        if head.startswith(start):
            return what, hint
    text = head.replace(b"\0", b"")  # UTF-16
    for mark in _MARKS:
        text = text.removeprefix(mark)
    if text.lstrip().lower().startswith(_PAGE) or b"<html" in text.lower():
        return "it is a web page", f"rename it to .html, or save it as {kind}"
    if text.startswith(b"<?xml"):
        return "it is an XML file", f"save it as {kind}"
    if _is_text(head):
        return "it is plain text", f"rename it to .txt or .csv, or save it as {kind}"
    return f"it is no {kind}: it begins as no such file does", None


def _is_text(head: bytes) -> bool:
    """Return True if no byte is a control character, as none is in Japanese text of any encoding but UTF-16."""
    return not any(byte < 32 and byte not in b"\t\r\n\f\x1b" for byte in head)


def refuse_other_kind(name: str, kind: str, parts: Collection[str], /) -> None:
    """Raise RecordError if an archive is a document of another kind: read as this one, it would be empty.

    Args:
        name: The file.
        kind: The format that it should have.
        parts: The paths in it, in lower case.
    """
    found = [_PARTS[part] for part in parts if part in _PARTS]
    if found and kind not in [known for known, _ in found]:
        other, what = found[0]
        raise RecordError(f"{name}: cannot be read as {kind}: it is {what}", hint=f"rename it to .{other}")
