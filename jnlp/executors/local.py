"""The local executor: two chunks in flight on threads of this process."""

from __future__ import annotations

import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from jnlp.executors.chunks import CHUNK_RECORDS, GPU_CHUNK_RECORDS
from jnlp.executors.ordered import Future, apply_isolating, run
from jnlp.shutdown import stop_at_exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from jnlp.types import Apply, Failed, Job, Outcome, Record

IN_FLIGHT = 2
"""Chunks worked on at once: while one is in the forward pass, the other is tokenised."""
PATIENCE = 5.0
"""Seconds that the interpreter waits for chunks at its end; what they ask of the compute thread fails at once then."""


class LocalExecutor:
    """Runs a job on threads of this process.

    Args:
        prepare: Makes the job's function; called once a `map`.
    """

    def __init__(self, prepare: Callable[[Job], Apply[Any]], /) -> None:
        self._prepare = prepare

    def map(self, job: Job, records: Iterable[Record | Failed], /) -> Iterator[Outcome[Any]]:
        """Yield one outcome per record, in order; at most `IN_FLIGHT` + 1 chunks are held.

        Raises:
            JnlpError: The job cannot be prepared, or an error that concerns more than one record; one that `records`
                raises comes after the outcomes of what was read before it.
            Exception: A bug in the task: nothing has succeeded and every record of a chunk failed with it.
        """
        apply = self._prepare(job)
        with Threads(IN_FLIGHT) as threads:
            most = GPU_CHUNK_RECORDS if _on_gpu(job) else CHUNK_RECORDS
            yield from run(
                lambda work: threads.submit(apply, work), records, IN_FLIGHT, most=most, weight=job.task.weight
            )


def _on_gpu(job: Job) -> bool:
    """Whether a job's models, which are loaded when it is prepared, compute on a GPU; loads nothing by itself."""
    torch = sys.modules.get("torch")
    return job.settings.device != "cpu" and torch is not None and torch.cuda.is_available()


class Threads:
    """Daemon threads, so that Ctrl-C need not wait for a forward pass (those of concurrent.futures are joined)."""

    def __init__(self, count: int) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future, Apply[Any], Sequence[Record]] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, daemon=True, name="jnlp-worker") for _ in range(count)]

    def submit(self, apply: Apply[Any], records: Sequence[Record], /) -> Future:
        """Set a thread to work on a chunk."""
        future = Future()
        self._jobs.put((future, apply, records))
        return future

    def stop(self) -> None:
        """End each thread after what it has been given."""
        for _thread in self._threads:
            self._jobs.put(None)

    def join(self) -> None:
        """Wait for the chunks at work, for `PATIENCE` seconds in all."""
        end = time.monotonic() + PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, apply, records = job
            try:
                future.resolve(apply_isolating(apply, records))
            except BaseException as error:  # raised where the outcomes are taken
                future.fail(error)
            del job, future, records  # a thread that waits holds no chunk

    def __enter__(self) -> Threads:
        for thread in self._threads:
            thread.start()
        stop_at_exit(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
