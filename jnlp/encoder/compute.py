"""The one thread on which a process computes on its CPU.

OpenMP keeps a team of threads for each calling thread, and a finished team busy-waits for a few milliseconds. If two
threads computed, their teams would take the cores from each other.
"""

from __future__ import annotations

import os
import queue
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from jnlp.errors import JnlpError
from jnlp.shutdown import stop_at_exit

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_start = threading.Lock()
_running: _Thread | None = None


def compute(work: Callable[[], T], /) -> T:
    """Run `work` on the compute thread, after queued work of others, and return its result.

    Raises:
        JnlpError: The interpreter is shutting down.
    """
    job = _Job(work)
    _thread().submit(job)
    job.done.wait()
    try:
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result
    finally:
        del job  # an error holds this frame, and with the job itself, and all the tensors of its batch


class _Job:
    """Work and its result."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None


class _Thread:
    """The thread and its jobs; a daemon, so that Ctrl-C need not wait for a forward pass."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._ending = False
        self._thread = threading.Thread(target=self._work, daemon=True, name="jnlp-compute")
        self._thread.start()
        stop_at_exit(self)

    def submit(self, job: _Job, /) -> None:
        """Queue a job; raise a `JnlpError` if the interpreter is shutting down."""
        with self._lock:
            if self._ending:
                raise _shutting_down()
            self._jobs.put(job)

    def stop(self) -> None:
        """Accept no more jobs; queued ones fail."""
        with self._lock:
            self._ending = True
            self._jobs.put(None)

    def join(self) -> None:
        """Wait for the running job."""
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                if self._ending:
                    raise _shutting_down()
                job.result = job.work()
            except BaseException as error:  # raised where it was asked for
                job.error = error
            job.done.set()
            del job  # a thread that waits holds no batch


def _shutting_down() -> JnlpError:
    return JnlpError("the interpreter is shutting down")  # no RecordError, so chunks are not halved and retried


def _thread() -> _Thread:
    global _running
    with _start:
        if _running is None:
            _running = _Thread()
        return _running


def _forget() -> None:
    """Reset in a forked child, which has none of its parent's threads."""
    global _running, _start
    _running, _start = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
