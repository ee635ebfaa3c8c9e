"""Puts the texts of concurrent requests into shared batches, and hands each request its results.

Two threads take texts: one short texts, one long texts. Both compute on the process's compute thread
(`jnlp.encoder.compute`), which alternates between their batches: a short text waits for one window of a long text at
most. Within a thread, texts are taken by due time: arrival, plus the time that the earlier texts of the same request
take. So a request of one text does not wait for all texts of a large request that came before it.
"""

from __future__ import annotations

import heapq
import threading
import time
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp.executors.ordered import apply_isolating
from jnlp.types import Done, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jnlp.types import Apply, Text

TARGET = 0.1
"""Seconds of work in one batch, so that results come out steadily and short texts need not wait long."""

LEAST = 2_048
"""Characters that a batch may always have: fewer make the forward pass slow."""

MOST = 65_536
"""Characters of a batch at most."""

BUSY = 0.05
"""A batch waits for more texts only if the last one ended within this many seconds."""


@dataclass(slots=True, eq=False)
class Lane:
    """Texts that may share a batch: one task with one set of options.

    Args:
        name: The task, for metrics.
        apply: From texts to results.
        speed: Characters per second, as measured; 0 before the first batch.
    """

    name: str
    apply: Apply[Any]
    speed: float = 0.0

    def room(self) -> int:
        """Return the characters of one batch."""
        return int(min(max(self.speed * TARGET, LEAST), MOST))

    def seconds(self, characters: int) -> float:
        """Estimate the time for so many characters."""
        return characters / (self.speed or 10_000)

    def measured(self, characters: int, seconds: float) -> None:
        """Update the speed from one batch; single short texts say little about it."""
        if characters >= LEAST // 4:
            now = characters / max(seconds, 1e-6)
            self.speed = now if not self.speed else 0.8 * self.speed + 0.2 * now


@dataclass(slots=True, eq=False)
class Work:
    """The texts of one request in one lane.

    Args:
        lane: The lane.
        results: A result for each text, or the exception that it met.
        left: The number of texts without a result.
        future: Resolved with `results` once all are there.
        since: When it was submitted.
    """

    lane: Lane
    results: list[Any]
    left: int
    future: Future[list[Any]] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)

    def finish(self, position: int, result: Any) -> None:
        """Set one result."""
        self.results[position] = result
        self.left -= 1
        if self.left == 0:
            self._resolve(lambda: self.future.set_result(self.results))

    def fail(self, error: BaseException) -> None:
        """End the request with an error."""
        self._resolve(lambda: self.future.set_exception(error))

    def _resolve(self, resolve: Callable[[], None]) -> None:
        try:
            resolve()
        except InvalidStateError:  # cancelled, or failed before
            return


@dataclass(slots=True, order=True)
class _Item:
    due: float
    number: int
    work: Work = field(compare=False)
    position: int = field(compare=False)
    text: Text = field(compare=False)
    size: int = field(compare=False)


class Overloaded(Exception):  # noqa: N818 - a state of the queue, not a mistake
    """The queue is full.

    Args:
        seconds: When to try again.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__("too many texts are waiting")
        self.seconds = seconds


class Batcher:
    """Collects texts in lanes and computes them in shared batches.

    Args:
        most: Maximum texts that wait.
        wait: Seconds that a batch waits for more texts under load.
        seen: Called after each batch with the lane's name, the number of texts, and the seconds.

    Example:
        >>> batcher = Batcher(most=100)
        >>> lane = Lane("upper", lambda texts: [str(text).upper() for text in texts])
        >>> batcher.submit(lane, ["abc", "def"]).future.result()
        ['ABC', 'DEF']
        >>> batcher.close()
    """

    def __init__(
        self, *, most: int, wait: float = 0.002, seen: Callable[[str, int, float], None] = lambda *_: None
    ) -> None:
        self._most, self._seen = most, seen
        self._queues = (_Queue(wait, self._compute), _Queue(wait, self._compute))
        self._number = 0
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """The number of texts that wait."""
        return sum(queue.waiting for queue in self._queues)

    def submit(self, lane: Lane, texts: Sequence[Text], /) -> Work:
        """Queue the texts of a request.

        Raises:
            Overloaded: Too many texts are waiting.
            JnlpError: The service is stopping.
        """
        work = Work(lane, [None] * len(texts), len(texts))
        if not texts:
            work.future.set_result([])
            return work
        with self._lock:
            self._number += 1
            number = self._number
        if self.waiting + len(texts) > self._most and self.waiting:
            raise Overloaded(self.delay())
        split: tuple[list[_Item], list[_Item]] = ([], [])
        due, room = work.since, lane.room()
        for position, text in enumerate(texts):
            size = _size(text)
            due += lane.seconds(size)
            split[size > room].append(_Item(due, number, work, position, text, size))
        for queue, items in zip(self._queues, split, strict=True):
            if items:
                queue.put(lane, items)
        return work

    def cancel(self, work: Work, /) -> None:
        """Take the texts of a request that are not in a batch yet out of the queue."""
        work.future.cancel()
        for queue in self._queues:
            queue.drop(work)

    def delay(self) -> float:
        """Estimate the seconds until what is waiting now is done."""
        return sum(queue.delay() for queue in self._queues)

    def close(self) -> None:
        """Stop; waiting texts fail."""
        for queue in self._queues:
            queue.stop()
        for queue in self._queues:
            queue.join()

    def _compute(self, lane: Lane, items: list[_Item]) -> None:
        start = time.perf_counter()
        try:
            records = [Record(str(number), item.text) for number, item in enumerate(items)]
            outcomes = apply_isolating(lane.apply, records)
        except BaseException as error:  # raised where it is awaited; the thread must live on
            for item in items:
                item.work.fail(error)
            return
        seconds = time.perf_counter() - start
        lane.measured(sum(item.size for item in items), seconds)
        self._seen(lane.name, len(items), seconds)
        for item, outcome in zip(items, outcomes, strict=True):
            item.work.finish(item.position, outcome.result if isinstance(outcome, Done) else outcome.error)


class _Queue:
    """The texts of all lanes that wait for one thread, and the thread."""

    def __init__(self, wait: float, compute: Callable[[Lane, list[_Item]], None]) -> None:
        self.waiting = 0
        self._wait, self._compute = wait, compute
        self._lanes: dict[Lane, list[_Item]] = {}
        self._changed = threading.Condition()
        self._ending = False
        self._ended_at = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True, name="jnlp-batches")
        self._thread.start()

    def put(self, lane: Lane, items: list[_Item]) -> None:
        with self._changed:
            if self._ending:
                raise JnlpError("the service is stopping")
            heap = self._lanes.setdefault(lane, [])
            for item in items:
                heapq.heappush(heap, item)
            self.waiting += len(items)
            self._changed.notify()

    def drop(self, work: Work) -> None:
        with self._changed:
            heap = self._lanes.get(work.lane)
            if heap is None:
                return
            kept = [item for item in heap if item.work is not work]
            self.waiting -= len(heap) - len(kept)
            heapq.heapify(kept)
            if kept:
                self._lanes[work.lane] = kept
            else:
                del self._lanes[work.lane]

    def delay(self) -> float:
        with self._changed:
            return sum(lane.seconds(sum(item.size for item in heap)) for lane, heap in self._lanes.items())

    def stop(self) -> None:
        with self._changed:
            self._ending = True
            heaps, self._lanes, self.waiting = list(self._lanes.values()), {}, 0
            self._changed.notify()
        for item in (item for heap in heaps for item in heap):
            item.work.fail(JnlpError("the service is stopping"))

    def join(self) -> None:
        self._thread.join(10)

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            if taken[1]:
                self._compute(*taken)
            self._ended_at = time.monotonic()
            del taken  # a thread that waits holds no texts

    def _take(self) -> tuple[Lane, list[_Item]] | None:
        """Wait for texts and return those of the next batch; None at the end."""
        with self._changed:
            while not self._lanes and not self._ending:
                self._changed.wait()
            if self._ending:
                return None
            lane = min(self._lanes, key=lambda lane: self._lanes[lane][0])
            room, busy = lane.room(), time.monotonic() - self._ended_at < BUSY
            if busy and self._wait and sum(item.size for item in self._lanes[lane]) < room // 2:
                self._changed.wait_for(lambda: self._ending, self._wait)
                if self._is_ending():
                    return None
            return lane, self._pop(lane, room) if lane in self._lanes else []

    def _is_ending(self) -> bool:
        return self._ending  # another thread may have changed it while this one waited

    def _pop(self, lane: Lane, room: int) -> list[_Item]:
        heap = self._lanes[lane]
        taken: list[_Item] = []
        while heap and (not taken or heap[0].size <= room):
            item = heapq.heappop(heap)
            self.waiting -= 1
            if not item.work.future.done():
                taken.append(item)
                room -= item.size
        if not heap:
            del self._lanes[lane]
        return taken


def _size(text: Text) -> int:
    """Return the characters of a text or pair, and something for its special tokens."""
    return 4 + (len(text) if isinstance(text, str) else sum(map(len, text)))
