"""Raw text for pre-training: files of documents, named sources, and the share of each that is held out."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from jnlp.errors import JnlpError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

SUFFIXES = (".txt", ".jsonl", ".jsonl.gz", ".jsonl.xz")


@dataclass(frozen=True, slots=True)
class Source:
    """One source of text and its part in the mix.

    Args:
        name: What the shards and the scores of this source are called.
        match: Glob patterns matched against the end of a file's path (`jsts/train.jsonl`).
        fields: The text fields of a JSON row; a list of strings counts as its strings.
        weight: How often a document is seen in one pass: 0.2 keeps every fifth document, 3 repeats each three times.
        unit: `document` keeps a row's text whole; `line` makes each of its lines a document of its own.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str
    match: tuple[str, ...]
    fields: tuple[str, ...] = ("text",)
    weight: float = 1.0
    unit: str = "document"


def files(paths: Iterable[Path]) -> list[Path]:
    """Return the text files under paths, sorted; raises UsageError for a path that is missing or holds none."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"no such file or folder: {path}")
        inside = [path] if path.is_file() else [p for p in path.rglob("*") if p.name.endswith(SUFFIXES)]
        if not inside:
            raise UsageError(f"no text under {path}", hint=f"files that end in {', '.join(SUFFIXES)} are read")
        found += inside
    return sorted(set(found))


def assign(sources: Sequence[Source], paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the files of each source: the first source that matches has the file, and unmatched files are left out.

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


def documents(source: Source, paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Yield `(key, text)` of a source's documents in file order; the key is stable, for hashing."""
    for path in paths:
        for key, text in _file_documents(source, path):
            if source.unit == "line":
                yield from ((line, line) for line in text.split("\n") if line.strip())
            elif text.strip():
                yield key, text


def _file_documents(source: Source, path: Path) -> Iterator[tuple[str, str]]:
    with _open(path) as handle:
        if path.suffix == ".txt":
            yield path.name, handle.read()
            return
        for number, line in enumerate(handle, 1):
            if line.strip():
                yield from _row_documents(source, path, number, line)


def _row_documents(source: Source, path: Path, number: int, line: str) -> Iterator[tuple[str, str]]:
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
        for text in value if isinstance(value, list) else [value]:
            yield str(text), str(text)


def _open(path: Path) -> TextIO:
    if path.name.endswith(".xz"):
        return lzma.open(path, "rt", encoding="utf-8")
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def fraction(key: str, salt: str = "") -> float:
    """Return a number in [0, 1) drawn by hash: the same for the same key everywhere, independent for each salt."""
    digest = hashlib.blake2b(f"{salt}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
