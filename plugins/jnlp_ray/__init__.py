"""Runs tasks on a Ray cluster: actors hold the model, this process reads, keeps the order and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.hookspecs import hookimpl

if TYPE_CHECKING:
    from jnlp.hookspecs import Register

jnlp_api = 1


@hookimpl
def register_executors(register: Register) -> None:
    """Register `--executor ray`."""
    register("ray", "jnlp_ray.executor:RayExecutor", summary="Actors of a Ray cluster, on one machine or many.")
