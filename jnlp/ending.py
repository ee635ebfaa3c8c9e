"""The end of the interpreter: threads that may stand in native code are told to stop, and waited for.

A daemon thread that comes back from native code to an interpreter that is gone is ended on the spot, which C++ answers
by ending the process.
"""

from __future__ import annotations

import atexit
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


_alive: weakref.WeakSet[Ending] = weakref.WeakSet()


def before_the_end(part: Ending, /) -> None:
    """Have `part` stopped, and then joined, before the interpreter ends: all are stopped before any is joined."""
    _alive.add(part)


@atexit.register
def _end() -> None:
    parts = list(_alive)
    for part in parts:
        part.stop()
    for part in parts:
        part.join()
