"""The interface of writers: they prepare rows record by record, append them at a position, and publish the file.

Everything a sink stores has a position, which the journal records. Appending the same records at the same position
again changes nothing, so an interrupt at any moment neither loses nor doubles a row.
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
"""A sink's position, as JSON."""


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
        out: The file to write; None for a stream.
        stream: The stream to write to if there is no file, or it cannot be renamed (`/dev/null`, a pipe).
        encoding: The codec of text formats.
        columns: The columns, if known before the first row.
        position: Where to continue; None starts from the beginning.

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
        """The file that is written next to `out` until it is complete: `out.jsonl.part`.

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
        """Return one record's rows in the form that `append` takes, and their approximate size in bytes.

        Raises:
            RecordError: They cannot be written in this format; nothing was written.
        """
        ...

    def append(self, prepared: Sequence[Any], position: Position, /) -> Position:
        """Store the results of `prepare` at a position; return the position after them."""
        ...

    def sync(self) -> None:
        """Sync the appended rows to disk."""
        ...

    def finish(self, position: Position, /) -> None:
        """Complete the file and give it its final name."""
        ...

    def close(self) -> None:
        """Close all files; the appended rows stay."""
        ...

    def discard(self) -> None:
        """Remove the part file; called after `close`."""
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
        stream: A stream to write to instead of a file.

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
        """Sync the file to disk."""
        if self._positioned and not self._file.closed:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; a stream is left open."""
        if self._owned:
            self._file.close()
