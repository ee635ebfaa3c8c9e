"""The interface of an index on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

from jnlp.types.heads import Models, Tokenizer
from jnlp.types.records import Failed, Mark, Record

if TYPE_CHECKING:
    from pathlib import Path
    from threading import Event

    from jnlp.errors import JnlpError

GOOD_SCORE = 0.1
"""If the best hit of a search scores less, there is no good match."""


@dataclass(frozen=True, slots=True)
class Place:
    """A document of an index: its name, its file as it was indexed (None without one), and its row in the file."""

    document: str
    path: str | None = None
    line: int | None = None

    @property
    def name(self) -> str:
        """The name that no other document has, for `remove`: `FILE`, `FILE:LINE`, `FILE#ID`, or an id without a file.

        Example:
            >>> Place("r1", "faq.csv", 2).name
            'faq.csv#r1'
        """
        if self.path is None or self.document in (self.path, f"{self.path}:{self.line}"):
            return self.document
        return f"{self.path}#{self.document}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a hit came to its rank and its score.

    Args:
        bm25: What full text gives it; None if it was not asked or has no word of the query.
        bm25_rank: Its rank in full text, from 1.
        cosine: What the vectors give it; None if they were not asked.
        cosine_rank: Its rank by vectors; None if it is not among the candidates they found.
        bm25_share: BM25 relative to the largest of the candidates, from 0 to 1.
        cosine_share: The cosine between the smallest and the largest of the candidates, from 0 to 1.
        dense_weight: The weight of `cosine_share` in `fused`; that of `bm25_share` is the rest.
        fused: What it is ranked by: the weighted sum of the two shares, or more for one of the nearest passages where
            full text found few of the query's words.
        relative: `fused` relative to the largest of the candidates.
        coverage: The share of the query's words, by weight, that the best of the first passages has.
        reranked: What the reranker says; None if there is none.
    """

    bm25: float | None = None
    bm25_rank: int | None = None
    cosine: float | None = None
    cosine_rank: int | None = None
    fused: float = 0.0
    coverage: float = 0.0
    reranked: float | None = None
    bm25_share: float = 0.0
    cosine_share: float = 0.0
    dense_weight: float = 0.0
    relative: float = 0.0


@dataclass(frozen=True, slots=True)
class Hit:
    """One passage found.

    Args:
        rank: From 1.
        score: The share of questions for which such a hit was right, from 0 to 1 (docs/search.md, "Scores").
        document: The document's name: the id of its row, else its file.
        chunk: The chunk's number in its document, from 0.
        start, end: Character offsets of the passage (`docs/library.md`, "What offsets mean").
        text: The passage.
        highlights: Offsets in `text` of what matched the query's words.
        metadata: The document's fields.
        path: The document's file, as it was indexed; None for a document without one.
        line: The line of the file in which the sentence of the passage that answers best begins: `evidence`, or without
            it the sentence with most of the query's words. Of HTML, the line in which the passage begins; of a row, the
            row's own.
        headings: The headings above the sentence of the passage that answers best, outermost first.
        page, slide: The page of a PDF or the slide that it begins on, from 1.
        before, after: The sentences around it, where `context` asked for them.
        count: The number of documents that have this passage.
        also: The other documents that have it, the first hundred.
        explain: How it came to its rank and score, where that was asked for.
        evidence: Offsets in `text` of the sentence that answers best, where that was asked for.
        index: The index that it was found in, where several were searched.

    Example:
        >>> [hit] = nlp.open_index("my.idx").search("休暇は何日か", top=1)
        >>> hit.document, hit.text[hit.highlights[0][0] : hit.highlights[0][1]]
        ('文書/規程.txt', '休暇')
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
    path: str | None = None
    line: int | None = None
    headings: tuple[str, ...] = ()
    page: int | None = None
    slide: int | None = None
    before: str = ""
    after: str = ""
    count: int = 1
    also: tuple[Place, ...] = ()
    explain: Explanation | None = None
    evidence: tuple[int, int] | None = None
    index: str | None = None


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as an index holds it.

    Args:
        place: Its name, its file and its row.
        title: Its title, if it states one.
        text: Its passages put together. Characters that no passage has (blank lines between them) are missing.
        passages: Its passages as bare hits, in order; `line` is where each begins.
        at: For each passage, its offsets in `text`.
        metadata: Its fields.
    """

    place: Place
    title: str | None
    text: str
    passages: tuple[Hit, ...]
    at: tuple[tuple[int, int], ...]
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One passage of a document: character offsets in its text, and its length in tokens."""

    start: int
    end: int
    tokens: int


Chunker = Callable[[str, Tokenizer, int, int, Sequence[Mark]], Iterator[Chunk]]
"""What `register_chunkers` registers: `chunker(text, tokenizer, budget, overlap, outline)` yields passages in order.

`budget` is the most tokens of a passage, special tokens and prefix not counted; `overlap` the most that neighbours
share. `outline` has the headings, pages and slides of the document by `start`: those of its reader, and the numbered
headings of its text.
"""


@dataclass(frozen=True, slots=True)
class AddReport:
    """The outcome of adding documents to an index.

    Args:
        added, updated, unchanged, removed, failed: Documents.
        chunks: Passages written.
        embedded: Passages for which the model made a vector.
        seconds: How long it took.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0
    chunks: int = 0
    embedded: int = 0
    seconds: float = 0.0

    @property
    def documents(self) -> int:
        """The number of documents that could be indexed."""
        return self.added + self.updated + self.unchanged


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of checking an index.

    Args:
        problems: One line each; empty if the index is intact.
        leftovers: Files of an interrupted writer. They are harmless; the next writer removes them.
        counts: Rows by table: documents, chunks, segments, tombstones.
    """

    problems: tuple[str, ...]
    leftovers: tuple[str, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RepairReport:
    """The result of repairing an index.

    Args:
        documents: The number of intact documents, which were kept.
        dropped: The names of damaged documents, which were dropped; index their files again to restore them.
    """

    documents: int
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CompactReport:
    """The result of compacting an index.

    Args:
        before, after: The size of the folder in bytes.
        tombstones: The number of deleted passages that were removed from segment files.
    """

    before: int
    after: int
    tombstones: int


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """The contents and settings of an index.

    Args:
        path: The folder.
        documents, chunks: Their numbers.
        characters: The characters of all documents.
        bytes: The size of the folder.
        roots: The folders that were indexed, absolute.
        made_with: The model, its fingerprint, the chunker and the other settings.
        kind: The kind of the vector index: `flat`, or a FAISS factory string.
        vector_bytes: The bytes on disk that vectors take, a passage.
        text_bytes: The text of all documents in UTF-8, about.
        text_share: `bytes`, as a multiple of `text_bytes`.
    """

    path: str
    documents: int
    chunks: int
    characters: int
    bytes: int
    roots: tuple[str, ...]
    made_with: Mapping[str, object]
    kind: str = "flat"
    vector_bytes: float = 0.0
    text_bytes: int = 0
    text_share: float = 0.0


class SearchIndex(Protocol):
    """An index of documents, searched for passages. A read-only store raises `UsageError` on changes."""

    def add(
        self,
        documents: Iterable[Record | Failed | str | Path] | str | Path,
        /,
        *,
        read: Mapping[str, Any] | None = None,
        on_failed: Callable[[Failed], None] | None = None,
        progress: Callable[[AddReport], None] | None = None,
        **options: Any,
    ) -> AddReport:
        """Update the index with records, or with files and folders; create it if it does not exist."""
        ...

    def update(
        self,
        *,
        read: Mapping[str, Any] | None = None,
        on_failed: Callable[[Failed], None] | None = None,
        progress: Callable[[AddReport], None] | None = None,
        **options: Any,
    ) -> AddReport:
        """Update the index with the files and folders that were added before."""
        ...

    def watch(
        self,
        folders: Iterable[str | Path] | str | Path,
        /,
        *,
        debounce: float = 1.0,
        stop: Event | None = None,
        on_error: Callable[[JnlpError], None] | None = None,
        on_failed: Callable[[Failed], None] | None = None,
        read: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Iterator[AddReport]:
        """Update the index with folders, follow them, and yield a report after each update."""
        ...

    def remove(
        self, names: Iterable[str | Path] | str | Path, /, *, on_kept: Callable[[str], None] | None = None
    ) -> int:
        """Remove documents by name, file or folder; return their number. `on_kept` gets files that are still there."""
        ...

    def search(self, query: str, /, **options: Any) -> list[Hit]:
        """Return the best passages, best first: `top=5` of them; other options are the store's own."""
        ...

    def search_many(self, queries: Sequence[str], /, **options: Any) -> list[list[Hit]]:
        """Return what `search` returns for each of several queries, which are embedded together."""
        ...

    def documents(self) -> Iterator[Place]:
        """Yield the documents of the index."""
        ...

    def document(self, name: str, /) -> StoredDocument:
        """Return a document with its text, put together from its passages."""
        ...

    def info(self) -> IndexInfo:
        """Return the contents and settings of the index."""
        ...

    def is_outdated(self) -> bool:
        """Return True if the full text was made by other rules than a search uses: words may be missed."""
        ...

    def verify(self) -> Verification:
        """Check the whole index without changing it."""
        ...

    def repair(self) -> RepairReport:
        """Keep intact documents, rebuild what can be rebuilt, and drop the rest."""
        ...

    def upgrade(self) -> RepairReport:
        """Rewrite an index of an earlier format; nothing is read or embedded again."""
        ...

    def compact(self) -> CompactReport:
        """Remove what deleted documents left behind."""
        ...

    def export(
        self, out: str | Path, /, *, format: str | None = None, encoding: str = "utf-8", vectors: bool = False
    ) -> int:
        """Write every passage with its place and metadata to a file; return their number."""
        ...

    def close(self) -> None:
        """Release the files."""
        ...

    def __enter__(self) -> Self:
        """Return the index; it is closed at the end of the `with`."""
        ...

    def __exit__(self, *error: object) -> None:
        """Close the index."""
        ...


class IndexEngine(Protocol):
    """What a store needs from the engine."""

    def models(self, asked: str | None = None, default: str | None = None, /) -> Models:
        """Return the models: `asked` by the caller, else by the settings, else `default`."""
        ...

    def readers(self) -> dict[str, Callable[[], object]]:
        """Return the readers by file name ending."""
        ...

    def chunker(self, name: str, /) -> Chunker:
        """Return a chunker; an unknown name is a UsageError."""
        ...


class Store(Protocol):
    """A kind of index on disk."""

    def open(self, path: Path, engine: IndexEngine, /, *, create: bool = False) -> SearchIndex:
        """Open the index at `path`. With `create`, a missing index is created when the first document is added."""
        ...
