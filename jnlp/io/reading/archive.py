"""Reads ZIP archives that are documents (docx, xlsx, pptx, epub), with size limits and clear errors."""

from __future__ import annotations

import io
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING
from xml.etree import ElementTree

from jnlp.errors import RecordError
from jnlp.io.reading.damage import AGAIN, RefusedError, not_understood, refuse_other_kind
from jnlp.io.reading.streams import read_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from jnlp.io.reading.inputs import Input

LARGEST_PART = 128 << 20
"""Maximum unpacked bytes of one part."""

LARGEST_TOTAL = 512 << 20
"""Maximum unpacked bytes of all parts that are read."""

MOST_PARTS = 100_000

_HEAD = 1 << 16  # bytes in which XML declares a document type

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # Microsoft's older container; a password puts a docx into one
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_RELATIONS = "relationships}"
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    ElementTree.ParseError,
    EOFError,
    NotImplementedError,
    LookupError,
    RecursionError,
    RuntimeError,
    ValueError,
    OverflowError,
)


class Archive:
    """The parts of an archive by path. Only parts that are read are unpacked, so no pictures or films.

    Args:
        file: Seekable.
        name: For messages.
    """

    def __init__(self, file: IO[bytes], name: str, /) -> None:
        self.file, self.name = file, name
        self._zip = zipfile.ZipFile(file)
        self._left = LARGEST_TOTAL
        parts = self._zip.infolist()
        if len(parts) > MOST_PARTS:
            raise RecordError(f"{name}: an archive of more than {MOST_PARTS:,} parts")
        self._parts = {_path(part.filename): part for part in parts}

    def __contains__(self, path: str) -> bool:
        return _path(path) in self._parts

    def read(self, path: str, /) -> bytes:
        """Return a part.

        Raises:
            KeyError: There is no such part.
            RecordError: It is encrypted or unpacks to too much.
        """
        part = self._parts[_path(path)]
        if part.flag_bits & 1:
            raise RecordError(f"{self.name}: encrypted with a password", hint="remove the password first")
        self._left -= part.file_size
        if part.file_size > LARGEST_PART or self._left < 0:
            raise self._too_large(path)
        with self._zip.open(part) as stream:  # it stops at the size that the archive states
            return stream.read(LARGEST_PART + 1)

    def check(self) -> None:
        """Raise RecordError if the archive as a whole is encrypted or unpacks to too much: a library will read it."""
        for path, part in self._parts.items():
            if part.flag_bits & 1:
                raise RecordError(f"{self.name}: encrypted with a password", hint="remove the password first")
            if part.file_size > LARGEST_PART * 2:
                raise self._too_large(path)
            if path.endswith((".xml", ".rels")):
                with self._zip.open(part) as stream:
                    _refuse_entities(stream.read(_HEAD), path)
        if sum(part.file_size for part in self._parts.values()) > LARGEST_TOTAL:
            raise self._too_large("it")

    def xml(self, path: str, /, *, doctype: bool = False) -> Element:
        """Return a part as XML without namespaces: `w:p` is `p`, and `r:id` stays apart from `id`.

        Args:
            path: The part.
            doctype: Whether it may name a document type; entities are defined in none.
        """
        data = self.read(path)
        _refuse_entities(data[:_HEAD], path, doctype=doctype)
        root = ElementTree.fromstring(data)
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
            if any("}" in key for key in element.attrib):
                element.attrib = {_attribute(key): value for key, value in element.items()}
        return root

    def paths(self) -> list[str]:
        """Return the parts there are."""
        return list(self._parts)

    def _too_large(self, path: str) -> RecordError:
        return RecordError(
            f"{self.name}: {path} unpacks to more than jnlp reads of one document", hint="is it a document at all?"
        )


@contextmanager
def open_archive(source: Input, kind: str, /) -> Iterator[Archive]:
    """Open an input as an archive; any damage, now or while it is read, becomes a RecordError.

    Args:
        source: What to read.
        kind: The expected format, for messages: `docx`.

    Raises:
        RecordError: It is encrypted, not an archive, damaged, or unpacks to too much.
        OSError: It cannot be opened.
    """
    with source.open() as stream:
        file: IO[bytes] = stream if stream.seekable() else io.BytesIO(read_all(stream, source.name))
        _refuse_ole(file, source.name, kind)
        with damage_named(source.name, kind, file):
            archive = Archive(file, source.name)
            refuse_other_kind(source.name, kind, archive.paths())
            yield archive


@contextmanager
def damage_named(name: str, kind: str, file: IO[bytes] | None = None, /) -> Iterator[None]:
    """Turn the exceptions of reading a damaged file into a RecordError that names the file; see `not_understood`."""
    try:
        yield
    except (RecordError, UnicodeEncodeError):
        raise
    except _DAMAGE as error:
        raise not_understood(name, kind, error, file) from error


def _refuse_entities(head: bytes, path: str, *, doctype: bool = False) -> None:
    """Raise where XML may define entities, which could unpack to anything; Office never writes a document type."""
    text = head.replace(b"\0", b"")  # UTF-16
    if b"<!ENTITY" in text or (b"<!DOCTYPE" in text and not doctype):
        raise RefusedError(f"{path} declares a document type")


def _refuse_ole(file: IO[bytes], name: str, kind: str) -> None:
    start = file.read(len(_OLE))
    if start == _OLE:
        last = b""
        while block := file.read(1 << 20):
            if _ENCRYPTED in last + block:
                raise RecordError(f"{name}: encrypted with a password", hint="remove the password first")
            last = block[-len(_ENCRYPTED) :]
        raise RecordError(f"{name}: a file of Office 97–2003, no {kind}", hint=f"save it as {kind}")
    if not start:
        raise RecordError(f"{name}: cannot be read as {kind}: the file is empty", hint=AGAIN)
    file.seek(0)


def _path(path: str) -> str:
    r"""A part's path as it is looked up: Office ignores case, and some programs write `\\`."""
    return path.replace("\\", "/").lstrip("/").lower()


def _attribute(key: str) -> str:
    space, _, name = key.rpartition("}")
    return f"r:{name}" if f"{space}}}".endswith(_RELATIONS) else name
