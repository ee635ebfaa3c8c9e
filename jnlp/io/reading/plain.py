"""Plain text: a stream of lines or paragraphs, or one document with Aozora markup removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.io.reading.decoded import lines, whole
from jnlp.io.reading.options import Unit
from jnlp.io.reading.units import Whole, breaks, cut
from jnlp.text import aozora, is_aozora, paragraphs
from jnlp.types import Record, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp.io.reading.inputs import Input
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import Failed

_BLOCK = 2000  # lines, about, held together where no blank line comes


def read_text(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield a record per non-blank line, or per paragraph or document by `unit`."""
    if options.unit is Unit.DOCUMENT:
        return _document(source, options)
    return _paragraphs(source, options) if options.unit is Unit.PARAGRAPH else _lines(source, options)


def _document(source: Input, options: ReadOptions) -> Iterator[Record]:
    text, encoding = (decoded := whole(source, options)).text, decoded.encoding
    if is_aozora(text):
        aligned = aozora(text)
        return cut(source, Whole(aligned.text, encoding, text, aligned), Unit.DOCUMENT)
    return cut(source, Whole(text, encoding, None, None), Unit.DOCUMENT)


def _lines(source: Input, options: ReadOptions) -> Iterator[Record | Failed]:
    with lines(source, options) as decoded:
        for line in decoded:
            yield from decoded.failed()
            if line.strip():
                yield _record(source, decoded.number, line, decoded.encoding)
        yield from decoded.failed()


def _paragraphs(source: Input, options: ReadOptions) -> Iterator[Record | Failed]:
    """Yield the paragraphs of blocks between blank lines, with bounded block size."""
    with lines(source, options) as decoded:
        block: list[str] = []
        first = 1
        for line in decoded:
            failed = list(decoded.failed())
            if block and (failed or not line.strip() or len(block) >= _BLOCK):
                yield from _block(source, "".join(block), first, decoded.encoding)
                block = []
            yield from failed
            if line.strip():
                first = first if block else decoded.number
                block.append(line)
        yield from _block(source, "".join(block), first, decoded.encoding)
        yield from decoded.failed()


def _block(source: Input, text: str, line: int, encoding: str) -> Iterator[Record]:
    counted = 0
    for start, end in paragraphs(text):
        line += breaks(text, counted, start)
        counted = start
        yield _record(source, line, text[start:end], encoding)


def _record(source: Input, number: int, text: str, encoding: str) -> Record:
    return Record(f"{source.name}:{number}", text.rstrip("\r\n"), source=Source(source.name, number, encoding))
