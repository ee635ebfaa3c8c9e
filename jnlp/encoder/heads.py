"""The heads that tasks use, from texts to arrays: Embedder, Classifier and MaskedLM of `jnlp.types`.

The network of a head is any function of a packed batch: jnlp's own ModernBERT, by torch or by numpy, or another
architecture through `forms.transformers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from jnlp.encoder.runtime import ignore_counts
from jnlp.encoder.windows import Window, frame, mean_by_tokens
from jnlp.errors import RecordError, UsageError
from jnlp.types import Embeddings, Logits, Overflow, ProblemType, Purpose, TokenStates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from jnlp.encoder.batching import BatchRunner
    from jnlp.encoder.packing import Packed
    from jnlp.encoder.tokenizer import Tokenizer
    from jnlp.encoder.windows import Framed
    from jnlp.types import FloatArray, IntArray, Pooling, SearchScores, Text


class Network(Protocol):
    """Reads a batch of its backend: an encoder returns states `[T, d]`, a classifier logits `[B, k]`."""

    def __call__(self, packed: Any, /) -> Any:
        """Return `[T, …]` for tokens, or `[B, …]` for sequences."""
        ...


class MaskedNetwork(Protocol):
    """Reads a batch of its backend and returns logits at some of its tokens."""

    def __call__(self, packed: Any, at: Any, /) -> Any:
        """Return logits `[M, vocabulary]` at the M tokens `at`."""
        ...


@dataclass(frozen=True, slots=True)
class Reader:
    """The common part of all heads: it lays out windows and runs batches.

    Args:
        tokenizer: The model's tokenizer.
        runner: Runs batches.
        max_length: The longest sequence in tokens, special tokens included.
        overflow: The default policy for longer texts.
        count: Called after each call with the number of texts read in windows, and of characters left out.
    """

    tokenizer: Tokenizer
    runner: BatchRunner
    max_length: int
    overflow: Overflow = Overflow.WINDOW
    count: Callable[[int, int], None] = ignore_counts

    def frame(self, texts: Sequence[Text], overflow: Overflow | None, /, *, prefix: str = "") -> list[Framed]:
        """Lay out the windows of texts, and count windowed texts and cut characters."""
        if isinstance(texts, str):
            raise UsageError("texts is one string", hint="pass a list: [text]")
        framed = frame(texts, self.tokenizer, self.max_length, overflow or self.overflow, prefix=prefix)
        windowed, cut = sum(len(f) > 1 for f in framed), sum(f.cut for f in framed)
        if windowed or cut:
            self.count(windowed, cut)
        return framed


class PackedEmbedder:
    """Texts to pooled vectors, or to the states of their tokens."""

    def __init__(
        self,
        encoder: Network,
        reader: Reader,
        /,
        *,
        dimension: int,
        pooling: Pooling,
        prefixes: Mapping[Purpose, str],
        fingerprint: str,
        search: SearchScores | None = None,
    ) -> None:
        self._encoder = encoder
        self._reader = reader
        self.search = search
        self.dimension = dimension
        self.pooling = pooling
        self.prefixes = prefixes
        self.fingerprint = fingerprint
        self.max_length = reader.max_length
        self.tokenizer = reader.tokenizer

    def embed(
        self,
        texts: Sequence[str],
        /,
        *,
        purpose: Purpose = Purpose.SIMILARITY,
        overflow: Overflow | None = None,
    ) -> Embeddings:
        """Return one pooled vector for each text, not normalised; windows are joined by `mean_by_tokens`."""
        framed = self._reader.frame(texts, overflow, prefix=self.prefixes.get(purpose, ""))
        runner = self._reader.runner

        def pool_states(packed: Any, _: list[int]) -> Any:
            return runner.backend.pool(self._encoder(packed), packed, self.pooling)

        outputs = list(runner.map(chain.from_iterable(framed), pool_states))
        vectors = np.asarray(outputs, dtype=np.float32).reshape(-1, self.dimension)
        windows, owner, tokens = _layout(framed)
        _check_finite(vectors)
        if len(vectors) > len(framed):
            vectors = mean_by_tokens(vectors, owner, tokens, len(framed))
        read = [sum(len(f.before) + end - start + len(f.after) for start, end in f.ranges) for f in framed]
        return Embeddings(vectors, windows, np.asarray([f.cut for f in framed], np.int64), np.asarray(read, np.int64))

    def states(self, text: str, /, *, purpose: Purpose = Purpose.DOCUMENT) -> Iterator[TokenStates]:
        """Yield token states window by window, with character offsets (for late chunking)."""
        (framed,) = self._reader.frame([text], Overflow.WINDOW, prefix=self.prefixes.get(purpose, ""))

        for window in framed:
            for states in self._states([window]):
                yield TokenStates(states, window.offsets, window.core)

    def packed_states(self, packed: Packed, /) -> Tensor:
        """Return the states `[T, d]` of one batch of torch's backend, on the model's device."""
        found: Tensor = self._encoder(packed)
        return found

    def sequence_states(self, ids: Sequence[IntArray], /) -> Iterator[FloatArray]:
        """Yield float32 `[T, d]` for each sequence of ready-made ids, in order."""
        return self._states(map(_sequence, ids))

    def _states(self, windows: Iterable[Window]) -> Iterator[FloatArray]:
        runner = self._reader.runner

        def split(packed: Any, _: list[int]) -> Sequence[Any]:
            return runner.backend.split(self._encoder(packed), packed.lengths)

        return runner.map(windows, split)


class PackedClassifier:
    """Texts or pairs to logits by label, window by window."""

    def __init__(
        self,
        network: Network,
        reader: Reader,
        /,
        *,
        labels: tuple[str, ...],
        problem_type: ProblemType,
        temperature: float = 1.0,
        builtin: str = "",
        folder: Path | None = None,
    ) -> None:
        self._network = network
        self._reader = reader
        self.builtin = builtin
        self.folder = folder
        self.labels = labels
        self.problem_type = problem_type
        self.temperature = temperature
        self.max_length = reader.max_length
        self.tokenizer = reader.tokenizer

    def logits(self, texts: Sequence[Text], /, *, overflow: Overflow | None = None) -> Logits:
        """Return the calibrated logits of each window: divided by the temperature of the model."""
        framed = self._reader.frame(texts, overflow)
        windows = chain.from_iterable(framed)
        outputs = list(self._reader.runner.map(windows, lambda packed, _: self._network(packed)))
        values = np.asarray(outputs, dtype=np.float32).reshape(-1, len(self.labels))
        _check_finite(values)
        if self.problem_type is not ProblemType.REGRESSION:
            values = values / np.float32(self.temperature)
        _, owner, tokens = _layout(framed)
        return Logits(
            values=values,
            owner=owner,
            spans=np.asarray([f.span(k) for f in framed for k in range(len(f))], dtype=np.int64).reshape(-1, 2),
            tokens=tokens,
            cut=np.asarray([f.cut for f in framed], dtype=np.int64),
            labels=self.labels,
            problem_type=self.problem_type,
        )


class PackedMaskedLM:
    """Token ids to logits at given positions."""

    def __init__(self, network: MaskedNetwork, reader: Reader, /) -> None:
        self._network = network
        self._reader = reader
        self.max_length = reader.max_length
        self.tokenizer = reader.tokenizer
        self.overflow = reader.overflow
        self.count = reader.count

    def at_masks(self, ids: Sequence[IntArray], positions: Sequence[IntArray], /) -> FloatArray:
        """Return float32 logits `[sum of positions, vocabulary]`, in the order of the sequences.

        Raises:
            ValueError: A sequence is longer than `max_length`; cut it with `windows.centred`.
        """
        if longest := max((len(sequence) for sequence in ids if len(sequence) > self.max_length), default=0):
            raise ValueError(f"a sequence of {longest} tokens is longer than the model's {self.max_length}")
        runner = self._reader.runner

        def answer(packed: Any, numbers: list[int]) -> Sequence[Any]:
            starts = np.cumsum([0, *packed.lengths[:-1]])
            at = np.concatenate([start + np.asarray(positions[i]) for start, i in zip(starts, numbers, strict=True)])
            logits = self._network(packed, runner.backend.index(at.astype(np.int64)))
            return runner.backend.split(logits, [len(positions[i]) for i in numbers])

        outputs = list(runner.map((_sequence(sequence) for sequence in ids), answer))
        for row in outputs:
            _check_finite(row)
        return np.concatenate(outputs) if outputs else np.zeros((0, self.tokenizer.vocabulary), dtype=np.float32)


def _check_finite(values: FloatArray) -> None:
    """Raise RecordError if a model's output is not finite; the engine finds the text that caused it."""
    if not np.isfinite(values).all():
        raise RecordError("the model's output is NaN or infinite", hint="--dtype fp32, or another model")


def _sequence(ids: IntArray) -> Window:
    """Return ready-made ids as a window."""
    ids = np.asarray(ids, dtype=np.int64)
    zeros = np.zeros_like(ids)
    return Window(ids, zeros, np.stack([zeros, zeros], axis=1), (0, 0), len(ids), (0, len(ids)))


def _layout(framed: Sequence[Framed]) -> tuple[IntArray, IntArray, IntArray]:
    """Return the number of windows of each text, and the owner and the tokens of each window."""
    windows = np.asarray([len(f) for f in framed], dtype=np.int64)
    tokens = [end - start for f in framed for start, end in f.ranges]
    return windows, np.repeat(np.arange(len(framed)), windows), np.asarray(tokens, dtype=np.int64)
