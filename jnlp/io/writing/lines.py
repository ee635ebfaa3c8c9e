"""Text formats, a line (or a quoted row) at a time: jsonl, csv, tsv."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Protocol

from jnlp.errors import RecordError
from jnlp.io.durable import publish
from jnlp.io.writing.cells import to_cell
from jnlp.io.writing.sinks import Growing, OutputEncoding, Position, Row, Sink, Target
from jnlp.strict_json import dumps_shown
from jnlp.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

TWINS = dict(zip(map(ord, "〜−—‖¢£¬"), "～－―∥￠￡￢", strict=True))
"""Characters that JIS and Microsoft's cp932 map to different code points; cp932 writes its own for either."""


class _Layout(Protocol):
    """How rows become lines."""

    columns: tuple[str, ...]

    def head(self) -> str: ...

    def line(self, row: Row, /) -> str: ...


class _Jsonl:
    """An object per line, Japanese as it is."""

    columns: tuple[str, ...] = ()

    def head(self) -> str:
        return ""

    def line(self, row: Row, /) -> str:
        return dumps_shown(dict(row)) + "\n"


class _Table:
    """Separated values with a header determined by the first row."""

    def __init__(self, delimiter: str, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self._delimiter = delimiter

    def head(self) -> str:
        return self._join(self.columns) if self.columns else ""

    def line(self, row: Row, /) -> str:
        self.columns = self.columns or tuple(row)
        extra = [name for name in row if name not in self.columns]
        if extra:
            raise RecordError(
                f"{row.get('id', 'row')}: the header has no column '{extra[0]}'", hint="use --format jsonl"
            )
        return self._join([to_cell(row.get(name)) for name in self.columns])

    def _join(self, cells: Sequence[str]) -> str:
        # A buffer a row: the thread that flushes asks for the head while another makes a line.
        buffer = io.StringIO()
        # csv does not quote a lone carriage return by itself, and it would come back as the end of the row.
        quoted = any("\r" in cell for cell in cells)
        writer = csv.writer(
            buffer,
            delimiter=self._delimiter,
            lineterminator="\n",
            quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL,
        )
        writer.writerow(cells)
        return buffer.getvalue()


class LineSink:
    """Appends encoded lines to a file or a stream."""

    chunk = 1 << 20
    seconds = 1.0

    def __init__(self, target: Target, layout: _Layout) -> None:
        self._target = target
        self._layout = layout
        # The byte order mark is written once, in front; the rest is plain UTF-8.
        self._codec = "utf-8" if target.encoding is OutputEncoding.UTF_8_SIG else target.encoding.value
        self.start: Position = target.position or {"bytes": 0, "columns": list(layout.columns)}
        kept = target.position["bytes"] if target.position is not None else None
        self._file = Growing(target.part, kept, stream=target.stream)
        self._to_terminal = target.stream is not None and target.stream.isatty()

    def prepare(self, rows: Sequence[Row], /) -> tuple[bytes, int]:
        """Return the encoded lines; RecordError names the character that the codec cannot hold."""
        data = b"".join(self._encode(row) for row in rows)
        return data, len(data)

    def append(self, prepared: Sequence[bytes], position: Position, /) -> Position:
        """Write lines at a position, the header before the first."""
        data = b"".join(prepared)
        if not data:
            return position
        if position["bytes"] == 0:
            data = self._head() + data
        self._file.write(data, position["bytes"])
        return {"bytes": position["bytes"] + len(data), "columns": list(self._layout.columns)}

    def sync(self) -> None:
        """Sync the file to disk."""
        self._file.sync()

    def finish(self, position: Position, /) -> None:
        """Give the file its name; a file without rows has only the header, if any."""
        if position["bytes"] == 0 and (head := self._head()):
            self._file.write(head, 0)
        self._file.close()
        if self._target.out is not None and self._target.stream is None and self._target.part is not None:
            publish(self._target.part, self._target.out)

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def discard(self) -> None:
        """Remove the part."""
        if self._target.part is not None:
            self._target.part.unlink(missing_ok=True)

    def _head(self) -> bytes:
        mark = b"\xef\xbb\xbf" if self._target.encoding is OutputEncoding.UTF_8_SIG else b""
        head = printable(self._layout.head()) if self._to_terminal else self._layout.head()
        try:
            return mark + (head.translate(TWINS) if self._codec == "cp932" else head).encode(self._codec)
        except UnicodeEncodeError as error:
            raise _unwritable("the header", error, self._codec) from None

    def _encode(self, row: Row) -> bytes:
        try:
            line = self._layout.line(row)
            if self._to_terminal:
                line = printable(line)
            return (line.translate(TWINS) if self._codec == "cp932" else line).encode(self._codec)
        except UnicodeEncodeError as error:
            raise _unwritable(str(row.get("id", "row")), error, self._codec) from None


def _unwritable(where: str, error: UnicodeEncodeError, codec: str) -> RecordError:
    character = error.object[error.start]
    shown = f"'{character}' (U+{ord(character):04X})" if character.isprintable() else f"U+{ord(character):04X}"
    hint = "use --output-encoding utf-8-sig" if codec == "cp932" else None
    return RecordError(f"{where}: {shown} cannot be written in {codec}", hint=hint)


def write_jsonl(target: Target, /) -> Sink:
    """Write a JSON object per line; NaN becomes null."""
    return LineSink(target, _Jsonl())


def write_csv(target: Target, /) -> Sink:
    """Write comma separated values; the first row determines the header. Lists and objects are written as JSON.

    Cells are not escaped. A spreadsheet reads a cell that begins with `=`, `+`, `-` or `@` as a formula: import columns
    of untrusted text as text.
    """
    return LineSink(target, _Table(",", _columns(target)))


def write_tsv(target: Target, /) -> Sink:
    """Write tab separated values, otherwise as `write_csv`."""
    return LineSink(target, _Table("\t", _columns(target)))


def _columns(target: Target) -> tuple[str, ...]:
    position: dict[str, Any] = dict(target.position or {})
    return tuple(position.get("columns") or target.columns)
