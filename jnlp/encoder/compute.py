"""The one thread on which a process computes on its CPU.

OpenMP keeps a team of threads for each thread that asks it to compute, and a team that has just finished waits busily
for a few milliseconds: were each of two callers to compute by itself, their teams would take the cores from each other.
"""

from __future__ import annotations

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
    """
    job = _Job(work, torch.get_num_threads())
    _thread().jobs.put(job)
    job.done.wait()
    if job.error is not None:
        raise job.error
    result: T = job.result
    return result


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
        self.jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True, name="jnlp-compute").start()

    def _work(self) -> None:
        while True:
            job = self.jobs.get()
            try:
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


def _forget() -> None:
    """A forked child has none of its parent's threads."""
    global _running, _start
    _running, _start = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
