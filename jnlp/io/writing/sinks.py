"""What a writer is: rows prepared one record at a time, appended at a known position, published when whole.

Everything a sink stores is addressed by a position that the journal keeps. Appending the same records at the same
position again changes nothing, so an interrupt at any moment costs no row and doubles none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from jnlp.errors import JnlpError
from jnlp.io.durable import open_own

if TYPE_CHECKING:
    from pathlib import Path

Row = Mapping[str, object]
"""One row of output: column to value."""

Position = Mapping[str, Any]
"""How far a sink has come, as JSON."""


class OutputEncoding(StrEnum):
    """The codec of jsonl, csv and tsv; `utf-8-sig` and `cp932` are for spreadsheets.

    Example:
        >>> OutputEncoding("cp932") is OutputEncoding.CP932
        True
    """

    UTF_8 = "utf-8"
    UTF_8_SIG = "utf-8-sig"
    CP932 = "cp932"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a writer's rows go.

    Args:
        out: The file to make; None for a stream.
        stream: Where bytes go when there is no file, or the file is none that can be renamed (`/dev/null`, a pipe).
        encoding: The codec of text formats.
        columns: The columns, where they are known before the first row.
        position: Where to continue; None starts again.

    Example:
        >>> from pathlib import Path
        >>> Target(Path("結果.csv"), columns=("文", "数")).encoding is OutputEncoding.UTF_8
        True
    """

    out: Path | None
    stream: BinaryIO | None = None
    encoding: OutputEncoding = OutputEncoding.UTF_8
    columns: tuple[str, ...] = ()
    position: Position | None = None

    @property
    def part(self) -> Path | None:
        """The file that grows next to `out` until it is complete: `out.jsonl.part`.

        Example:
            >>> from pathlib import Path
            >>> Target(Path("結果.csv")).part.name
            '結果.csv.part'
        """
        return None if self.out is None else self.out.with_name(self.out.name + ".part")


class Sink(Protocol):
    """Stores the rows of one format."""

    chunk: int
    """Bytes, about, to gather before `append` is worth its while."""
    seconds: float
    """Rows wait no longer than this."""
    start: Position
    """Where this sink begins: nothing, or where the last run ended."""

    def prepare(self, rows: Sequence[Row], /) -> tuple[Any, int]:
        """Return one record's rows in the form `append` takes, and their size in bytes, about.

        Raises:
            RecordError: They cannot be written in this format; nothing has been.
        """
        ...

    def append(self, prepared: Sequence[Any], position: Position, /) -> Position:
        """Store what `prepare` returned at a position; return the one after it."""
        ...

    def sync(self) -> None:
        """Put what was appended beyond the reach of a power cut."""
        ...

    def finish(self, position: Position, /) -> None:
        """Make the whole file of what was appended, under its own name."""
        ...

    def close(self) -> None:
        """Release what is open; what was appended stays."""
        ...

    def discard(self) -> None:
        """Remove the part; called after `close`."""
        ...


class WriterFactory(Protocol):
    """What a plugin registers as a writer."""

    def __call__(self, target: Target, /) -> Sink:
        """Open a sink."""
        ...


class Growing:
    """Bytes written at positions: a file, or a stream that has no positions.

    Args:
        path: The file; created unless `size` is given.
        size: Bytes of the file to keep.
        stream: Written to in place of a file.

    Raises:
        JnlpError: The file is shorter than `size`.
    """

    def __init__(self, path: Path | None, size: int | None = None, *, stream: BinaryIO | None = None) -> None:
        self._owned = stream is None
        if stream is None:
            if path is None:
                raise ValueError("a path or a stream")
            stream = open_own(path, "wb" if size is None else "r+b")
        self._file = stream
        self._positioned = self._owned and stream.seekable()
        if size is not None and self._positioned:
            if stream.seek(0, os.SEEK_END) < size:
                stream.close()
                raise JnlpError(f"{path} is shorter than it was", hint="start again, without --resume")
            stream.truncate(size)

    def write(self, data: bytes, at: int) -> None:
        """Write all of `data` at a position."""
        if self._positioned:
            self._file.seek(at)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        if not self._owned:
            self._file.flush()

    def sync(self) -> None:
        """Wait until the disk has it."""
        if self._positioned and not self._file.closed:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; a stream is left open."""
        if self._owned:
            self._file.close()
