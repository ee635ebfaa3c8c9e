"""What an index on disk is to those who search it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from jnlp.types.heads import Models

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Hit:
    """One passage found.

    Args:
        rank: From 1.
        score: A similarity: higher is better.
        document: The document's id.
        chunk: The chunk's number in its document, from 0.
        start, end: Character offsets of the passage (`docs/library.md`, "What offsets mean").
        text: The passage.
        highlights: Offsets in `text` of what matched the query's words.
        metadata: The document's fields.
    """

    rank: int
    score: float
    document: str
    chunk: int
    start: int
    end: int
    text: str
    highlights: tuple[tuple[int, int], ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)


class SearchIndex(Protocol):
    """An open index."""

    def search(self, query: str, /, *, top: int = 10) -> list[Hit]:
        """Return the best passages, best first."""
        ...

    def close(self) -> None:
        """Release the files."""
        ...


class Store(Protocol):
    """A kind of index on disk."""

    def open(self, path: Path, models: Models, /) -> SearchIndex:
        """Open the index at `path` for reading."""
        ...
