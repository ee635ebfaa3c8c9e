"""Opens the bytes of an input, plain or decompressed while reading, with size limits."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from jnlp.errors import RecordError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from _typeshed import WriteableBuffer

COMPRESSED = (".gz", ".xz", ".bz2")

LONGEST_LINE = 1 << 28
"""Maximum unpacked bytes without a line break: a few kilobytes could unpack to a line that fills memory."""

LARGEST_DOCUMENT = 1 << 30
"""Maximum bytes of a file that is read as one record."""


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading, decompressing .gz, .xz and .bz2 as it is read.

    Raises:
        OSError: The file cannot be opened.
    """
    suffix = path.suffix.lower()
    if suffix not in COMPRESSED:
        return path.open("rb")
    import bz2
    import gzip
    import lzma

    kinds: dict[str, type[gzip.GzipFile | lzma.LZMAFile | bz2.BZ2File]]
    kinds = {".gz": gzip.GzipFile, ".xz": lzma.LZMAFile, ".bz2": bz2.BZ2File}
    return io.BufferedReader(_Bounded(kinds[suffix](path, "rb"), path.as_posix()), buffer_size=1 << 16)


def borrow(stream: BinaryIO) -> BinaryIO:
    """Return a stream that reads another one and leaves it open when closed."""
    return io.BufferedReader(_Borrowed(stream))


def read_all(stream: BinaryIO, name: str, largest: int | None = None) -> bytes:
    """Return all bytes of a file that is one record.

    Raises:
        RecordError: It is larger than `LARGEST_DOCUMENT`.
    """
    parts, size = [], 0
    while part := stream.read(1 << 20):
        parts.append(part)
        size += len(part)
        if size > (limit := largest or LARGEST_DOCUMENT):
            hint = None if largest else "--unit line"
            raise RecordError(f"{name}: larger than {limit >> 20} MiB, too large for one record", hint=hint)
    return b"".join(parts)


class _Borrowed(io.RawIOBase):
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        # A pipe gives what it has (read1), so that `tail -f` is answered line by line.
        self._read = getattr(stream, "read1", stream.read)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        data = self._read(len(view))
        view[: len(data)] = data
        return len(data)


class _Bounded(io.RawIOBase):
    """A decompressed stream that fails on an endless line."""

    def __init__(self, stream: io.BufferedIOBase, name: str) -> None:
        import lzma
        import zlib

        self._stream = stream
        self._name = name
        self._since_break = 0
        self._damage = (EOFError, OSError, lzma.LZMAError, zlib.error)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        try:
            data = self._stream.read(len(view))
        except self._damage as error:
            raise RecordError(f"{self._name}: cannot be unpacked: {error}") from error
        last = data.rfind(b"\n")
        self._since_break = self._since_break + len(data) if last < 0 else len(data) - last - 1
        if self._since_break > LONGEST_LINE:
            raise RecordError(f"{self._name}: unpacks to a line of more than {LONGEST_LINE >> 20} MiB")
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()
