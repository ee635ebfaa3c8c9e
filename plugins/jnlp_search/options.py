"""The options of indexing and searching."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from jnlp.types import Option

CHUNKER = "sentences"
CHUNK_TOKENS = 256
OVERLAP_TOKENS = 32
ANALYSER = "sudachi"
AUTO = "auto"
FLAT_BELOW = 20_000
HNSW_BELOW = 200_000
MEMORY_SHARE = 0.25
STORE_DEFAULTS: dict[str, str | int | float] = {
    "factory": AUTO,
    "flat_below": FLAT_BELOW,
    "hnsw_below": HNSW_BELOW,
    "memory_share": MEMORY_SHARE,
}
"""The settings of the vector index; they may be changed at any time."""

READING = ("text", "id", "encoding", "encoding_errors", "input_format", "include", "exclude", "ignore", "recursive")
"""The fields of `ReadOptions` that the commands which read documents have."""


class Retriever(StrEnum):
    """What finds passages: vectors (`dense`), full text (`lexical`), or both (`hybrid`)."""

    HYBRID = "hybrid"
    DENSE = "dense"
    LEXICAL = "lexical"


class ChunkPooling(StrEnum):
    """What a passage's vector is made from: the passage alone, or the document as the model reads it (`late`)."""

    PASSAGE = "passage"
    LATE = "late"


class GroupBy(StrEnum):
    """What the passages of an answer are put together by."""

    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How documents are indexed. None means the index's own setting, or the default for a new index."""

    chunker: Annotated[
        str | None,
        Option(help=f"How to cut documents into passages; default: {CHUNKER}.", metavar="NAME"),
    ] = None
    chunk_tokens: Annotated[
        int | None,
        Option(help=f"Maximum tokens of a passage, with the prefix; default: {CHUNK_TOKENS}.", ge=16, le=8192),
    ] = None
    overlap: Annotated[
        int | None, Option(help=f"Tokens that adjacent passages share; default: {OVERLAP_TOKENS}.", ge=0, le=4096)
    ] = None
    pooling: Annotated[
        ChunkPooling | None,
        Option(help="Embed each passage alone, or its document as a whole (late chunking); default: passage."),
    ] = None
    analyser: Annotated[
        str | None,
        Option(help=f"How to split full text into words; default: {ANALYSER}.", choices=("sudachi", "bigram")),
    ] = None
    factory: Annotated[
        str | None,
        Option(
            help=f"Kind of the vector index: flat, a FAISS factory string, or auto, which chooses by size; "
            f"default: {AUTO}.",
            metavar="STRING",
        ),
    ] = None
    flat_below: Annotated[
        int | None,
        Option(help=f"auto: compare every vector up to so many passages; default: {FLAT_BELOW:,}.", ge=0),
    ] = None
    hnsw_below: Annotated[
        int | None,
        Option(help=f"auto: a graph up to so many passages, then clusters; default: {HNSW_BELOW:,}.", ge=0),
    ] = None
    memory_share: Annotated[
        float | None,
        Option(
            help="Map the codes of vectors from the disk if they are larger than this share of memory; "
            f"default: {MEMORY_SHARE}.",
            ge=0,
            le=1,
        ),
    ] = None
    shards: Annotated[
        int | None,
        Option(
            help="Keep the index in so many parts, by document; a search asks all of them and answers as from one; "
            "default: 1.",
            ge=1,
            le=1_000,
        ),
    ] = None
    check: Annotated[
        bool, Option(help="Read all files again, not only those whose size or time has changed since the last time.")
    ] = False
    keep_missing: Annotated[bool, Option(help="Keep documents whose file is gone from an indexed folder.")] = False
    base: Annotated[
        str | None,
        Option(help="The new place of the indexed folders, if they have moved; nothing is read again.", metavar="DIR"),
    ] = None
    rebuild: Annotated[
        bool, Option(help="Index everything again; searches use the old index until the new one is complete.")
    ] = False


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How an index is searched."""

    top: Annotated[int, Option(help="How many passages to return.", ge=1, le=10_000, flags=("--top", "-k"))] = 10
    where: Annotated[
        str | None, Option(help="Search only documents that meet a condition: \"year >= 2020 and kind = 'pdf'\".")
    ] = None
    retriever: Annotated[Retriever, Option(help="Search by vectors, full text, or both.")] = Retriever.HYBRID
    per_document: Annotated[int, Option(help="Maximum passages of one document; 0: no limit.", ge=0)] = 3
    group: Annotated[
        bool, Option(help="Return passages with the same text once, with all documents that contain them.")
    ] = True
    dense_weight: Annotated[
        float | None,
        Option(
            help="The vectors' share of a hybrid ranking; the rest is the full text's. Default: the model's own.",
            ge=0,
            le=1,
        ),
    ] = None
    min_score: Annotated[
        float, Option(help="Leave out what is less probably right: see Scores in docs/search.md.", ge=0, le=1)
    ] = 0.0
    offset: Annotated[int, Option(help="Leave out the first so many.", ge=0, le=100_000)] = 0
    group_by: Annotated[
        GroupBy | None, Option(help="Put the passages of a document together; --top then counts documents.")
    ] = None
    explain: Annotated[bool, Option(help="Say how each hit came to its rank and score.")] = False
    rerank: Annotated[
        str | None,
        Option(help="Let a cross-encoder judge the first passages, and rank by that.", metavar="MODEL", local=True),
    ] = None
    rerank_top: Annotated[int, Option(help="How many passages --rerank judges at least.", ge=1, le=1_000)] = 50
    context: Annotated[int, Option(help="Sentences to show before and after each passage.", ge=0, le=100)] = 0
    merge: Annotated[
        bool, Option(help="Return overlapping passages that were all found as one, so that no text comes twice.")
    ] = True
    evidence: Annotated[
        bool, Option(help="Find the sentence of each hit that answers best, by its words and by its meaning.")
    ] = False


@dataclass(frozen=True, slots=True)
class SearchTaskOptions(SearchOptions):
    """The options of the task `search`."""

    index: Annotated[str | None, Option(help="The index to search.", metavar="DIR", local=True)] = None


@dataclass(frozen=True, slots=True)
class RerankOptions:
    """The options of `rerank`: none besides the model."""
