"""Reads a text file or pipe as a stream of lines and detects its encoding while reading.

ASCII is the same in every candidate, so it is passed on immediately. The codec is chosen at the first other byte, with
a bounded look-ahead. One line of ASCII in a pipe is therefore returned as soon as it is complete.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from jnlp.errors import RecordError
from jnlp.patterns import deferred

from .encodings import SETTLED, Decoder, Detected, canonical, detect_prefix

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from types import TracebackType
    from typing import Self

LONGEST_LINE = 1 << 26
"""Characters of a line; what goes on longer is cut off there, so that a stream without line breaks is bounded."""

_CHUNK = 1 << 16
_SHOWN = 100  # characters of a line that was cut
_BREAK = deferred(r"\r?\n|\r(?=[^\n])")  # a last "\r" may be half of "\r\n"
_LOOK_AHEAD = 1 << 20
_TELLING = deferred(rb"[\x00-\x06\x0e-\x1a\x80-\xff]|\x1b(?:\$|\(I|\(?\Z)")
# A stream goes on after the sample: read it with the codec that knows more of the same family.
_SUPERSETS = {"iso2022_jp": "iso2022_jp_ext"}


class CutLine(str):
    """The beginning of a line that was longer than `LONGEST_LINE`; the rest of it was dropped."""

    __slots__ = ()


class TextStream:
    """Lines of a binary stream, decoded; iterate over it once, or call `read`.

    Args:
        stream: The bytes.
        name: What errors call it.
        encoding: The encoding, or None to detect it.
        replace: Read bytes that cannot be decoded as U+FFFD.

    Example:
        >>> from io import BytesIO
        >>> list(TextStream(BytesIO("契約書を作成します。".encode("cp932")), "a.txt"))
        ['契約書を作成します。']
    """

    def __init__(self, stream: BinaryIO, name: str, encoding: str | None = None, /, *, replace: bool = False) -> None:
        self.name = name
        self._replace = replace
        self.detected: Detected | None = None
        self._stream = stream
        self._passed = 0
        self._codec = canonical(encoding) if encoding else None

    @property
    def encoding(self) -> str:
        """The codec in use; `utf-8` as long as only ASCII was read.

        Example:
            >>> from io import BytesIO
            >>> stream = TextStream(BytesIO("契約書を作成します。".encode("euc_jp")), "a.txt")
            >>> stream.read(), stream.encoding
            ('契約書を作成します。', 'euc_jp')
        """
        return self._codec or "utf-8"

    def __iter__(self) -> Iterator[str]:
        """Yield the lines with their ends as they are, LF, CRLF or CR; RecordError names an undecodable byte.

        A line longer than `LONGEST_LINE` is a `CutLine`.
        """
        held: list[str] = []
        length, cut, half = 0, False, ""
        for chunk in self.chunks():
            if cut:  # the rest of a line that was too long
                chunk = half + chunk
                broken = _BREAK.search(chunk)
                half = "\r" if broken is None and chunk.endswith("\r") else ""
                if broken is None:
                    continue
                chunk, cut = chunk[broken.end() :], False
            held.append(chunk)
            length += len(chunk)
            if "\n" not in chunk and "\r" not in chunk and not held[0].endswith("\r"):
                if length > LONGEST_LINE:
                    yield CutLine("".join(held)[:_SHOWN])
                    held, length, cut = [], 0, True
                continue
            *lines, rest = io.StringIO("".join(held), newline="")
            if rest.endswith("\n"):
                yield from lines
                yield rest
                held = []
            else:  # a last "\r" may be half of "\r\n"
                yield from lines
                held = [rest]
            length = sum(map(len, held))
        if held:
            yield from io.StringIO("".join(held), newline="")

    def chunks(self) -> Iterator[str]:
        """Yield the text in pieces of any length, without the byte order mark.

        Example:
            >>> from io import BytesIO
            >>> list(TextStream(BytesIO("一行目".encode()), "a.txt", "utf-8").chunks())
            ['一行目']
        """
        first = True
        for text in self._decode():
            piece = text.removeprefix("\ufeff") if first else text
            if piece:
                yield piece
            first = first and not text

    def read(self) -> str:
        """Return all the text.

        Example:
            >>> from io import BytesIO
            >>> TextStream(BytesIO("一行目".encode()), "a.txt").read()
            '一行目'
        """
        return "".join(self.chunks())

    def close(self) -> None:
        """Close the stream of bytes.

        Example:
            >>> stream = open_text("感想.csv")
            >>> stream.close()
        """
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _decode(self) -> Iterator[str]:
        if self._codec is None:
            data, final = yield from self._until_known()
        else:
            data, final = self._next()
        if self._codec is None:
            return
        decoder = Decoder(
            _SUPERSETS.get(self._codec, self._codec), self.name, offset=self._passed, replace=self._replace
        )
        while True:
            yield decoder.decode(data, final)
            if final:
                return
            data, final = self._next()

    def _until_known(self) -> Generator[str, None, tuple[bytes, bool]]:
        """Yield ASCII as long as nothing else comes; return the bytes not yet decoded and whether they are the last."""
        held = b""
        while True:
            data, final = self._next()
            held += data
            if not final and self._passed == 0 and len(held) < 4:
                continue
            if _TELLING.search(held) or (self._passed == 0 and held.startswith((b"%PDF-",))):
                found = detect_prefix(held, final=final, name=self.name, offset=self._passed, replace=self._replace)
                if final or found.confidence >= SETTLED or len(held) >= _LOOK_AHEAD:
                    self.detected, self._codec = found, found.codec
                    return held, final
                continue
            self._passed += len(held)
            yield held.decode("ascii")
            held = b""
            if final:
                return held, final

    def _next(self) -> tuple[bytes, bool]:
        read = getattr(self._stream, "read1", self._stream.read)
        try:
            data = read(_CHUNK)
        except OSError as error:
            raise RecordError(f"{self.name}: {error.strerror or error}") from error
        return data, not data


def open_text(
    source: str | Path | BinaryIO,
    encoding: str | None = None,
    /,
    *,
    name: str | None = None,
    replace: bool = False,
) -> TextStream:
    """Open a path or a binary stream as text, detecting the encoding if none is given.

    With `replace`, bytes that cannot be decoded become U+FFFD.

    Raises RecordError if the path cannot be opened, UsageError for an unknown encoding; use it in a `with` statement.

    Example:
        >>> with open_text("感想.csv") as stream:
        ...     next(iter(stream)).strip(), stream.encoding
        ('本文,評価', 'utf-8')
    """
    if not isinstance(source, str | Path):
        return TextStream(source, name or str(getattr(source, "name", "stream")), encoding, replace=replace)
    try:
        stream = Path(source).open("rb")  # noqa: SIM115 (the TextStream closes it)
    except OSError as error:
        raise RecordError(f"{name or source}: {error.strerror}") from error
    try:
        return TextStream(stream, name or str(source), encoding, replace=replace)
    except BaseException:
        stream.close()
        raise
