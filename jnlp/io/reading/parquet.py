"""Parquet, in record batches."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from jnlp.errors import MissingExtraError
from jnlp.io.reading.columns import choose, to_record
from jnlp.io.reading.damage import not_understood
from jnlp.io.reading.streams import COMPRESSED, read_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp.io.reading.inputs import Input
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import Failed, Record

_BATCH = 1024


def read_parquet(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield a record per row, numbered from 1.

    Raises:
        MissingExtraError: pyarrow is not installed.
        RecordError: The file is damaged.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError("parquet", "reading parquet") from None
    file: Any = None
    data: io.BytesIO | None = None
    try:
        with source.open() as stream:  # opening it here gives the usual message where it may not be read
            plain = source.path is not None and source.path.suffix not in COMPRESSED
            if not plain:
                data = io.BytesIO(read_all(stream, source.name))
            file = pq.ParquetFile(str(source.path) if data is None else data)
        names = list(file.schema_arrow.names)
        columns = choose(names, options, source.name)
        line = 0
        for batch in file.iter_batches(batch_size=_BATCH):
            for row in batch.to_pylist():
                line += 1
                yield to_record(row, columns, source, line, None)
    except pa.ArrowException as error:
        with source.open() as stream:
            raise not_understood(source.name, "parquet", error, stream if data is None else data) from error
    finally:
        if file is not None:
            file.close()
