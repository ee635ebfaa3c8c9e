"""Parquet: parts in a folder while it grows, joined at the end."""

from __future__ import annotations

import os
from collections.abc import Sized
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError, MissingExtraError, UsageError
from jnlp.io.durable import publish, sync_folder
from jnlp.io.writing.cells import check_text
from jnlp.strict_json import dumps_shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jnlp.io.writing.sinks import Position, Row, Sink, Target


class ParquetSink:
    """Writes `out.parquet.part/part-00000.parquet` and so on; types may widen from part to part."""

    chunk = 1 << 24
    seconds = 30.0  # a part is a file with a footer: one per second would be thousands

    def __init__(self, out: Path, folder: Path, columns: tuple[str, ...], position: Position | None) -> None:
        self._out, self._folder, self._columns = out, folder, columns
        self.start: Position = position or {"parts": 0}
        folder.mkdir(exist_ok=True)
        present = set(self._parts())
        kept = {self._part(number) for number in range(self.start["parts"])}
        if not kept <= present:
            raise JnlpError(f"{folder} lacks parts it had", hint="start again, without --resume")
        for stale in present - kept:
            stale.unlink()

    def prepare(self, rows: Sequence[Row], /) -> tuple[list[Row], int]:
        """Return the rows as they are.

        Raises:
            RecordError: A text holds half a character, which UTF-8 cannot write.
        """
        for row in rows:
            check_text(row, str(row.get("id", "row")))
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
        """Join the parts into one file."""
        joined = self._folder / "joined.tmp"
        join([self._part(number) for number in range(position["parts"])], joined, self._columns)
        publish(joined, self._out)

    def close(self) -> None:
        """Nothing is open between parts."""

    def discard(self) -> None:
        """Remove the parts and their folder."""
        for part in self._parts():
            part.unlink()
        if self._folder.is_dir() and not os.listdir(self._folder):  # noqa: PTH208 - only whether it is empty
            self._folder.rmdir()

    def _part(self, number: int) -> Path:
        return self._folder / f"part-{number:05d}.parquet"

    def _parts(self) -> list[Path]:
        return [*self._folder.glob("part-*.parquet"), *self._folder.glob("*.tmp")]


def _weight(value: object) -> int:
    return 4 * len(value) + 50 if isinstance(value, Sized) else 50


def to_table(rows: Sequence[Row], columns: tuple[str, ...]) -> Any:
    """Return rows as a `pyarrow.Table`; a column of values that have no common type holds them as JSON texts."""
    import pyarrow as pa

    names = dict.fromkeys([*columns, *(name for row in rows for name in row)])
    return pa.table({name: _column([row.get(name) for row in rows]) for name in names})


def _column(values: list[object]) -> Any:
    import pyarrow as pa

    try:
        made = pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return _texts(values)
    return made if _storable(made.type) else _texts(values)


def _texts(values: list[object]) -> Any:
    """Return a column of texts: a string as it is, everything else as JSON."""
    import pyarrow as pa

    texts = [None if value is None else value if isinstance(value, str) else dumps_shown(value) for value in values]
    return pa.array(texts, pa.string())


def _storable(kind: Any) -> bool:
    """Return whether parquet can hold a type: it has no struct without fields, and no union."""
    import pyarrow as pa

    if pa.types.is_union(kind) or (pa.types.is_struct(kind) and kind.num_fields == 0):
        return False
    return all(_storable(kind.field(i).type) for i in range(kind.num_fields))


def join(parts: Sequence[Path], out: Path, columns: tuple[str, ...]) -> None:
    """Write the rows of many parquet files into one, a part at a time, their types widened to what holds all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = (
        _common([pq.read_schema(part) for part in parts]) if parts else pa.schema([(c, pa.string()) for c in columns])
    )
    while (wrong := _write(parts, out, schema)) is not None:  # its values have no common type but text
        schema = schema.set(wrong, pa.field(schema.field(wrong).name, pa.string()))


def _write(parts: Sequence[Path], out: Path, schema: Any) -> int | None:
    """Write all parts under one schema; return the number of a column that cannot be cast to its type, or None."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for part in parts:
            table = pq.ParquetFile(part).read()
            cast: list[Any] = []
            for number, field in enumerate(schema):
                try:
                    cast.append(_cast(table, field))
                except (pa.ArrowException, TypeError, ValueError, OverflowError):
                    if field.type == pa.string():
                        raise
                    return number
            writer.write_table(pa.table(cast, schema=schema))
    return None


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
        wider = pa.unify_schemas(pair, promote_options="permissive").field(0).type
    except pa.ArrowException:
        return pa.string()
    return wider if _storable(wider) else pa.string()


def _cast(table: Any, field: Any) -> Any:
    import pyarrow as pa

    if field.name not in table.column_names:
        return pa.nulls(table.num_rows, field.type)
    column = table.column(field.name)
    if field.type == pa.string() and column.type not in (pa.string(), pa.null()):
        return _texts(column.to_pylist())
    if column.type == field.type:
        return column
    try:
        return column.cast(field.type)
    except pa.ArrowException:  # structs and lists of them, which not every cast knows
        return pa.array(column.to_pylist(), field.type)


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
