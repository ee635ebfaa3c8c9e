"""The one thread on which a process computes on its CPU.

OpenMP keeps a team of threads for each thread that asks it to compute, and a team that has just finished waits busily
for a few milliseconds: were each of two callers to compute by itself, their teams would take the cores from each other.
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_start = threading.Lock()
_running: _Thread | None = None


def compute(work: Callable[[], T], /) -> T:
    """Run `work` on the compute thread, after what others have asked of it, and return what it returns.

    It computes on as many threads as torch would here (`torch.get_num_threads()`).

    Raises:
        RuntimeError: The interpreter is at its end.
    """
    job = _Job(work, torch.get_num_threads())
    _thread().jobs.put(job)
    job.done.wait()
    try:
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result
    finally:
        del job  # an error holds this frame, and with the job itself, and all the tensors of its batch


class _Job:
    """Work, and what came of it."""

    def __init__(self, work: Callable[[], Any], threads: int) -> None:
        self.work = work
        self.threads = threads
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None


class _Thread:
    """The thread and its jobs; a daemon, so that Ctrl-C need not wait for a forward pass."""

    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._ending = False
        self._thread = threading.Thread(target=self._work, daemon=True, name="jnlp-compute")
        self._thread.start()

    def end(self) -> None:
        """Take on nothing more, and wait for the job at work: torch must not run on while the interpreter goes."""
        self._ending = True
        self.jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self.jobs.get()) is not None:
            try:
                if self._ending:
                    raise RuntimeError("the interpreter is at its end")
                if torch.get_num_threads() != job.threads:  # what another thread told torch does not reach this one
                    torch.set_num_threads(job.threads)
                job.result = job.work()
            except BaseException as error:  # raised where it was asked for
                job.error = error
            job.done.set()
            del job  # a thread that waits holds no batch


def _thread() -> _Thread:
    global _running
    with _start:
        if _running is None:
            _running = _Thread()
        return _running


def _end() -> None:
    """Wait for the job at work, which a stream that was left early may have begun."""
    with _start:
        if _running is not None:
            _running.end()


def _forget() -> None:
    """A forked child has none of its parent's threads."""
    global _running, _start
    _running, _start = None, threading.Lock()


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
