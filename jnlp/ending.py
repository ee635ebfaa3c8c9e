"""The end of the interpreter: threads that may stand in native code are told to stop, and waited for.

A daemon thread that comes back from native code to an interpreter that is gone is ended on the spot, which C++ answers
by ending the process.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import Protocol


class Ending(Protocol):
    """What has threads of its own."""

    def stop(self) -> None:
        """Take on nothing more, and return at once."""
        ...

    def join(self) -> None:
        """Wait for what is at work."""
        ...


class _Alive:
    """What must have ended before the interpreter does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: weakref.WeakSet[Ending] = weakref.WeakSet()
        self._ending = False

    def add(self, part: Ending) -> None:
        with self._lock:
            self._parts.add(part)
            late = self._ending
        if late:
            part.stop()

    def end(self) -> None:
        """Stop all parts, then join them; those that come meanwhile are stopped as they come, and joined too."""
        with self._lock:
            self._ending = True
            parts = list(self._parts)
        for part in parts:
            part.stop()
        joined: list[Ending] = []
        while parts:
            for part in parts:
                part.join()
            joined += parts
            with self._lock:
                parts = [part for part in self._parts if part not in joined]


_alive = _Alive()


def before_the_end(part: Ending, /) -> None:
    """Have `part` stopped, and then joined, before the interpreter ends: all are stopped before any is joined."""
    _alive.add(part)


def _forget() -> None:
    """A forked child has none of its parent's threads."""
    global _alive
    _alive = _Alive()


atexit.register(lambda: _alive.end())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
