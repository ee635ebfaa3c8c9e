"""Stopping without loss: after Ctrl-C or SIGTERM, the run ends with the current step."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Stopped(Exception):  # noqa: N818 - not an error: the run was asked to stop and has saved itself
    """The run was interrupted and is saved in its checkpoint.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int = signal.SIGINT, /) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = int(number)


@contextmanager
def stop_signals() -> Iterator[Callable[[], int]]:
    """Yield a function that returns the number of a received SIGINT or SIGTERM, or 0. Only in the main thread."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda received, _: asked.append(received))
    try:
        yield lambda: asked[0] if asked else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
