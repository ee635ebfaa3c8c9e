"""The connection to a Ray cluster, and how many workers it has room for."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from jnlp.types import Settings

MOST_CPUS = 8
"""Cores of one worker on a CPU, at most, unless `--threads` gives another number."""

PATIENCE = 10.0
"""Seconds to wait for a cluster to answer."""

_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Ray's reports to its makers are off, and a warning about GPUs, unless the user has set these variables."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that this process is connected to.

    Args:
        gpus: Whether a worker has a GPU; else it has cores.
        cpus: The cores of a worker.
        limit: The number of workers that was asked for, or None: as many as there is room for.
    """

    gpus: bool
    cpus: int
    limit: int | None

    def room(self) -> int:
        """Return the number of workers to run: those asked for, else all that the nodes have room for, at least one.

        Example:
            >>> Cluster(gpus=False, cpus=4, limit=3).room()
            3
        """
        return self.limit if self.limit is not None else max(1, self.places())

    def places(self, without: Collection[str] = ()) -> int:
        """Return the number of workers that the nodes have room for.

        Args:
            without: The ids of nodes that are not counted.

        Example:
            >>> Cluster(gpus=False, cpus=4, limit=3).places()  # doctest: +SKIP
            16
        """
        kind, share = ("GPU", 1) if self.gpus else ("CPU", self.cpus)
        return sum(int(node.get(kind, 0) // share) for node in nodes(without))

    def needs(self) -> dict[str, float]:
        """Return the resources of one worker, as Ray's options name them.

        Example:
            >>> Cluster(gpus=True, cpus=4, limit=None).needs()
            {'num_gpus': 1, 'num_cpus': 1}
        """
        return {"num_gpus": 1, "num_cpus": 1} if self.gpus else {"num_cpus": self.cpus}


def ray_module() -> Any:
    """Return Ray.

    Raises:
        MissingExtraError: It is not installed.

    Example:
        >>> ray_module().__name__  # doctest: +SKIP
        'ray'
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "--executor ray") from error
    return ray


def nodes(without: Collection[str] = ()) -> list[dict[str, float]]:
    """Return the resources of each node that is alive.

    Args:
        without: The ids of nodes to leave out.

    Example:
        >>> nodes()[0]["CPU"]  # doctest: +SKIP
        16.0
    """
    return [node["Resources"] for node in ray_module().nodes() if node["Alive"] and node["NodeID"] not in without]


def first_line(error: BaseException, /) -> str:
    """Return the first line of what Ray says of an error; logs and traces follow it.

    Example:
        >>> first_line(RuntimeError("The actor died."))
        'The actor died'
    """
    return str(error).strip().partition("\n")[0].rstrip(".:")


@contextmanager
def connected(settings: Settings, /) -> Iterator[Cluster]:
    """Connect to the cluster of the settings for the time of a block; a connection that is there already stays.

    Args:
        settings: The address, the device, the threads of a worker, and the number of workers.

    Raises:
        MissingExtraError: Ray is not installed.
        JnlpError: No cluster answers, or it has none of what the device asks for.

    Example:
        >>> with connected(jnlp.Settings(threads=2)) as cluster:  # doctest: +SKIP
        ...     cluster.cpus
        2
    """
    ray = ray_module()
    ours = not ray.is_initialized()
    if not ours:
        yield _shape(settings)
        return
    with _daemons_are_silent():
        _connect(ray, settings.ray_address)
        try:
            yield _shape(settings)
        finally:
            ray.shutdown()


@contextmanager
def _daemons_are_silent() -> Iterator[None]:
    """Keep the messages of Ray's daemons (a node is dead, many workers start) off standard output: results go there."""
    from ray._private import worker

    before = getattr(worker, "print_to_stdstream", None)  # Ray has no switch for it
    if before is not None:
        worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        if before is not None:
            worker.print_to_stdstream = before


def _connect(ray: Any, address: str | None) -> None:
    where = address or os.environ.get("RAY_ADDRESS") or "this machine"
    try:
        _knock(where)
    except OSError as error:
        raise _unusable(where, (error.strerror or str(error)).lower()) from error
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    except Exception as error:
        with suppress(Exception):
            ray.shutdown()
        known = ConnectionError | RuntimeError | ValueError | OSError | ray.exceptions.RayError
        if not isinstance(error, known) and type(error) is not Exception:  # daemons that do not start raise the latter
            raise
        raise _unusable(where, first_line(error)) from error
    finally:
        if main and before is not None:
            signal.signal(signal.SIGTERM, before)  # Ray's own would end the process without a word on the output


def _knock(address: str) -> None:
    """Connect to an address and close at once: Ray itself would try for ten minutes where there is no cluster.

    Raises:
        OSError: Nothing answers there.
    """
    host, _, port = address.partition("://")[2].rpartition(":") if "://" in address else address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()


def _unusable(where: str, reason: str) -> JnlpError:
    return JnlpError(
        f"no Ray cluster can be used at {where}: {reason}",
        hint="ray start --head starts one; --ray-address HOST:6379 names it",
    )


def _shape(settings: Settings) -> Cluster:
    limit = settings.workers if settings.workers > 1 else None
    there = nodes()
    gpus = settings.device != "cpu" and any(node.get("GPU", 0) >= 1 for node in there)
    if settings.device not in ("auto", "cpu") and not gpus:
        raise JnlpError(f"no node of the Ray cluster has a GPU for --device {settings.device}", hint="--device cpu")
    smallest = min((int(node["CPU"]) for node in there if node.get("CPU", 0) >= 1), default=1)
    return Cluster(gpus, settings.threads or min(smallest, MOST_CPUS), limit)
