"""Replicas of a service by Ray Serve: as many as there is work for; what a lost one was asked is asked again."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import re
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError, MissingExtraError
from jnlp.strict_json import dumps
from jnlp_ray.cluster import connected, first_line, ray_module
from jnlp_ray.pool import settings_there, surroundings
from jnlp_ray.worker import settle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jnlp.types import Settings
    from jnlp_ray.cluster import Cluster

TRIES = 4
"""How many replicas may end with an item before it has failed."""

BUSY = 8
"""There are more replicas when each has more than an eighth of the items that it may have at once."""

UP, DOWN = 3.0, 300.0
"""Seconds that replicas must be busy before there are more, and idle before there are fewer."""

LOOK = 1.0
"""Seconds between two reports of a replica on its work."""

GRACE = 30.0
"""Seconds for running items when there are to be fewer replicas."""

CONSTRUCTIONS = 3
"""Starts that may fail, with none that succeeds between, before the service has failed."""

LEASE = 5.0
"""Seconds between two looks of a replica at the process that wants it."""

QUIET = {"log_level": "WARNING", "enable_access_log": False}
"""What Ray Serve writes into its own logs."""

_MARK = "this replica cannot start: "


@contextmanager
def replicas(
    settings: Settings, make: str, given: tuple[Any, ...], /, *, least: int, at_once: int
) -> Iterator[RayReplicas]:
    """Connect to a cluster for the time of a block, with replicas that have not been started.

    Args:
        settings: The cluster, the device, the threads of a replica; `workers` over 1: how many at most, else as many as
            there is room for.
        make: `"package.module:function"`.
        given: Its arguments after the settings.
        least: How many there are without work.
        at_once: Items that one answers at the same time, at most.

    Raises:
        MissingExtraError: Ray or its part for serving is not installed.
        JnlpError: No cluster answers.

    Example:
        >>> with replicas(jnlp.Settings(), "my_module:make", (), least=1, at_once=8) as found:  # doctest: +SKIP
        ...     found.start()
    """
    serve_module()
    with connected(settings) as cluster:
        arguments = pickle.dumps((make, (settings_there(settings, cluster), *given)))
        made = RayReplicas(cluster, arguments, least=least, at_once=at_once)
        try:
            yield made
        finally:
            made.close()


class RayReplicas:
    """Replicas on a cluster; see `jnlp.types.tasks.Replicas`.

    Args:
        cluster: Where they run.
        made: The pickle of what makes the function, and of its arguments.
        least: How many there are without work.
        at_once: Items that one answers at the same time, at most.
    """

    def __init__(self, cluster: Cluster, made: bytes, /, *, least: int, at_once: int) -> None:
        self.most = max(least, cluster.room())
        self._cluster, self._made, self._least, self._at_once = cluster, made, least, at_once
        self._name = f"jnlp-{uuid.uuid4().hex[:8]}"
        self._over, self._starting = False, threading.Lock()
        self._lease: Any = None
        self._handle: Any = None

    def start(self) -> None:
        """Return when the least number of replicas is ready.

        Raises:
            JnlpError: A replica cannot start: its own error.

        Example:
            >>> replicas.start()  # doctest: +SKIP
        """
        with self._starting:
            if not self._over:
                self._start()

    def _start(self) -> None:
        serve, ray = serve_module(), ray_module()
        logging.getLogger("ray.serve").setLevel(logging.ERROR)  # a lost replica is no news for the terminal
        try:
            serve.start(proxy_location="Disabled", logging_config=QUIET)
            target = serve.RunTarget(self._application(), name=self._name, route_prefix=None)
            (self._handle,) = serve.run_many([target], wait_for_applications_running=False)
            while not self._over and not self._is_running():
                time.sleep(0.1)
        except (RuntimeError, ray.exceptions.RayError, serve.exceptions.RayServeException) as error:
            if not self._over:
                raise _failed(str(error)) from error

    def _is_running(self) -> bool:
        """Return whether the least number of replicas is ready.

        Raises:
            JnlpError: A replica cannot start.
        """
        found = serve_module().status().applications.get(self._name)
        if found is None:
            return False
        if found.status == "DEPLOY_FAILED":
            raise _failed("\n".join(one.message for one in found.deployments.values()) or found.message)
        return bool(found.status == "RUNNING")

    def _application(self) -> Any:
        serve, ray = serve_module(), ray_module()
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        self._lease = ray.remote(Lease).options(num_cpus=0, max_restarts=-1, scheduling_strategy=here).remote()
        deployment = serve.deployment(Replica).options(
            name="replica",
            ray_actor_options=self._cluster.needs(),
            max_ongoing_requests=self._at_once,
            max_constructor_retry_count=CONSTRUCTIONS,
            graceful_shutdown_timeout_s=GRACE,
            health_check_period_s=LEASE,
            logging_config=QUIET,
            autoscaling_config={
                "min_replicas": self._least,
                "initial_replicas": self._least,
                "max_replicas": self.most,
                "target_ongoing_requests": max(1, self._at_once // BUSY),
                "metrics_interval_s": LOOK,
                "look_back_period_s": UP,
                "upscale_delay_s": UP,
                "downscale_delay_s": DOWN,
            },
        )
        return deployment.bind(self._name, self._lease, self._made, self._cluster.cpus, *surroundings())

    async def ask(self, item: Any, /) -> Any:
        """Return a replica's answer to an item; if the replica is lost, another is asked.

        Args:
            item: What `make`'s function is called with.

        Raises:
            JnlpError: Several replicas ended with it, or there are none any more.

        Example:
            >>> await replicas.ask("猫")  # doctest: +SKIP
            'にゃあ'
        """
        ray, serve = ray_module(), serve_module()
        for _ in range(TRIES):
            response = self._handle.remote(item)
            try:
                return await response
            except asyncio.CancelledError:
                response.cancel()
                raise
            except ray.exceptions.RayTaskError:
                raise
            except ray.exceptions.RayError:  # the replica has ended, or its node with the answer
                continue
            except serve.exceptions.RayServeException as error:
                raise JnlpError(f"no replica answers: {first_line(error)}") from error
        raise JnlpError(
            f"{TRIES} replicas ended with this request", hint="they may be short of memory; see the logs of Ray"
        )

    async def ask_all(self, item: Any, /) -> dict[str, Any]:
        """Return the answer of each replica that runs, by its name.

        Args:
            item: What `make`'s function is called with.

        Example:
            >>> await replicas.ask_all("猫")  # doctest: +SKIP
            {'4tqoqx3h': 'にゃあ'}
        """
        found = await self._handle.broadcast("named", item).results_async()
        return dict(one for one in found if not isinstance(one, BaseException))

    def close(self) -> None:
        """End the replicas; a `start` that waits in another thread returns.

        Example:
            >>> replicas.close()  # doctest: +SKIP
        """
        self._over = True
        serve = serve_module()
        with self._starting, suppress(Exception):  # the cluster may have ended
            serve.delete(self._name)
            left = serve.status()
            if not left.applications and not left.proxies:
                serve.shutdown()


class Lease:
    """An actor that ends with the process that started it."""

    def held(self) -> bool:
        """Return True.

        Example:
            >>> Lease().held()
            True
        """
        return True


class Replica:
    """What a replica runs; its methods are called over the network.

    Args:
        application: The name of the application.
        lease: Ends with the process that wants replicas: then they end too.
        made: The pickle of what makes the function, and of its arguments.
        threads: The threads of the libraries.
        around: What `settle` takes.

    Example:
        >>> replica = Replica("x", None, pickle.dumps(("my_module:make", ())), 1, ".", [], {})  # doctest: +SKIP
        >>> asyncio.run(replica("猫"))  # doctest: +SKIP
        'にゃあ'
    """

    def __init__(self, application: str, lease: Any, made: bytes, threads: int, *around: Any) -> None:
        settle(*around)
        from jnlp.encoder.threads import use_threads
        from jnlp.registry import import_target

        try:
            use_threads(threads)
            make, given = pickle.loads(made)
            self._function = import_target(make)(*given)
        except JnlpError as error:
            raise RuntimeError(_MARK + dumps([error.message, error.hint])) from error
        if lease is not None:
            threading.Thread(target=_end_with, args=(lease, application), daemon=True, name="jnlp-lease").start()

    async def __call__(self, item: Any) -> Any:
        """Return the function's answer."""
        return await self._function(item)

    async def named(self, item: Any) -> tuple[str, Any]:
        """Return the name of this replica, and the function's answer.

        Args:
            item: What the function is called with.

        Example:
            >>> await replica.named("猫")  # doctest: +SKIP
            ('4tqoqx3h', 'にゃあ')
        """
        return str(serve_module().get_replica_context().replica_tag), await self._function(item)


def serve_module() -> Any:
    """Return Ray Serve.

    Raises:
        MissingExtraError: Ray is not installed, or without the part for serving.

    Example:
        >>> serve_module().__name__  # doctest: +SKIP
        'ray.serve'
    """
    ray_module()
    try:
        from ray import serve
    except ImportError as error:
        raise MissingExtraError("ray", "jnlp serve --executor ray") from error
    return serve


def _end_with(lease: Any, application: str) -> None:
    """Delete the application when the process that started it has ended."""
    ray, serve = ray_module(), serve_module()
    while True:
        time.sleep(LEASE)
        try:
            ray.get(lease.held.remote(), timeout=10 * LEASE)
        except ray.exceptions.ActorDiedError:
            with suppress(Exception):  # another replica has done it
                serve.delete(application, _blocking=False)
        except Exception:  # it is busy, or the head is: look again
            continue


def _failed(reason: str) -> JnlpError:
    """Return the error of a service whose replicas do not start."""
    found: Sequence[str] = re.findall(re.escape(_MARK) + r"(\[.*\])", reason)
    if found:
        message, hint = json.loads(found[-1])
        return JnlpError(message, hint=hint)
    return JnlpError(f"the replicas cannot be started: {_last_line(reason)}", hint="see the logs of Ray")


def _last_line(text: str) -> str:
    return ([line for line in text.strip().splitlines() if line.strip()] or ["unknown"])[-1].strip().rstrip(".:")
