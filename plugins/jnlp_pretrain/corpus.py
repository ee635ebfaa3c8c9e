"""Reads raw text for pre-training: files of documents in named sources, as a stream."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from jnlp.errors import JnlpError, UsageError
from jnlp.io import ReadOptions, Unit, read
from jnlp.io.reading.decoded import lines
from jnlp.io.reading.inputs import Input, PassedOver, extension_of
from jnlp.io.reading.readers import builtin_readers
from jnlp.types import Failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from jnlp.types import Record

_ROWS = (".jsonl", ".ndjson", ".json")
_TEXT = (".txt", ".text")
_WHOLE = 1 << 18  # bytes of a text file that is one document; a larger one is cut at blank lines
_MANY = 24  # files that are scored one by one
_BLOCK = 100_000  # characters, about, of a document cut from a larger file


@dataclass(frozen=True, slots=True)
class Source:
    """One source of text and its part in the mix.

    Args:
        name: The name of its shards and scores.
        match: Glob patterns matched against the end of a file's path (`jsts/train.jsonl`).
        fields: The text fields of a record; a list of strings counts as several texts.
        weight: How often a document is seen in one pass, on average: 0.2 samples a fifth of the documents again for
            each pass, 3 repeats each document three times. A stage may override it.
        keep: The share of its documents to tokenise, by hash, to limit a large source.
        unit: `document` keeps a record's text whole; `line` makes each of its lines a document.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str
    match: tuple[str, ...]
    fields: tuple[str, ...] = ("text",)
    weight: float = 1.0
    keep: float = 1.0
    unit: str = "document"


def files(paths: Iterable[Path], passed_over: PassedOver | None = None) -> list[Path]:
    """Return the text files under paths, sorted: every format that `jnlp.io` reads, compressed or not.

    `passed_over` counts the others.

    Raises:
        UsageError: A path is missing or has no text.
    """
    known = builtin_readers()
    found: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise UsageError(f"no such file or folder: {path}")
        below = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        inside = [p for p in below if p is path or extension_of(p) in known]
        if passed_over is not None:
            for other in set(below) - set(inside):
                passed_over.add(other)
        if not inside:
            raise UsageError(f"no text under {path}", hint=f"files that end in {', '.join(sorted(known))} are read")
        found.update(inside)
    return sorted(found)


def assign(sources: Sequence[Source], paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the files of each source. A file belongs to the first source that matches; others are ignored.

    Raises:
        UsageError: No file belongs to any source.
    """
    table: dict[str, list[Path]] = {source.name: [] for source in sources}
    for path in paths:
        owner = next((s for s in sources if any(path.match(pattern) for pattern in s.match)), None)
        if owner is not None:
            table[owner.name].append(path)
    if not any(table.values()):
        raise UsageError("no file of the corpus belongs to a source of the recipe", hint="see `match` in the recipe")
    return table


def own_sources(paths: Sequence[Path]) -> tuple[Source, ...]:
    """Return one source for each file, named after it; a single source for many files."""
    if len(paths) > _MANY:
        return (Source("corpus", ("*",)),)
    top = os.path.commonpath([path.resolve().parent for path in paths])
    names = {path: hashlib.sha256(os.path.relpath(path.resolve(), top).encode()).hexdigest()[:6] for path in paths}
    return tuple(Source(f"{path.name.split('.')[0]}-{names[path]}", (glob.escape(str(path)),)) for path in paths)


def documents(source: Source, paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Yield `(key, text)` of a source's documents in file order, read as they come; the key is stable, for hashing.

    Raises:
        JnlpError: A record lacks a field, or a file cannot be read.
    """
    for path in paths:
        for text in _texts(source, path):
            if source.unit == "line":
                yield from ((line, line) for line in text.split("\n") if line.strip())
            elif text.strip():
                yield text, text


def _texts(source: Source, path: Path) -> Iterator[str]:
    extension = extension_of(path)
    if extension in _ROWS:
        yield from _row_texts(source, path)
    elif extension in _TEXT and (source.unit == "line" or path.stat().st_size > _WHOLE):
        yield from _blocks(path)
    else:
        field = source.fields[0] if source.fields != ("text",) else None
        yield from (record_text(record) for record in read([path], ReadOptions(unit=Unit.DOCUMENT, text=field)))


def record_text(record: Record | Failed) -> str:
    """Return the text of a record.

    Raises:
        JnlpError: It could not be read.
    """
    if isinstance(record, Failed):
        raise record.error if isinstance(record.error, JnlpError) else JnlpError(f"{record.id}: {record.error}")
    return record.text if isinstance(record.text, str) else "\n".join(record.text)


def _blocks(path: Path) -> Iterator[str]:
    """Yield a text file as documents of about `_BLOCK` characters, cut at a blank line if possible."""
    block: list[str] = []
    size = 0
    with lines(Input(str(path), path), ReadOptions()) as decoded:
        for line in decoded:
            block.append(line)
            size += len(line)
            if size > _BLOCK and (not line.strip() or size > 2 * _BLOCK):
                yield "".join(block)
                block, size = [], 0
    yield "".join(block)


def _row_texts(source: Source, path: Path) -> Iterator[str]:
    with lines(Input(str(path), path), ReadOptions()) as decoded:
        for line in decoded:
            if line.strip():
                yield from _fields(source, path, decoded.number, line)


def _fields(source: Source, path: Path, number: int, line: str) -> Iterator[str]:
    try:
        row: Any = json.loads(line)
        values = [row[name] for name in source.fields]
    except (ValueError, KeyError, TypeError) as error:
        raise JnlpError(
            f"{path}:{number}: not a JSON row with the field{'s' if len(source.fields) > 1 else ''}"
            f" {', '.join(source.fields)}",
            hint="name the text fields of the source in the recipe",
        ) from error
    for value in values:
        yield from (str(text) for text in (value if isinstance(value, list) else [value]) if text is not None)


def fraction(key: str, salt: str = "") -> float:
    """Return a number in [0, 1) from a hash: always the same for a key, and independent for each salt."""
    digest = hashlib.blake2b(f"{salt}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
