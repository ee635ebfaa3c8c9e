"""Decoded text of an input: all of it, or line by line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from jnlp.io.reading.streams import read_all
from jnlp.text import decode, open_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp.io.reading.options import ReadOptions
    from jnlp.io.reading.sources import Input
    from jnlp.text import Decoded, TextStream
    from jnlp.types import Failed


class Lines:
    """Lines with their ends, counted as they are read."""

    def __init__(self, text: TextStream) -> None:
        self._failed: list[Failed] = []
        self._text = text
        self._lines = iter(text)
        self.number = 0

    def failed(self) -> Iterator[Failed]:
        """Yield the lines that could not be read since the last call."""
        failed, self._failed = self._failed, []
        yield from failed

    @property
    def encoding(self) -> str:
        """The codec in use; `utf-8` as long as only ASCII was read."""
        return self._text.encoding

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        return line


@contextmanager
def lines(source: Input, options: ReadOptions) -> Iterator[Lines]:
    """Open an input and give its decoded lines, ends as they are.

    Raises:
        RecordError: Bytes that cannot be decoded, named with file and position (also while the lines are read).
    """
    with source.open() as stream:
        yield Lines(open_text(stream, options.encoding, name=source.name, replace=options.replace))


def whole(source: Input, options: ReadOptions) -> Decoded:
    """Return all of an input, decoded.

    Raises:
        RecordError: It is too large for one record or cannot be decoded.
    """
    with source.open() as stream:
        return decode(read_all(stream, source.name), options.encoding, name=source.name, replace=options.replace)
