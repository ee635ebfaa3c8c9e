"""Tables of separated values: csv and tsv with a header row."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from jnlp.io.reading.columns import choose, distinct_names, to_record
from jnlp.io.reading.decoded import lines
from jnlp.patterns import deferred

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jnlp.io.reading.decoded import Lines
    from jnlp.io.reading.inputs import Input
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import Failed, Record

LONGEST_FIELD = 1 << 27
"""Maximum characters of one cell, which limits the search for a closing quote."""

_SEPARATOR = deferred(r'"?sep=([^"\r\n])"?[\r\n]*', re.IGNORECASE)


def read_csv(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield a record per row of a file separated by commas, semicolons or tabs, as detected from its header.

    A first line `sep=;`, as Excel writes and reads it, names the separator.
    """
    return _read(source, options, None)


def read_tsv(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield a record per row of a file separated by tabs."""
    return _read(source, options, "\t")


def _read(source: Input, options: ReadOptions, delimiter: str | None) -> Iterator[Record | Failed]:
    with lines(source, options) as decoded:
        first = next((line for line in decoded if line.strip()), None)
        if first is not None and (named := _SEPARATOR.fullmatch(first)):
            delimiter = named[1]
            first = next((line for line in decoded if line.strip()), None)
        yield from decoded.failed()
        if first is None:
            return
        rows = _Rows(first, delimiter or sniff(first), decoded, source)
        _, header = next(rows.read(), (0, []))
        if not isinstance(header, list):
            yield header
            return
        if not header:
            return
        names = rows.names = distinct_names(header)
        columns = choose(names, options, source.name)
        for line, row in rows.read():
            yield from decoded.failed()
            if not isinstance(row, list):
                yield row
            elif len(row) != len(names):
                reason = f"the row has {len(row)} cells, the header {len(names)}"
                yield source.failed(reason, line=line, encoding=decoded.encoding)
            else:
                yield to_record(dict(zip(names, row, strict=True)), columns, source, line, decoded.encoding)
        yield from decoded.failed()


class _Rows:
    """Parses lines into rows. It keeps the lines of the current row, to read them again if a quote is not closed."""

    def __init__(self, first: str, delimiter: str, decoded: Lines, source: Input) -> None:
        self._delimiter, self._decoded, self._source = delimiter, decoded, source
        self._again = [(decoded.number, first)]  # lines to be read before further ones, the next one last
        self._row: list[tuple[int, str]] = []
        self.names: list[str] = []

    def read(self) -> Iterator[tuple[int, list[str] | Failed]]:
        """Yield the number of the first line and the cells of each non-blank row."""
        csv.field_size_limit(LONGEST_FIELD)
        reader = csv.reader(self._lines(), delimiter=self._delimiter, strict=True)
        while True:
            self._row.clear()
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield self._broken(str(error))
                reader = csv.reader(self._lines(), delimiter=self._delimiter, strict=True)
            else:
                if row and (len(row) > 1 or row[0].strip()):
                    yield self._row[0][0], row

    def _lines(self) -> Iterator[str]:
        while True:
            if self._again:
                self._row.append(self._again.pop())
            else:
                line = next(self._decoded, None)
                if line is None:
                    return
                self._row.append((self._decoded.number, line))
            yield self._row[-1][1]

    def _broken(self, why: str) -> tuple[int, Failed]:
        """Return the failure of the line with an unclosed quote; the lines after it are read as rows."""
        opened = _line_of_quote([line for _, line in self._row], self._delimiter)
        number, line = self._row[opened]
        reason = f"broken row: {why}"
        if len(self._row) > 1 or why.startswith("unexpected end"):
            reason = f"the quote that opens in line {number} is not closed: {why}"
        self._again += reversed(self._row[opened + 1 :])
        cells = line.rstrip("\r\n").split(self._delimiter)
        fields = dict(zip(self.names, cells, strict=True)) if len(cells) == len(self.names) else None
        return number, self._source.failed(reason, line=number, encoding=self._decoded.encoding, fields=fields)


def _line_of_quote(row: Sequence[str], delimiter: str) -> int:
    """Return which line of a broken row has the unclosed quote."""
    opened, quoted = 0, False
    for number, line in enumerate(row):
        at = 0
        while 0 <= at < len(line):
            if quoted:
                at = line.find('"', at)
                if at >= 0 and line[at + 1 : at + 2] == '"':
                    at += 2
                elif at >= 0:
                    quoted, at = False, at + 1
                    if line[at : at + 1] not in ("", delimiter, "\r", "\n"):
                        return opened
            elif line[at] == '"':
                opened, quoted, at = number, True, at + 1
            else:
                at = line.find(delimiter, at) + 1 or -1
    return opened


def sniff(header: str, /) -> str:
    """Return the separator of a header: whichever of comma, semicolon and tab gives the most columns."""
    plain = "".join(header.split('"')[::2])  # the text outside quotes
    return max(",;\t", key=plain.count)
