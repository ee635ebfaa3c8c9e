"""The local executor: look-ahead chunks, two in flight, a failing chunk halved down to its bad record."""

from __future__ import annotations

import queue
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError, RecordError
from jnlp.types import Done, Failed, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from jnlp.types import Apply, Job, Outcome

CHUNK_RECORDS = 512
CHUNK_CHARACTERS = 1 << 20
IN_FLIGHT = 2
"""Chunks worked on at once: while one is in the forward pass, the other is tokenised."""


class LocalExecutor:
    """Runs a job on threads of this process.

    Args:
        prepare: Makes the job's function; called once a `map`.
    """

    def __init__(self, prepare: Callable[[Job], Apply[Any]], /) -> None:
        self._prepare = prepare

    def map(self, job: Job, records: Iterable[Record | Failed], /) -> Iterator[Outcome[Any]]:
        """Yield one outcome a record, in order; at most `IN_FLIGHT` + 1 chunks are held.

        Raises:
            JnlpError: The job cannot be prepared, or an error that concerns more than one record; one that `records`
                raises comes after the outcomes of what was read before it.
            Exception: A bug in the task: nothing has succeeded and every record of a chunk failed with it.
        """
        apply = self._prepare(job)
        with _Workers(IN_FLIGHT) as workers:
            worked = False
            for chunk, future in _ahead(apply, chunks(records), workers):
                outcomes = _merge(chunk, future, worked)
                worked = worked or any(isinstance(outcome, Done) for outcome in outcomes)
                yield from outcomes


Chunk = list[Record | Failed]


def _ahead(apply: Apply[Any], source: Iterator[Chunk], workers: _Workers) -> Iterator[tuple[Chunk, _Future]]:
    """Yield chunks and their futures, `IN_FLIGHT` at work; an error of the source comes after all of them."""
    waiting: deque[tuple[Chunk, _Future]] = deque()
    broken: JnlpError | None = None
    while True:
        try:
            chunk = next(source, None)
        except JnlpError as error:
            chunk, broken = None, error
        if chunk is None:
            break
        waiting.append((chunk, workers.submit(apply, [r for r in chunk if isinstance(r, Record)])))
        if len(waiting) >= IN_FLIGHT:
            yield waiting.popleft()
    yield from waiting
    if broken is not None:
        raise broken


def chunks(records: Iterable[Record | Failed], /) -> Iterator[list[Record | Failed]]:
    """Group records into chunks bounded in records and characters; the first are small, so that answers come soon.

    Raises:
        JnlpError: What `records` raises, after a chunk of what was read before it.
    """
    chunk: Chunk = []
    characters, limit = 0, 32
    broken: JnlpError | None = None
    try:
        for record in records:
            chunk.append(record)
            characters += _length(record)
            if len(chunk) >= limit or characters >= CHUNK_CHARACTERS:
                yield chunk
                chunk, characters, limit = [], 0, min(limit * 2, CHUNK_RECORDS)
    except JnlpError as error:
        broken = error
    if chunk:
        yield chunk
    if broken is not None:
        raise broken


def _length(record: Record | Failed) -> int:
    if isinstance(record, Failed):
        return 0
    return len(record.text) if isinstance(record.text, str) else sum(map(len, record.text))


def settle(apply: Apply[Any], records: Sequence[Record], /) -> list[Outcome[Any]]:
    """Apply a task to a chunk; when it raises, halve the chunk until the bad records stand alone.

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
            return [Failed(records[0].id, records[0].source, error)]
        middle = len(records) // 2
        return settle(apply, records[:middle]) + settle(apply, records[middle:])
    if len(results) != len(records):
        raise RuntimeError(f"the task returned {len(results)} results for {len(records)} texts")
    return [Done(record, result) for record, result in zip(records, results, strict=True)]


def _merge(chunk: list[Record | Failed], future: _Future, worked: bool) -> list[Outcome[Any]]:
    """Wait for a chunk and put the records that were never read back into their places."""
    settled = future.result()
    bugs = [o.error for o in settled if isinstance(o, Failed) and not isinstance(o.error, JnlpError)]
    if bugs and not worked and len(bugs) == len(settled):
        raise bugs[0]
    results = iter(settled)
    return [record if isinstance(record, Failed) else next(results) for record in chunk]


class _Future:
    """The outcome of one chunk, or the exception that ended it."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._outcomes: list[Outcome[Any]] = []
        self._error: BaseException | None = None

    def run(self, apply: Apply[Any], records: Sequence[Record]) -> None:
        try:
            self._outcomes = settle(apply, records)
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    def result(self) -> list[Outcome[Any]]:
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._outcomes


class _Workers:
    """Daemon threads, so that Ctrl-C need not wait for a forward pass (those of concurrent.futures are joined)."""

    def __init__(self, count: int) -> None:
        self._jobs: queue.SimpleQueue[tuple[_Future, Apply[Any], Sequence[Record]] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, daemon=True, name="jnlp-worker") for _ in range(count)]

    def submit(self, apply: Apply[Any], records: Sequence[Record]) -> _Future:
        future = _Future()
        self._jobs.put((future, apply, records))
        return future

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, apply, records = job
            future.run(apply, records)

    def __enter__(self) -> _Workers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for _thread in self._threads:
            self._jobs.put(None)
