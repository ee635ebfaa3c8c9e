"""Calls as Ray tasks: each is run once, again if its worker or node is lost, and its result comes when it is done."""

from __future__ import annotations

import pickle
import uuid
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp_ray.cluster import connected, first_line, ray_module
from jnlp_ray.disks import HINT, is_full
from jnlp_ray.pool import TICK, surroundings
from jnlp_ray.worker import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from jnlp.types import Settings

RETRIES = 3
"""How often Ray runs a call again whose worker or node was lost."""

_made: tuple[str, Callable[[Any], Any]] | None = None
"""In a worker: the function that it made last, for the calls that follow."""


def run_calls(
    settings: Settings, make: str, given: tuple[Any, ...], items: Sequence[Any], /
) -> Iterator[tuple[Any, Any]]:
    """Yield each item with its result, as they finish; see `jnlp.types.tasks.CallExecutor`.

    Args:
        settings: The cluster, the device, the threads of a call; `workers` over 1 limits the calls at the same time.
        make: `"package.module:function"`: makes the function, once in each worker.
        given: Its arguments.
        items: What to call the function with.

    Raises:
        MissingExtraError: Ray is not installed.
        JnlpError: No cluster answers, workers end again and again, no node has space on its disk, or a call failed so.

    Example:
        >>> sorted(run_calls(jnlp.Settings(), "functools:partial", (abs,), [-1, 2]))  # doctest: +SKIP
        [(-1, 1), (2, 2)]
    """
    with connected(settings) as cluster:
        ray = ray_module()
        task, needs = ray.remote(call), {**cluster.needs(), "max_retries": RETRIES, "scheduling_strategy": "SPREAD"}
        key, shared, around = uuid.uuid4().hex, ray.put(pickle.dumps((make, given))), surroundings()
        waiting: deque[Any] = deque(items)
        running: dict[Any, Any] = {}
        full: set[str] = set()  # nodes
        try:
            while waiting or running:
                while waiting and len(running) < cluster.room():
                    item, where = waiting.popleft(), task.options(**needs, **_outside(full))
                    running[where.remote(key, shared, item, cluster.cpus, around)] = item
                finished, _ = ray.wait(list(running), num_returns=1, timeout=TICK)  # the cluster may have grown
                for ref in finished:
                    item = running.pop(ref)
                    ok, value, node = _result(ray, ref)
                    if ok:
                        yield item, value
                    elif is_full(value):
                        full.add(node)
                        if not cluster.places(without=full):
                            raise JnlpError(
                                f"no node of the Ray cluster has space on its disk: {first_line(value)}", hint=HINT
                            ) from value
                        waiting.appendleft(item)
                    else:
                        raise value
        finally:
            for ref in running:
                with suppress(Exception):  # it may have ended, and the cluster too
                    ray.cancel(ref, force=True)


def call(
    key: str,
    shared: bytes,
    item: Any,
    threads: int,
    around: tuple[str, Sequence[str], Mapping[str, str]],
    /,
) -> tuple[bool, Any, str]:
    """In a worker: return whether a call succeeded, its result or exception, and the id of the node.

    Args:
        key: Of the function: equal keys mean equal functions.
        shared: The pickle of what makes the function, and its arguments.
        item: What to call it with.
        threads: The threads of the libraries.
        around: What `settle` takes.

    Example:
        >>> call("1", pickle.dumps(("functools:partial", (abs,))), -1, 1, (".", [], {}))  # doctest: +SKIP
        (True, 1, '5f…')
    """
    global _made
    settle(*around)
    from jnlp.encoder.threads import use_threads
    from jnlp.executors.answers import portable
    from jnlp.registry import import_target

    node = ray_module().get_runtime_context().get_node_id()
    try:
        use_threads(threads)
        if _made is None or _made[0] != key:
            make, given = pickle.loads(shared)
            _made = key, import_target(make)(*given)
        return True, _made[1](item), node
    except BaseException as error:  # raised where the results are taken
        return False, portable(error), node


def _outside(nodes: set[str]) -> dict[str, Any]:
    """Return the options of a task that is to run on none of these nodes."""
    return {"label_selector": {"ray.io/node-id": f"!in({', '.join(sorted(nodes))})"}} if nodes else {}


def _result(ray: Any, ref: Any) -> tuple[bool, Any, str]:
    """Return what `call` returned."""
    try:
        made: tuple[bool, Any, str] = ray.get(ref)
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError as error:
        raise JnlpError(
            f"workers of the Ray cluster ended {RETRIES + 1} times with one call: {first_line(error)}",
            hint="they may be short of memory: more --threads means fewer at once; see the logs of Ray",
        ) from error
    return made
