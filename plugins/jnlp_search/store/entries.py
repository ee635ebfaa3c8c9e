"""The entries of the catalogue as values: roots, documents, passages and segments."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

PATH = "path"
"""The key of a document's file in its metadata."""


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that was indexed: its number, its absolute path ("" is /), and how the user wrote it."""

    id: int
    path: str
    label: str


@dataclass(frozen=True, slots=True)
class Document:
    """A document in the catalogue; see `schema.TABLES` for the columns."""

    root: int
    path: str
    key: str
    named: int
    line: int | None
    encoding: str | None
    title: str | None
    characters: int
    chunks: int
    sha256: bytes
    metadata: str

    @property
    def identity(self) -> tuple[int, str, str]:
        """The document's unique identity: root, path and key."""
        return self.root, self.path, self.key


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk as a search reads it; `document` is the document's number.

    `analysed` is true where `text` is what the full text has the words of: not where another text is shown. `offsets`
    are those of these words in `text`, where they are kept; where another text is shown, without those of signs.
    """

    chunk: int
    document: int
    ordinal: int
    start: int
    stop: int
    text: str
    same: bytes
    place: str | None = None
    analysed: bool = False
    offsets: bytes | None = None

    def read_place(self) -> dict[str, Any]:
        """Return the place as `outline.Spot.to_json` wrote it; empty if nothing is known."""
        return json.loads(self.place) if self.place else {}


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of raw vectors, and the FAISS file of its codes; see `schema.TABLES` for the columns."""

    id: int
    file: str
    digest: str
    count: int
    first: int
    last: int
    kind: str
    codes: str | None
    codes_digest: str | None

    @property
    def files(self) -> tuple[str, ...]:
        """The names of its files."""
        return (self.file,) if self.codes is None else (self.file, self.codes)
