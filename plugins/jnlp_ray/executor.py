"""The executor of a Ray cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp.usage import Usage
from jnlp_ray.cluster import connected
from jnlp_ray.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from jnlp.types import Apply, Failed, Job, Outcome, Record, Settings
    from jnlp.types.tasks import Replicas


class RayExecutor:
    """Runs a job on the actors of a Ray cluster.

    With fewer than eight workers, the input is cut into the chunks of a local run, so the batches are the same and the
    results to the last bit; more workers get more small chunks at first, and smaller ones at the end, so that they end
    together, and results are the same to rounding. A lost worker or node costs the chunks that it had; others do them.

    Args:
        prepare: What makes a job's function: the actors make their own; its `usage`, where it has one, counts what
            they report.

    Example:
        >>> nlp = jnlp.load("tiny", executor="ray", ray_address="head:6379")
        >>> [result.vector.shape for result in nlp.stream("embed", ["猫"])]  # doctest: +SKIP
        [(256,)]
    """

    def __init__(self, prepare: Callable[[Job], Apply[Any]], /) -> None:
        self._usage: Usage = getattr(prepare, "usage", None) or Usage()

    def map(self, job: Job, records: Iterable[Record | Failed], /) -> Iterator[Outcome[Any]]:
        """Yield one outcome per record, in order.

        Args:
            job: What the workers do.
            records: The input.

        Raises:
            JnlpError: As the local executor does; no cluster answers; or workers end again and again.
        """
        with connected(job.settings) as cluster, Pool(job, cluster, self._usage) as pool:
            yield from pool.outcomes(records)

    def calls(
        self, settings: Settings, make: str, given: tuple[Any, ...], items: Sequence[Any], /
    ) -> Iterator[tuple[Any, Any]]:
        """Yield each item with its result, as they finish; see `jnlp_ray.calls.run_calls`.

        Args:
            settings: Where it runs.
            make: What makes the function that is called.
            given: The arguments of `make`.
            items: What to call the function with.
        """
        from jnlp_ray.calls import run_calls

        return run_calls(settings, make, given, items)

    def replicas(
        self, settings: Settings, make: str, given: tuple[Any, ...], /, *, least: int, at_once: int
    ) -> AbstractContextManager[Replicas]:
        """Connect to the cluster, with replicas that have not been started; see `jnlp_ray.replicas.replicas`.

        Args:
            settings: Where they run.
            make: What makes the function that is called.
            given: The arguments of `make` after the settings.
            least: How many there are without work.
            at_once: Items that one answers at the same time, at most.
        """
        from jnlp_ray.replicas import replicas

        return replicas(settings, make, given, least=least, at_once=at_once)
