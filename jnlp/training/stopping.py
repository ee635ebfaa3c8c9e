"""A stop that loses nothing: Ctrl-C and SIGTERM are noted, and the run ends after the step it is in."""

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
    """Give the number of a Ctrl-C or SIGTERM that came, or 0: no step is cut in half. Only the main thread can."""
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
