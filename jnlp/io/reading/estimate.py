"""Estimates the number of records, for a progress bar's time left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.io.reading.inputs import Input
from jnlp.io.reading.options import ReadOptions, Unit
from jnlp.io.reading.readers import builtin_readers
from jnlp.io.reading.sources import expand
from jnlp.io.reading.streams import COMPRESSED
from jnlp.io.reading.textual import is_text

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

LINES = frozenset({".txt", ".text", ".csv", ".tsv", ".tab", ".jsonl", ".ndjson"})
"""Extensions whose records are lines, roughly: quoted line breaks and blank lines are counted too."""

TEXTS = frozenset({".txt", ".text"})
"""Those of them that are one record when documents are read; rows stay rows."""

LARGEST = 2_000_000_000
"""Bytes above which counting lines would take too long."""


def estimate(
    inputs: Sequence[str | Path], options: ReadOptions | None = None, extensions: Collection[str] | None = None, /
) -> int | None:
    """Return the approximate number of records, or None if that would require reading everything.

    Args:
        inputs: As `read` takes them.
        options: How they are read.
        extensions: The endings that have a reader; None for jnlp's own.
    """
    options = options or ReadOptions()
    total = 0
    for item in expand(inputs, options, builtin_readers() if extensions is None else extensions):
        count = _records(item, options) if isinstance(item, Input) else 1
        if count is None:
            return None
        total += count
    return total


def _records(item: Input, options: ReadOptions) -> int | None:
    if item.path is None or item.path.suffix.lower() in COMPRESSED or not item.path.is_file():
        return None
    if item.extension == ".parquet" or options.unit is Unit.PARAGRAPH:
        return None
    is_lines = item.extension in TEXTS or is_text(item.path, item.extension)
    if (item.extension not in LINES and not is_lines) or (options.unit is Unit.DOCUMENT and is_lines):
        return 1
    try:
        return _lines(item.path) if item.path.stat().st_size <= LARGEST else None
    except OSError:
        return 1  # it will fail, and that counts as one


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
