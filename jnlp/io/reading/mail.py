"""E-mail: a message as one document, a mailbox message by message. Attachments are named and not opened."""

from __future__ import annotations

import email
import email.header
import email.utils
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError, RecordError
from jnlp.io.reading.archive import damage_named
from jnlp.io.reading.options import Unit
from jnlp.io.reading.streams import read_all
from jnlp.io.reading.units import Whole, cut
from jnlp.patterns import deferred
from jnlp.text import decode, html
from jnlp.types import Failed, Record, Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message
    from typing import BinaryIO

    from jnlp.io.reading.inputs import Input
    from jnlp.io.reading.options import ReadOptions

LARGEST_MESSAGE = 256 << 20
"""Maximum bytes of a message, including attachments."""

_LONGEST_LINE = 1 << 20
_LONGEST_HEADER = 20_000  # characters; the time in which Python reads one grows with its square
_MOST_PARTS = 1_000
_ESCAPED = deferred(rb"^>(>*From )", re.MULTILINE)
_FLOWED = deferred(r"(?<=[^\n]) \r?\n(?!>)")


def read_eml(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield the message as one record (or as `unit` says): subject, sender, recipients, text, names of attachments.

    Raises:
        RecordError: It is too large or not a message.
    """
    with source.open() as stream:
        whole = _read(read_all(stream, source.name, LARGEST_MESSAGE), source.name)
    yield from cut(source, whole, options.unit or Unit.DOCUMENT)


def read_mbox(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield each message of a mailbox as `read_eml` does, numbered from 1; one that cannot be read fails alone."""
    with source.open() as stream:
        for number, data in enumerate(_messages(stream), start=1):
            if data is None:
                yield source.failed(f"the message is larger than {LARGEST_MESSAGE >> 20} MiB", line=number)
                continue
            try:
                whole = _read(data, source.name)
            except RecordError as error:
                yield Failed(f"{source.name}:{number}", Source(source.name, number), error)
                continue
            for record in cut(source, whole, options.unit or Unit.DOCUMENT):
                rest = record.id.removeprefix(source.name)
                where = Source(source.name, number, record.source.encoding)
                yield replace(record, id=f"{source.name}:{number}{rest}", source=where)


def _messages(stream: BinaryIO) -> Iterator[bytes | None]:
    """Split a mailbox at its lines `From …` that follow a blank line; None for a message that is too large."""
    lines: list[bytes] = []
    size, blank = 0, True
    started = False
    for line in iter(lambda: stream.readline(_LONGEST_LINE), b""):
        if blank and line.startswith(b"From "):
            if started:
                yield _message(lines, size)
            lines, size, started, blank = [], 0, True, False
            continue
        started = started or bool(line.strip())
        blank = line in (b"\n", b"\r\n")
        size += len(line)
        if size <= LARGEST_MESSAGE:
            lines.append(line)
    if started:
        yield _message(lines, size)


def _message(lines: list[bytes], size: int) -> bytes | None:
    return _ESCAPED.sub(rb"\1", b"".join(lines)) if size <= LARGEST_MESSAGE else None


@dataclass(slots=True)
class _Parts:
    """The parts of a message other than its text."""

    attached: list[str] = field(default_factory=list)
    encoding: str | None = None
    count: int = 0


def _read(data: bytes, name: str) -> Whole:
    with damage_named(name, "mail"):
        message = email.message_from_bytes(data)
        if not message.keys():
            raise RecordError(f"{name}: cannot be read as mail: it has no headers")
        parts = _Parts()
        body = _body(message, parts, name).strip()
        subject, sender, to = (_header(message, key) for key in ("Subject", "From", "To"))
        head = [f"差出人: {sender}" if sender else "", f"宛先: {to}" if to else ""]
        attached = f"添付: {'、'.join(parts.attached)}" if parts.attached else ""
        text = "\n\n".join(part for part in (subject, "\n".join(filter(None, head)), body, attached) if part)
        about = {"author": sender, "date": _date(message)}
    said = {key: value for key, value in about.items() if value}
    return Whole(text, parts.encoding, None, None, subject or None, said)


def _body(part: Message, parts: _Parts, name: str) -> str:
    """Return the text of a part and its subparts; of alternatives, the plain text."""
    _shorten(part)
    parts.count += 1
    if parts.count > _MOST_PARTS:
        raise RecordError(f"{name}: a message of more than {_MOST_PARTS:,} parts")
    filename = part.get_filename()
    if filename or part.get_content_disposition() == "attachment" or part.get_content_type() == "message/rfc822":
        parts.attached.append(_decode_header(filename) if filename else _name_of(part))
        return ""
    inside = part.get_payload()
    if isinstance(inside, list):
        # a message can say that it is multipart and hold text
        texts = [
            (child.get_content_type(), _body(child, parts, name)) for child in inside if not isinstance(child, str)
        ]
        shown = [text.strip() for _, text in texts]
        if part.get_content_type() == "multipart/alternative":
            plain = [text.strip() for kind, text in texts if kind == "text/plain"]
            shown = next(([text] for text in (*plain, *shown) if text), [])
        return "\n\n".join(text for text in shown if text)
    if part.get_content_maintype() not in ("text", "multipart"):
        return ""
    return _text(part, parts, name)


def _shorten(part: Message) -> None:
    """Cut the headers that no mail program writes so long."""
    for key, value in part.items():
        if len(value := str(value)) > _LONGEST_HEADER:
            del part[key]
            part[key] = value[:_LONGEST_HEADER]


def _text(part: Message, parts: _Parts, name: str) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    text, encoding = _decode(payload, part.get_content_charset(), name)
    parts.encoding = parts.encoding or encoding
    if part.get_content_subtype() == "html":
        return html(text).text
    if str(part.get_param("format", "")).lower() == "flowed":
        return _FLOWED.sub("" if str(part.get_param("delsp", "")).lower() == "yes" else " ", text)
    return text.replace("\r\n", "\n")


def _decode(data: bytes, charset: str | None, name: str) -> tuple[str, str]:
    """Decode with the stated charset, else with the one that fits, else with U+FFFD for undecodable bytes."""
    for codec, replacing in ((charset, False), (None, False), (charset, True), ("utf-8", True)):
        try:
            decoded = decode(data, codec, name=name, replace=replacing)
        except JnlpError:
            continue
        return decoded.text, decoded.encoding
    raise RecordError(f"{name}: its text is in no known encoding")


def _header(message: Message, key: str) -> str:
    return _decode_header(message.get(key, ""))


def _decode_header(value: object) -> str:
    """Return a header as one line of text, with encoded words and raw bytes decoded."""
    try:
        pieces = email.header.decode_header(str(value) if not isinstance(value, email.header.Header) else value)
    except (email.errors.HeaderParseError, ValueError):
        pieces = [(str(value), None)]
    shown = []
    for piece, charset in pieces:
        data = piece.encode("utf-8", "surrogateescape") if isinstance(piece, str) else piece
        stated = None if charset == "unknown-8bit" else charset
        shown.append(_decode(data, stated, "header")[0] if data else "")
    return " ".join("".join(shown).split())


def _name_of(part: Message) -> str:
    """Return a name for an attachment without a file name."""
    inside = part.get_payload()
    if isinstance(inside, list) and inside and not isinstance(inside[0], str):
        return _header(inside[0], "Subject") or part.get_content_type()
    return part.get_content_type()


def _date(message: Message) -> str:
    try:
        return email.utils.parsedate_to_datetime(str(message.get("Date", ""))).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
