"""Computes on a thread while its caller goes on with something else."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jnlp.shutdown import stop_at_exit

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Ahead(Generic[T]):
    """The result of a function, computed on a thread of its own from now on.

    Args:
        work: The function.
        after: What is computed before; the two never compute at once.

    Example:
        >>> first = Ahead(lambda: 1 + 1)
        >>> Ahead(lambda: 2 + 2, first).result()
        4
    """

    def __init__(self, work: Callable[[], T], after: Ahead[Any] | None = None, /) -> None:
        self._work, self._after = work, after
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="jnlp-ahead", daemon=True)
        self._thread.start()
        stop_at_exit(self)

    def result(self) -> T:
        """Wait, and return the result or raise what the function raised.

        Example:
            >>> Ahead(lambda: [][0]).result()
            Traceback (most recent call last):
            IndexError: list index out of range
        """
        self._thread.join()
        try:
            if self._error is not None:
                raise self._error
            return self._found[0]
        finally:
            del self  # an error holds this frame, and the frame the error

    @property
    def is_done(self) -> bool:
        """Whether the result is there, or an error.

        Example:
            >>> ahead = Ahead(lambda: 1)
            >>> ahead.join()
            >>> ahead.is_done
            True
        """
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Compute nothing that has not begun.

        Example:
            >>> Ahead(lambda: 1).stop()
        """
        self._stopped = True

    def join(self) -> None:
        """Wait until the thread has ended.

        Example:
            >>> Ahead(lambda: 1).join()
        """
        self._thread.join()

    def _run(self) -> None:
        after, self._after = self._after, None
        if after is not None:
            after.join()
            if after._error is not None or after._stopped:
                self._stopped = True
        try:
            if self._stopped:
                raise RuntimeError("what was to be computed before has failed")
            self._found.append(self._work())
        except BaseException as error:
            self._error = error
        finally:
            del self._work
