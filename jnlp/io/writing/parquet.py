"""Parquet: parts in a folder while it grows, joined at the end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError, MissingExtraError, UsageError
from jnlp.io.writing.cells import dumps
from jnlp.io.writing.sinks import Position, Row, Sink, Target, publish, sync_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class ParquetSink:
    """Writes `out.parquet.part/part-00000.parquet` and so on; types may widen from part to part."""

    chunk = 1 << 24
    seconds = 30.0  # a part is a file with a footer: one a second would be thousands

    def __init__(self, out: Path, folder: Path, columns: tuple[str, ...], position: Position | None) -> None:
        self._out, self._folder, self._columns = out, folder, columns
        self.start: Position = position or {"parts": 0}
        folder.mkdir(exist_ok=True)
        present = set(self._parts())
        kept = {self._part(number) for number in range(self.start["parts"])}
        if not kept <= present:
            raise JnlpError(f"{folder} lacks parts it had", hint="start anew, without --resume")
        for stale in present - kept:
            stale.unlink()

    def prepare(self, rows: Sequence[Row], /) -> tuple[list[Row], int]:
        """Return the rows as they are."""
        return list(rows), sum(_weight(value) for row in rows for value in row.values())

    def append(self, prepared: Sequence[list[Row]], position: Position, /) -> Position:
        """Write one part."""
        import pyarrow.parquet as pq

        rows = [row for record in prepared for row in record]
        if not rows:
            return position
        part = self._part(position["parts"])
        unfinished = part.with_suffix(".tmp")
        pq.write_table(to_table(rows, self._columns), unfinished, compression="zstd")
        publish(unfinished, part)
        return {"parts": position["parts"] + 1}

    def sync(self) -> None:
        """Wait until the folder is on the disk; the parts are."""
        sync_folder(self._folder)

    def finish(self, position: Position, /) -> None:
        """Join the parts into one file and remove them."""
        joined = self._folder / "joined.tmp"
        join([self._part(number) for number in range(position["parts"])], joined, self._columns)
        publish(joined, self._out)
        self.discard()

    def close(self) -> None:
        """Nothing is open between parts."""

    def discard(self) -> None:
        """Remove the parts and their folder."""
        for part in self._parts():
            part.unlink()
        if not os.listdir(self._folder):  # noqa: PTH208 - only whether it is empty
            self._folder.rmdir()

    def _part(self, number: int) -> Path:
        return self._folder / f"part-{number:05d}.parquet"

    def _parts(self) -> list[Path]:
        return [*self._folder.glob("part-*.parquet"), *self._folder.glob("*.tmp")]


def _weight(value: object) -> int:
    return 4 * len(value) + 50 if isinstance(value, (str, bytes, list, tuple)) else 50


def to_table(rows: Sequence[Row], columns: tuple[str, ...]) -> Any:
    """Return rows as a `pyarrow.Table`; a column of values that have no common type holds them as JSON texts."""
    import pyarrow as pa

    names = dict.fromkeys([*columns, *(name for row in rows for name in row)])
    return pa.table({name: _column([row.get(name) for row in rows]) for name in names})


def _column(values: list[object]) -> Any:
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return pa.array(
            [None if value is None else value if isinstance(value, str) else dumps(value) for value in values]
        )


def join(parts: Sequence[Path], out: Path, columns: tuple[str, ...]) -> None:
    """Write the rows of many parquet files into one, a part at a time, their types widened to what holds all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = (
        _common([pq.read_schema(part) for part in parts]) if parts else pa.schema([(c, pa.string()) for c in columns])
    )
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for part in parts:
            table = pq.ParquetFile(part).read()
            writer.write_table(pa.table([_cast(table, field) for field in schema], schema=schema))


def _common(schemas: Sequence[Any]) -> Any:
    import pyarrow as pa

    fields: dict[str, Any] = {}
    for schema in schemas:
        for field in schema:
            fields[field.name] = _wider(fields.get(field.name, pa.null()), field.type)
    # A column that never had a value is a column of texts: nothing else reads a column of the null type.
    return pa.schema([(name, pa.string() if type == pa.null() else type) for name, type in fields.items()])


def _wider(one: Any, other: Any) -> Any:
    import pyarrow as pa

    pair = [pa.schema([("x", one)]), pa.schema([("x", other)])]
    try:
        return pa.unify_schemas(pair, promote_options="permissive").field(0).type
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.string()


def _cast(table: Any, field: Any) -> Any:
    import pyarrow as pa

    if field.name not in table.column_names:
        return pa.nulls(table.num_rows, field.type)
    column = table.column(field.name)
    if field.type == pa.string() and column.type not in (pa.string(), pa.null()):
        return pa.array([None if value is None else dumps(value) for value in column.to_pylist()], pa.string())
    return column.cast(field.type)


def write_parquet(target: Target, /) -> Sink:
    """Write parquet; what was not finished lies in the folder `out.parquet.part`.

    Raises:
        MissingExtraError: pyarrow is not installed.
        UsageError: There is no file to write to.
    """
    try:
        import pyarrow.parquet  # noqa: F401 - asked for now, not after the first part's worth of work
    except ImportError:
        raise MissingExtraError("parquet", "writing parquet") from None
    if target.out is None or target.part is None or target.stream is not None:
        raise UsageError("parquet needs a file", hint="-o out.parquet")
    return ParquetSink(target.out, target.part, target.columns, target.position)
