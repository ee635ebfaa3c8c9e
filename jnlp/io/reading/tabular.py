"""Tables of separated values: csv and tsv with a header row."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from jnlp.io.reading.columns import choose, to_record
from jnlp.io.reading.decoded import lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jnlp.io.reading.decoded import Lines
    from jnlp.io.reading.options import ReadOptions
    from jnlp.io.reading.sources import Input
    from jnlp.types import Failed, Record

LONGEST_FIELD = 1 << 27
"""Characters of one cell. A quote that is never closed swallows the rest of the file up to this length."""


def read_csv(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield a record per row of a file separated by commas, semicolons or tabs, whichever its header shows."""
    return _read(source, options, None)


def read_tsv(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield a record per row of a file separated by tabs."""
    return _read(source, options, "\t")


def _read(source: Input, options: ReadOptions, delimiter: str | None) -> Iterator[Record | Failed]:
    with lines(source, options) as decoded:
        first = next((line for line in decoded if line.strip()), None)
        if first is None:
            return
        rows = _rows(_again(first, decoded), delimiter or sniff(first), decoded, source)
        _, header = next(rows, (0, []))
        if not isinstance(header, list):
            yield header
            return
        if not header:
            return
        names = _distinct(header)
        columns = choose(names, options, source.name)
        for line, row in rows:
            if not isinstance(row, list):
                yield row
            elif len(row) != len(names):
                reason = f"the row has {len(row)} cells, the header {len(names)}"
                yield source.failed(reason, line=line, encoding=decoded.encoding)
            else:
                yield to_record(dict(zip(names, row, strict=True)), columns, source, line, decoded.encoding)


def _rows(
    text: Iterator[str], delimiter: str, decoded: Lines, source: Input
) -> Iterator[tuple[int, list[str] | Failed]]:
    """Number and cells of each row that is not blank; the number is that of the line where it begins."""
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    # The header was read before the reader's own count began.
    before, offset = 0, decoded.number - 1
    while True:
        line = before + 1 + offset
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, source.failed(f"broken row: {error}", line=line, encoding=decoded.encoding)
        else:
            if row and (len(row) > 1 or row[0].strip()):
                yield line, row
        before = reader.line_num


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def sniff(header: str, /) -> str:
    """Return what separates a header's names: the one of comma, semicolon and tab that makes most columns."""
    plain = "".join(header.split('"')[::2])  # what stands outside quotes
    return max(",;\t", key=plain.count)


def _distinct(header: Sequence[str]) -> list[str]:
    """Column names, each once: an empty one becomes column_3, a second `a` becomes a_2."""
    names: list[str] = []
    for number, cell in enumerate(header, start=1):
        name = base = cell.strip() or f"column_{number}"
        count = 1
        while name in names:
            count += 1
            name = f"{base}_{count}"
        names.append(name)
    return names
