"""Chunks at work, outcomes in order: what the executors of this package share."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError, RecordError
from jnlp.executors.chunks import CHUNK_CHARACTERS, CHUNK_RECORDS, PATIENCE, Polled, chunks
from jnlp.types import Done, Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from jnlp.executors.chunks import Chunk
    from jnlp.types import Apply, Outcome, Record

FEW = 8
"""Chunks at work that are waited for where an input that cannot be polled is slow: with more, workers would run out."""


class Future:
    """The outcomes of one chunk, or the exception that ended it."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._outcomes: list[Outcome[Any]] = []
        self._error: BaseException | None = None

    def resolve(self, outcomes: list[Outcome[Any]], /) -> None:
        """Set the outcomes."""
        self._outcomes = outcomes
        self._done.set()

    def fail(self, error: BaseException, /) -> None:
        """Set the exception; outcomes that came before stay."""
        if not self._done.is_set():
            self._error = error
            self._done.set()

    def wait(self, seconds: float | None = None, /) -> bool:
        """Wait for the outcomes or the exception, for `seconds` at most; return True if they are there."""
        return self._done.wait(seconds)

    def result(self) -> list[Outcome[Any]]:
        """Wait, and return the outcomes or raise the exception."""
        self._done.wait()
        try:
            if self._error is not None:
                raise self._error
            return self._outcomes
        finally:
            del self  # an error holds this frame, and the frame the error


def run(
    submit: Callable[[Sequence[Record]], Future],
    records: Iterable[Record | Failed],
    in_flight: int | Callable[[], int],
    /,
    *,
    most: int = CHUNK_RECORDS,
    width: int | None = None,
    weight: int = 1,
) -> Iterator[Outcome[Any]]:
    """Yield one outcome per record, in order; at most `in_flight` + 1 chunks are held.

    If the input has nothing more at the moment, the outcomes of all that was read are wanted, and are waited for: until
    there is more, where `records` is `Polled`; else until they are there, of `FEW` chunks at most.

    Args:
        submit: Sets to work on the records of a chunk.
        records: The input.
        in_flight: How many chunks are worked on at once, or a function that returns it.
        most: Records in a chunk, at most.
        width: How many work at once, for the sizes of the first chunks; None is half of `in_flight`.
        weight: Chunks have that many fewer records and characters.

    Raises:
        JnlpError: What `submit`'s futures raise; what `records` raises, after the outcomes of what was read before.
        Exception: A bug in the task: nothing has succeeded and every record of a chunk failed with it.
    """
    worked = False
    count = in_flight if callable(in_flight) else lambda: in_flight
    bounds = {"most": max(most // weight, 1), "characters": CHUNK_CHARACTERS // weight}
    source = chunks(records, width=width or max(count() // 2, 1), **bounds)
    ready = records.ready if isinstance(records, Polled) else None
    for chunk, future in _in_flight(submit, source, count, ready):
        outcomes = _merge(chunk, future.result(), worked)
        worked = worked or any(isinstance(outcome, Done) for outcome in outcomes)
        yield from outcomes


def _in_flight(
    submit: Callable[[Sequence[Record]], Future],
    source: Iterator[Chunk],
    count: Callable[[], int],
    ready: Callable[[float], bool] | None,
) -> Iterator[tuple[Chunk, Future]]:
    """Yield chunks and their futures, `count()` at work; an error of the source comes after all of them."""
    waiting: deque[tuple[Chunk, Future]] = deque()
    broken: JnlpError | None = None
    while True:
        try:
            chunk = next(source, None)
        except JnlpError as error:
            chunk, broken = None, error
        if chunk is None:
            break
        if chunk.records:
            waiting.append((chunk, submit(chunk.work)))
        while waiting and (len(waiting) >= count() or (chunk.urgent and _is_due(waiting, ready))):
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()
    if broken is not None:
        raise broken


def _is_due(waiting: Sequence[tuple[Chunk, Future]], ready: Callable[[float], bool] | None) -> bool:
    """Return whether the first chunk is to be yielded before the source is asked for more, which has nothing now."""
    _, future = waiting[0]
    if ready is None:
        return len(waiting) <= FEW or future.wait(0)
    while not future.wait(PATIENCE):
        if ready(0):
            return False
    return True


def _merge(chunk: Chunk, outcomes: list[Outcome[Any]], worked: bool) -> list[Outcome[Any]]:
    """Put the records that were never read back into their places."""
    bugs = [o.error for o in outcomes if isinstance(o, Failed) and not isinstance(o.error, JnlpError)]
    if bugs and not worked and len(bugs) == len(outcomes):
        raise bugs[0]
    results = iter(outcomes)
    return [record if isinstance(record, Failed) else next(results) for record in chunk.records]


def apply_isolating(apply: Apply[Any], records: Sequence[Record], /) -> list[Outcome[Any]]:
    """Apply a task to a chunk; when it raises, halve the chunk until each bad record is alone.

    Raises:
        JnlpError: An error other than `RecordError`: it would meet every record (a missing model, a full disk).
    """
    if not records:
        return []
    try:
        results = apply([record.text for record in records])
    except Exception as error:
        if isinstance(error, JnlpError) and not isinstance(error, RecordError):
            raise
        if len(records) == 1:
            return [Failed.of(records[0], error)]
        middle = len(records) // 2
        return apply_isolating(apply, records[:middle]) + apply_isolating(apply, records[middle:])
    if len(results) != len(records):
        raise RuntimeError(f"the task returned {len(results)} results for {len(records)} texts")
    return [Done(record, result) for record, result in zip(records, results, strict=True)]
