"""JSON lines: an object, or a string, on each line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jnlp.errors import RecordError, UsageError
from jnlp.io.reading.columns import choose, to_record
from jnlp.io.reading.decoded import lines
from jnlp.io.reading.options import Unit
from jnlp.io.reading.plain import read_text
from jnlp.surrogates import lone_surrogate
from jnlp.types import Record, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp.io.reading.columns import Columns
    from jnlp.io.reading.inputs import Input
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import Failed


HELD = 1000
"""Maximum rows to buffer until the requested columns have been seen."""


def read_jsonl(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield a record per line. The columns are chosen once the rows read so far have all requested columns.

    A row without a text fails alone.

    Raises:
        RecordError: The file is one JSON array or one indented object.
        UsageError: No row of the file, or of its first thousand, has a requested column.
    """
    table = _Table(source, options)
    first = True
    with lines(source, options) as decoded:
        for line in decoded:
            yield from decoded.failed()
            if not line.strip():
                continue
            if first and (line.strip() == "{" or line.lstrip().startswith("[")):
                if options.unit is Unit.DOCUMENT and not source.named:  # settings and the like, in a folder
                    yield from read_text(source, options)
                    return
                raise RecordError(
                    f"{source.name}: this is one JSON value, not a JSON object per line",
                    hint="jq -c '.[]' array.json > rows.jsonl",
                )
            first = False
            row = _parse(line.rstrip(), source, decoded.number, decoded.encoding)
            yield from table.take(row, decoded.number, decoded.encoding)
        yield from decoded.failed()
    table.end()


class _Table:
    """Turns rows into records. The first rows are buffered until all requested columns have been seen."""

    def __init__(self, source: Input, options: ReadOptions) -> None:
        self._source, self._options = source, options
        self._columns: Columns | None = None
        self._names: dict[str, None] = {}
        self._held: list[tuple[dict[str, object] | Record | Failed, int, str]] = []

    def take(self, row: dict[str, object] | Record | Failed, line: int, encoding: str) -> Iterator[Record | Failed]:
        """Yield the rows that can be read now: this one, and buffered ones."""
        if isinstance(row, dict) and self._columns is None:
            self._names.update(dict.fromkeys(row))
            self._columns = self._choose()
        elif not self._held or self._columns is not None:
            yield self._record(row, line, encoding)
            return
        self._held.append((row, line, encoding))
        if self._columns is not None:
            held, self._held = self._held, []
            yield from (self._record(*one) for one in held)
        elif len(self._held) >= HELD:
            self.end()

    def end(self) -> None:
        """Raise UsageError if rows are still buffered: no row has the columns."""
        if self._held and self._columns is None:
            choose(list(self._names), self._options, self._source.name)

    def _choose(self) -> Columns | None:
        try:
            return choose(list(self._names), self._options, self._source.name)
        except UsageError:
            return None

    def _record(self, row: dict[str, object] | Record | Failed, line: int, encoding: str) -> Record | Failed:
        if isinstance(row, dict) and self._columns is not None:
            return to_record(row, self._columns, self._source, line, encoding)
        assert not isinstance(row, dict)
        return row


def _parse(line: str, source: Input, number: int, encoding: str) -> dict[str, object] | Record | Failed:
    try:
        value = json.loads(line)
        whole = ("\\ud" not in line and "\\uD" not in line) or lone_surrogate(value) is None
    except json.JSONDecodeError as error:
        reason = f"broken JSON at column {error.colno}: {error.msg}"
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists thousands deep
        reason = f"JSON out of bounds: {error}"
    else:
        if not whole:
            return source.failed("half of a surrogate pair has no other half", line=number, encoding=encoding)
        if isinstance(value, dict):
            return value
        if isinstance(value, str) and value.strip():
            return Record(f"{source.name}:{number}", value, source=Source(source.name, number, encoding))
        reason = "the string is empty" if isinstance(value, str) else "neither a JSON object nor a string"
    return source.failed(reason, line=number, encoding=encoding)
