"""Vectors as a NumPy file: one float32 matrix, streamed, with the ids in a text file next to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp.errors import RecordError, UsageError
from jnlp.io.durable import publish
from jnlp.io.writing.sinks import Growing, Position, Row, Sink, Target

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

VECTOR_COLUMNS = ("embedding", "vector")
"""The columns that may have the vector; the first existing one is written."""

_HEADER = 128  # bytes; the shape is written into it at the end, so its size is fixed before


class NpySink:
    """Appends rows of a float32 matrix; the ids of `vectors.npy` are in `vectors.ids.txt`, one per line."""

    chunk = 1 << 20
    seconds = 1.0

    def __init__(self, out: Path, position: Position | None) -> None:
        self._out, self._ids_out = out, out.with_suffix(".ids.txt")
        self._part, self._ids_part = (path.with_name(path.name + ".part") for path in (self._out, self._ids_out))
        self.start: Position = position or {"rows": 0, "dimension": 0, "ids": 0}
        self._dimension = int(self.start["dimension"])
        rows = self.start["rows"]  # without any, the header has no place yet and the file may be empty
        kept = (_HEADER + 4 * rows * self._dimension, self.start["ids"]) if rows else (None, None)
        self._vectors, self._ids = Growing(self._part, kept[0]), Growing(self._ids_part, kept[1])

    def prepare(self, rows: Sequence[Row], /) -> tuple[list[tuple[bytes, bytes]], int]:
        """Return bytes of vectors and ids; RecordError for a vector of another size than the first."""
        prepared = [self._pack(row) for row in rows]
        return prepared, sum(len(vector) + len(id) for vector, id in prepared)

    def append(self, prepared: Sequence[list[tuple[bytes, bytes]]], position: Position, /) -> Position:
        """Write vectors and ids at a position."""
        pairs = [pair for record in prepared for pair in record]
        if not pairs:
            return position
        ids = b"".join(id for _, id in pairs)
        self._vectors.write(b"".join(vector for vector, _ in pairs), _HEADER + 4 * position["rows"] * self._dimension)
        self._ids.write(ids, position["ids"])
        return {
            "rows": position["rows"] + len(pairs),
            "dimension": self._dimension,
            "ids": position["ids"] + len(ids),
        }

    def sync(self) -> None:
        """Sync both files to disk."""
        self._vectors.sync()
        self._ids.sync()

    def finish(self, position: Position, /) -> None:
        """Write the header and give both files their names."""
        self._vectors.write(header(position["rows"], self._dimension), 0)
        self.close()
        publish(self._part, self._out)  # first: without a part, an interrupted run begins from the first record
        publish(self._ids_part, self._ids_out)

    def close(self) -> None:
        """Release both files."""
        self._vectors.close()
        self._ids.close()

    def discard(self) -> None:
        """Remove both parts."""
        self._part.unlink(missing_ok=True)
        self._ids_part.unlink(missing_ok=True)

    def _pack(self, row: Row) -> tuple[bytes, bytes]:
        import numpy as np

        vector: Any = next((row[name] for name in VECTOR_COLUMNS if name in row), None)
        if vector is None:
            raise UsageError("npy stores vectors, and this output has none", hint="use --format jsonl")
        values = np.asarray(vector, dtype="<f4")
        self._dimension = self._dimension or values.size
        if values.shape != (self._dimension,):
            raise RecordError(f"{row.get('id')}: a vector of shape {values.shape} among vectors of {self._dimension}")
        return values.tobytes(), str(row.get("id", "")).replace("\r", " ").replace("\n", " ").encode() + b"\n"


def header(rows: int, dimension: int) -> bytes:
    """Return the header of a NumPy file (format 1.0) of a float32 matrix, padded to a fixed size."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dimension}), }}"
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + text.ljust(_HEADER - 11).encode() + b"\n"


def write_npy(target: Target, /) -> Sink:
    """Write the column `embedding` (or `vector`) as a matrix.

    Raises:
        UsageError: There is no file to write to.
    """
    if target.out is None or target.stream is not None:
        raise UsageError("npy needs a file", hint="-o vectors.npy")
    return NpySink(target.out, target.position)
