"""Reads records in advance in a thread, within bounds, and knows whether one is ready."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from jnlp.executors.chunks import CHUNK_CHARACTERS, CHUNK_RECORDS, weight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from jnlp.types import Failed, Record


class Prefetcher:
    """An iterator over `records` that a thread reads in advance: for files, pipes and other inputs of our own.

    Twice a chunk's worth of records or characters is held at most, and one record more. An error of `records` comes
    out after what was read before it. Reading begins at once.

    Args:
        records: What the thread reads.
        idle: Called by the consumer's thread before it waits for a record: the time to hand out what is done.
    """

    def __init__(self, records: Iterable[Record | Failed], /, *, idle: Callable[[], None] = lambda: None) -> None:
        self._idle = idle
        self._changed = threading.Condition()
        self._read: list[Record | Failed] = []  # by the thread
        self._weight = 0
        self._taken: list[Record | Failed] = []  # by the consumer, last first
        self._wanted = self._ended = self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, args=(records,), daemon=True, name="jnlp-reader")
        self._thread.start()

    def ready(self, seconds: float, /) -> bool:
        """Wait for a record or the end, for `seconds` at most; return True if `next` would not block."""
        if self._taken:
            return True
        with self._changed:
            return self._await(seconds)

    def close(self) -> None:
        """Stop reading; a thread that waits for a pipe stops when something comes out of it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Record | Failed]:
        return self

    def __next__(self) -> Record | Failed:
        if not self._taken:
            if not self.ready(0):
                self._idle()
            with self._changed:
                self._await(None)
                self._taken, self._read, self._weight = self._read[::-1], [], 0
                self._changed.notify_all()
            if not self._taken:
                if self._error is not None:
                    raise self._error
                raise StopIteration
        return self._taken.pop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _await(self, seconds: float | None) -> bool:
        self._wanted = True
        try:
            return self._changed.wait_for(lambda: bool(self._read) or self._ended, seconds)
        finally:
            self._wanted = False

    def _work(self, records: Iterable[Record | Failed]) -> None:
        try:
            for record in records:
                size = weight(record)
                with self._changed:
                    self._changed.wait_for(lambda size=size: self._closed or self._has_room(size))  # type: ignore[misc]
                    if self._closed:
                        return
                    self._read.append(record)
                    self._weight += size
                    if self._wanted:
                        self._changed.notify_all()
        except BaseException as error:  # raised where the records are taken
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _has_room(self, size: int) -> bool:
        fits = len(self._read) < CHUNK_RECORDS and self._weight + size <= CHUNK_CHARACTERS
        return fits or not self._read
