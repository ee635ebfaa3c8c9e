"""Decoded text of an input: all of it, or line by line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from jnlp.io.reading.streams import read_all
from jnlp.text import decode, open_text
from jnlp.text.stream import LONGEST_LINE, CutLine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp.io.reading.inputs import Input
    from jnlp.io.reading.options import ReadOptions
    from jnlp.text import Decoded, TextStream
    from jnlp.types import Failed


class Lines:
    """An iterator over lines with their line ends; it counts them."""

    def __init__(self, text: TextStream, source: Input) -> None:
        self._source = source
        self._failed: list[Failed] = []
        self._text = text
        self._lines = iter(text)
        self.number = 0

    def failed(self) -> Iterator[Failed]:
        """Yield failures for the lines since the last call that were too long; the iterator skips them."""
        failed, self._failed = self._failed, []
        yield from failed

    @property
    def encoding(self) -> str:
        """The codec in use; `utf-8` while only ASCII was read."""
        return self._text.encoding

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while True:
            line = next(self._lines)
            self.number += 1
            if not isinstance(line, CutLine):
                return line
            reason = f"the line is longer than {LONGEST_LINE >> 20} Mi characters; it begins with {line[:40]!r}"
            self._failed.append(self._source.failed(reason, line=self.number, encoding=self.encoding))


@contextmanager
def lines(source: Input, options: ReadOptions) -> Iterator[Lines]:
    """Open an input and yield an iterator over its decoded lines, with unchanged line ends.

    Raises:
        RecordError: Bytes that cannot be decoded, named with file and position (also while the lines are read).
    """
    with source.open() as stream:
        yield Lines(open_text(stream, options.encoding, name=source.name, replace=options.replace), source)


class Decode(Protocol):
    """Decodes a whole file, as `jnlp.text.decode` does."""

    def __call__(self, data: bytes, encoding: str | None, /, *, name: str, replace: bool) -> Decoded:
        """Return the text and the codec of a file."""
        ...


def whole(source: Input, options: ReadOptions, decoder: Decode = decode) -> Decoded:
    """Return all of an input, decoded.

    Raises:
        RecordError: It is too large for one record or cannot be decoded.
    """
    with source.open() as stream:
        return decoder(read_all(stream, source.name), options.encoding, name=source.name, replace=options.replace)
