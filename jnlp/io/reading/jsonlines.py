"""JSON lines: an object, or a string, on each line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jnlp.errors import RecordError
from jnlp.io.reading.columns import choose, to_record
from jnlp.io.reading.decoded import lines
from jnlp.types import Record, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp.io.reading.columns import Columns
    from jnlp.io.reading.options import ReadOptions
    from jnlp.io.reading.sources import Input
    from jnlp.types import Failed


def read_jsonl(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield a record per line; the first object decides which key holds the text.

    Raises:
        RecordError: The file is one JSON array or one indented object.
        UsageError: A column asked for is not in the first object.
    """
    columns: Columns | None = None
    first = True
    with lines(source, options) as decoded:
        for line in decoded:
            if not line.strip():
                continue
            if first and (line.strip() == "{" or line.lstrip().startswith("[")):
                raise RecordError(
                    f"{source.name}: this is one JSON value, not a JSON object per line",
                    hint="jq -c '.[]' array.json > rows.jsonl",
                )
            first = False
            row = _parse(line.rstrip(), source, decoded.number, decoded.encoding)
            if isinstance(row, dict):
                if columns is None:
                    columns = choose(list(row), options, source.name)
                row = to_record(row, columns, source, decoded.number, decoded.encoding)
            yield row


def _parse(line: str, source: Input, number: int, encoding: str) -> dict[str, object] | Record | Failed:
    try:
        value = json.loads(line)
        if "\\ud" in line or "\\uD" in line:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        reason = f"broken JSON at column {error.colno}: {error.msg}"
    except UnicodeEncodeError:
        reason = "half of a surrogate pair stands alone"
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists thousands deep
        reason = f"JSON out of bounds: {error}"
    else:
        if isinstance(value, dict):
            return value
        if isinstance(value, str) and value.strip():
            return Record(f"{source.name}:{number}", value, source=Source(source.name, number, encoding))
        reason = "the string is empty" if isinstance(value, str) else "neither a JSON object nor a string"
    return source.failed(reason, line=number, encoding=encoding)
