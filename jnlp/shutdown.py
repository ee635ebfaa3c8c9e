"""Stops background threads before the interpreter exits, and waits for them.

If a daemon thread returns from native code after the interpreter has shut down, it is killed immediately, and the C++
runtime aborts the process.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import Protocol


class Stoppable(Protocol):
    """An object that owns background threads."""

    def stop(self) -> None:
        """Accept no more work, and return at once."""
        ...

    def join(self) -> None:
        """Wait until the threads have finished."""
        ...


class _Registered:
    """The objects to stop at exit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: weakref.WeakSet[Stoppable] = weakref.WeakSet()
        self._exiting = False

    def add(self, part: Stoppable) -> None:
        with self._lock:
            self._parts.add(part)
            late = self._exiting
        if late:
            part.stop()

    def end(self) -> None:
        """Stop all parts, then join them; parts registered meanwhile are stopped at once, and joined too."""
        with self._lock:
            self._exiting = True
            parts = list(self._parts)
        for part in parts:
            part.stop()
        joined: list[Stoppable] = []
        while parts:
            for part in parts:
                part.join()
            joined += parts
            with self._lock:
                parts = [part for part in self._parts if part not in joined]


_registered = _Registered()


def stop_at_exit(part: Stoppable, /) -> None:
    """Stop and join `part` before the interpreter exits; all parts are stopped before any is joined."""
    _registered.add(part)


def _forget() -> None:
    """A forked child has none of its parent's threads."""
    global _registered
    _registered = _Registered()


atexit.register(lambda: _registered.end())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
