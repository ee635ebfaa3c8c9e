"""Takes items in advance in a thread, within bounds, and knows whether one is ready."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from jnlp.executors.chunks import CHUNK_CHARACTERS, CHUNK_RECORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """An iterator over `items` that a thread takes in advance: records of files and pipes, batches of a training.

    Twice `most` items, or twice a chunk's characters, are held at most, and one item more. An error of `items` comes
    out after what was taken before it. The thread begins at once.

    Args:
        items: What the thread takes.
        most: Items that may wait.
        weigh: Returns the characters of an item; None counts none.
        idle: Called by the consumer's thread before it waits for an item: the time to hand out what is done.

    Example:
        >>> with Prefetcher(number * number for number in range(4)) as squares:
        ...     list(squares)
        [0, 1, 4, 9]
    """

    def __init__(
        self,
        items: Iterable[T],
        /,
        *,
        most: int = CHUNK_RECORDS,
        weigh: Callable[[T], int] | None = None,
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._most, self._weigh, self._idle = most, weigh, idle
        self._changed = threading.Condition()
        self._read: list[T] = []  # by the thread
        self._weight = 0
        self._taken: list[T] = []  # by the consumer, last first
        self._wanted = self._ended = self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, args=(items,), daemon=True, name="jnlp-reader")
        self._thread.start()

    def ready(self, seconds: float, /) -> bool:
        """Wait for an item or the end, for `seconds` at most; return True if `next` would not block."""
        if self._taken:
            return True
        with self._changed:
            return self._await(seconds)

    def close(self) -> None:
        """Take no more; a thread that waits for a pipe stops when something comes out of it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until the thread has ended, after `close` or the last item."""
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
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

    def _work(self, items: Iterable[T]) -> None:
        try:
            for item in items:
                size = self._weigh(item) if self._weigh else 0
                with self._changed:
                    self._changed.wait_for(lambda size=size: self._closed or self._has_room(size))  # type: ignore[misc]
                    if self._closed:
                        return
                    self._read.append(item)
                    self._weight += size
                    if self._wanted:
                        self._changed.notify_all()
        except BaseException as error:  # raised where the items are handed out
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _has_room(self, size: int) -> bool:
        fits = len(self._read) < self._most and self._weight + size <= CHUNK_CHARACTERS
        return fits or not self._read
