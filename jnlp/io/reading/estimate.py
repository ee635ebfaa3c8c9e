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
    from typing import IO

LINES = frozenset({".txt", ".text", ".csv", ".tsv", ".tab", ".jsonl", ".ndjson"})
"""Extensions whose records are lines, roughly: quoted line breaks and blank lines are counted too."""

TEXTS = frozenset({".txt", ".text"})
"""Those of them that are one record when documents are read; rows stay rows."""

SHEETS = frozenset({".xlsx", ".xlsm", ".xltx", ".xltm"})
"""Workbooks: their rows are records, unless documents are read."""

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
    if item.extension == ".mbox" and options.unit in (None, Unit.DOCUMENT):
        return _count(item.path, b"\nFrom ") + 1
    if item.extension in SHEETS and (options.unit is not Unit.DOCUMENT or options.text is not None):
        return _rows(item.path)
    is_lines = item.extension in TEXTS or is_text(item.path, item.extension)
    if (item.extension not in LINES and not is_lines) or (options.unit is Unit.DOCUMENT and is_lines):
        return 1
    try:
        return _count(item.path, b"\n") if item.path.stat().st_size <= LARGEST else None
    except OSError:
        return 1  # it will fail, and that counts as one


def _count(path: Path, mark: bytes) -> int:
    with path.open("rb") as file:
        return _count_in(file, mark)


def _count_in(file: IO[bytes], mark: bytes) -> int:
    return sum(block.count(mark) for block in iter(lambda: file.read(1 << 20), b""))


def _rows(path: Path) -> int:
    """The rows of a workbook below the headers; 1 for one that is damaged: it will fail, and that counts as one."""
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(path) as whole:
            sheets = [part for part in whole.infolist() if part.filename.startswith("xl/worksheets/sheet")]
            if sum(part.file_size for part in sheets) > LARGEST:
                return 1
            total = 0
            for part in sheets:
                with whole.open(part) as file:
                    total += max(0, _count_in(file, b"<row ") - 1)
            return total
    except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error):
        return 1
