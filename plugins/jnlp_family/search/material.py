"""Task sets that are pairs of a question and what answers it."""

from __future__ import annotations

import json
import lzma
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp.training.embedder.pairs import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST = 400
"""Characters of a document that are read."""


PAIRED = ("sections", "definitions", "scud", "faq", "lawqa", "answers")
"""Task sets that are pairs as they stand."""


def rows(path: Path, /) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON-lines file, packed or not.

    Raises:
        JnlpError: The file is missing.
    """
    if not path.is_file():
        raise JnlpError(f"{path} is not there", hint="name the folder of the data that the cards list")
    with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def paired(data: Path, name: str, /) -> list[Pair]:
    """Return the pairs of a task set, the first of each query, in groups of eight neighbours."""
    folder = data / "tasks" / name
    path = folder / "train.jsonl"
    found = {row["query"]: row["positive"] for row in rows(path if path.is_file() else path.with_suffix(".jsonl.xz"))}
    return [
        Pair(query[:300], positive[:LONGEST], group=f"{name} {at // 8}")
        for at, (query, positive) in enumerate(found.items())
    ]
