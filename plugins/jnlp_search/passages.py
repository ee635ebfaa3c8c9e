"""Documents cut, embedded and analysed by an executor's workers; the index is written here, by one process.

What a worker gets is the text of a document and its outline, and what comes back are offsets, vectors and index words.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Self, cast

from jnlp.errors import JnlpError
from jnlp.strict_json import dumps
from jnlp.types import Chunk, Job, Mark, Option, TaskSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from jnlp.types import Apply, Chunker, Embedder, FloatArray, IndexEngine, Models, Outcome, Record, Text
    from jnlp_search.offsets import IndexWords
    from jnlp_search.store.schema import Manifest

    Workers = Callable[[Iterable[Record]], Generator[Outcome["Passages"]]]

HERE = ("local", "resident")
"""Executors whose work this process does itself, batch by batch."""


@dataclass(frozen=True, slots=True)
class PassageOptions:
    """How a worker cuts and embeds: settings of the index."""

    model: Annotated[str, Option(help="Model.")] = ""
    fingerprint: Annotated[str, Option(help="What the model must be.")] = ""
    chunker: Annotated[str, Option(help="Chunker.")] = ""
    chunk_tokens: Annotated[int, Option(help="Tokens of a passage.")] = 0
    overlap: Annotated[int, Option(help="Tokens that passages share.")] = 0
    late: Annotated[bool, Option(help="Late chunking.")] = False
    analyser: Annotated[str, Option(help="Analyser.")] = ""
    analyser_version: Annotated[str, Option(help="What the analyser must be.")] = ""


@dataclass(frozen=True, slots=True)
class Passages:
    """The passages of a document.

    Args:
        chunks: Where each is in the text.
        vectors: One for each, float32 `[n, d]` of length 1.
        words: The index words of each, with their offsets.
    """

    chunks: tuple[Chunk, ...]
    vectors: FloatArray
    words: tuple[IndexWords, ...]


PASSAGES: TaskSpec[PassageOptions, Passages] = TaskSpec(
    "jnlp_search.passages:PASSAGES",  # workers find it by this; it is no command
    "Cut, embed and analyse documents.",
    PassageOptions,
    make="jnlp_search.passages:make",
    result=Passages,
    pairs=True,
    weight=8,
)


def make(models: Models, options: PassageOptions, /) -> Apply[Passages]:
    """Return the function of a worker.

    Raises:
        JnlpError: This machine has another version of the model or of the analyser's dictionary.
    """
    from jnlp.plugins import load_plugins
    from jnlp.registry import Kind
    from jnlp_search.analyse import analyser

    embedder, words = models.embedder(options.model, bulk=True), analyser(options.analyser)
    for what, here, there in (
        (f"model {options.model}", embedder.fingerprint, options.fingerprint),
        (f"analyser {options.analyser}", words.version, options.analyser_version),
    ):
        if here != there:
            raise JnlpError(f"a worker has another version of {what}", hint="install the same on all machines")
    chunker: Chunker = load_plugins().registry.get(Kind.CHUNKER, options.chunker)
    return _Worker(embedder, words, chunker, options)


class _Worker:
    """Cuts, embeds and analyses documents.

    Args:
        embedder: Makes the vectors.
        words: Makes the index words.
        chunker: Cuts documents.
        options: How.
    """

    def __init__(self, embedder: Embedder, words: Any, chunker: Chunker, options: PassageOptions) -> None:
        self._embedder, self._words, self._chunker, self._options = embedder, words, chunker, options

    def __call__(self, texts: Sequence[Text], /) -> list[Passages]:
        from jnlp_search.analyse import index_words
        from jnlp_search.draft import chunks_of

        options, cuts = self._options, []
        for text, marks in cast("Sequence[tuple[str, str]]", texts):
            outline = tuple(Mark(*values) for values in json.loads(marks))
            cut = chunks_of(text, outline, self._chunker, self._embedder, options.chunk_tokens, options.overlap)
            cuts.append((text, tuple(cut), [text[chunk.start : chunk.end] for chunk in cut]))
        found = iter(self._vectors([(text, cut) for text, cut, _ in cuts], [part for *_, p in cuts for part in p]))
        return [
            Passages(cut, next(found), tuple(index_words(self._words, part) for part in parts))
            for _, cut, parts in cuts
        ]

    def _vectors(self, cuts: Sequence[tuple[str, Sequence[Chunk]]], parts: Sequence[str]) -> Iterator[FloatArray]:
        """Yield the vectors of each document's passages."""
        from jnlp_search.embed import checked_unit, embed_passages
        from jnlp_search.late import late_vectors

        model = self._options.model
        if self._options.late:
            for text, cut in cuts:
                spans = [(chunk.start, chunk.end) for chunk in cut]
                yield checked_unit(late_vectors(self._embedder, text, spans), model)
            return
        made, start = embed_passages(self._embedder, model, parts), 0
        for _, cut in cuts:
            yield made[start : start + len(cut)]
            start += len(cut)


def elsewhere(engine: IndexEngine, model: str, /) -> Callable[[Manifest], Workers] | None:
    """Return how the engine's executor does this work, or None if this process does it."""
    settings = getattr(engine, "settings", None)
    if settings is None or (settings.executor in HERE and settings.workers == 1):
        return None

    def with_manifest(manifest: Manifest) -> Workers:
        options = PassageOptions(
            model=model,
            fingerprint=manifest.fingerprint,
            chunker=manifest.chunker,
            chunk_tokens=manifest.chunk_tokens,
            overlap=manifest.overlap,
            late=manifest.pooling == "late",
            analyser=manifest.analyser,
            analyser_version=manifest.analyser_version,
        )
        job = Job(PASSAGES, options, settings, model)
        return lambda records: engine.execute(job, _Steady(map(_sent, records)))  # type: ignore[attr-defined]

    return with_manifest


def _sent(record: Record) -> Record:
    """Return what a worker needs of a document."""
    marks = [[mark.start, mark.kind, mark.level, mark.title, mark.number] for mark in record.outline]
    return replace(record, text=(record.text, dumps(marks)))  # type: ignore[arg-type]  # no pair: `draft` looked


class _Steady:
    """Records that are always at hand: a file that is read slowly does not make the workers wait for one another.

    Args:
        records: The records.
    """

    def __init__(self, records: Iterator[Record], /) -> None:
        self._records = records

    def ready(self, _seconds: float, /) -> bool:
        return True

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Record:
        return next(self._records)
