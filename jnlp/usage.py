"""Counts what a run has processed and what it cost: models, long texts, tokens, seconds by stage, memory."""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from jnlp.types import ModelSpec

T = TypeVar("T")


class Stage(StrEnum):
    """The stages of a run. They overlap, so their seconds may add up to more than the elapsed time."""

    READER = "reader"
    TOKENIZER = "tokenizer"
    ENCODER = "encoder"
    WRITER = "writer"


@dataclasses.dataclass(slots=True)
class Usage:
    """Counts and times of an engine's runs so far. Thread-safe.

    Args:
        models: The models used, by the name they were requested by.
        windowed: Number of texts that were read in windows.
        cut: Number of characters left out.
        texts: Number of records read.
        tokens: Tokens processed by the encoder, including special tokens and window overlaps.
        slots: Positions in the encoder's batches, including padding.
        batches: Number of the encoder's batches.
        seconds: Busy seconds by stage; the reader's include waiting for a pipe.
        loading: Seconds spent loading models.
        elapsed: Elapsed seconds of the runs.
        budgets: For each out-of-memory: the token budget before and after.
        ran: The encoder's device, dtype, attention and threads.
        workers: Peak memory of worker processes in bytes, by process id.
    """

    models: dict[str, ModelSpec] = dataclasses.field(default_factory=dict)
    windowed: int = 0
    cut: int = 0
    texts: int = 0
    tokens: int = 0
    slots: int = 0
    batches: int = 0
    seconds: dict[Stage, float] = dataclasses.field(default_factory=lambda: dict.fromkeys(Stage, 0.0))
    loading: float = 0.0
    elapsed: float = 0.0
    budgets: tuple[int, int] | None = None
    ran: str = ""
    workers: dict[int, int] = dataclasses.field(default_factory=dict)
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def padding(self) -> float:
        """The share of padding in the batches."""
        return 1 - self.tokens / self.slots if self.slots else 0.0

    @property
    def working(self) -> float:
        """Elapsed seconds without model loading; rates are computed over these."""
        return max(self.elapsed - self.loading, 1e-9)

    def count(self, windows: int, cut: int) -> None:
        """Add texts that were longer than the model."""
        with self._lock:
            self.windowed += windows
            self.cut += cut

    def batch(self, tokens: int, slots: int, seconds: float) -> None:
        """Add a batch of the encoder."""
        with self._lock:
            self.tokens += tokens
            self.slots += slots
            self.batches += 1
            self.seconds[Stage.ENCODER] += seconds

    def spend(self, stage: Stage, seconds: float) -> None:
        """Add busy seconds of a stage."""
        with self._lock:
            self.seconds[stage] += seconds

    def lower(self, before: int, after: int) -> None:
        """Record that the encoder ran out of memory and continues with a smaller token budget."""
        with self._lock:
            self.budgets = (self.budgets[0] if self.budgets else before, after)

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Count the time in this block as that of a run."""
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self.elapsed += time.perf_counter() - start

    @contextmanager
    def loads(self) -> Iterator[None]:
        """Count the time in this block as that of loading a model."""
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self.loading += time.perf_counter() - start

    def reading(self, records: Iterable[T], /) -> Iterator[T]:
        """Pass records on; count them and the time spent waiting for each."""
        clock = time.perf_counter
        source = iter(records)
        while True:
            start = clock()
            try:
                record = next(source)
            except StopIteration:
                return
            finally:
                with self._lock:
                    self.seconds[Stage.READER] += clock() - start
            with self._lock:
                self.texts += 1
            yield record

    def drain(self) -> dict[str, Any]:
        """Return a worker's counts since the last call, for `add`, and reset them."""
        with self._lock:
            report = {name: getattr(self, name) for name in _ADDED}
            report |= {"models": dict(self.models), "seconds": dict(self.seconds)}
            report |= {"budgets": self.budgets, "ran": self.ran, "loading": self.loading}
            for name in _ADDED:
                setattr(self, name, 0)
            self.seconds = dict.fromkeys(Stage, 0.0)
            return report

    def add(self, report: Mapping[str, Any], /, *, worker: int, memory: int) -> None:
        """Add what a worker process counted, and its peak memory in bytes so far."""
        with self._lock:
            for name in _ADDED:
                setattr(self, name, getattr(self, name) + report[name])
            for stage, seconds in report["seconds"].items():
                self.seconds[stage] += seconds
            self.models |= report["models"]
            self.budgets = report["budgets"] or self.budgets
            self.ran = report["ran"] or self.ran
            self.loading = max(self.loading, report["loading"])  # workers load at the same time
            self.workers[worker] = memory


_ADDED = ("windowed", "cut", "tokens", "slots", "batches")


def peak_memory() -> int:
    """Return this process's peak resident memory in bytes; 0 if the system does not report it."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
