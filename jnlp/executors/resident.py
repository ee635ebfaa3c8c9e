"""The resident executor: a running `jnlp serve` does the job; without one, this process does it."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

from jnlp.executors import services
from jnlp.executors.local import LocalExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from jnlp.types import Apply, Failed, Job, Outcome, Record

RESIDENT = "resident"
"""The executor's name."""


class ResidentExecutor:
    """Has a running service of this user do a job, if it serves the same model with the same settings.

    Args:
        prepare: Makes the job's function where no service does the job, or its service ends meanwhile.
    """

    def __init__(self, prepare: Callable[[Job], Apply[Any]], /) -> None:
        self._prepare = prepare

    def map(self, job: Job, records: Iterable[Record | Failed], /) -> Iterator[Outcome[Any]]:
        """Yield one outcome per record, in order; see `LocalExecutor.map`."""
        there = services.served(job)
        if there is None:
            yield from LocalExecutor(self._prepare).map(job, records)
            return
        with there:
            yield from LocalExecutor(lambda job: _Either(there, lambda: self._prepare(job))).map(job, records)


class _Either:
    """Calls a service until it can no longer answer, then a function of this process.

    Args:
        there: The service.
        make: Makes the function.
    """

    def __init__(self, there: services.Served, make: Callable[[], Apply[Any]], /) -> None:
        self._there: services.Served | None = there
        self._make, self._lock = make, Lock()
        self._here: Apply[Any] | None = None

    def __call__(self, texts: Sequence[Any], /) -> Sequence[Any]:
        there = self._there
        if there is not None:
            try:
                return there(texts)
            except (services.NotServedError, OSError, EOFError):
                self._there = None
        with self._lock:
            if self._here is None:
                self._here = self._make()
        return self._here(texts)
