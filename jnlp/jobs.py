"""A job in a process of its own: what an executor's worker calls."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from jnlp import options as option_values
from jnlp.engine import Engine, load
from jnlp.registry import import_target
from jnlp.types import Job

if TYPE_CHECKING:
    from jnlp.types import Apply


def prepare(job: Job | str, /) -> Apply[Any]:
    """Return the function of a job. An executor's worker calls this in its own process.

    Args:
        job: The job, or what its `to_json` returned.

    Example:
        >>> apply = jnlp.prepare(nlp.job("fill-mask", top=1).to_json())
        >>> apply(["昨日は友達と映画を<mask>に行きました。"])[0].fills[0].tokens
        ('見',)
    """
    if isinstance(job, str):
        engine, job = rebuild(job)
    else:
        engine = load(**dataclasses.asdict(job.settings))
    return engine.prepare(job)


def rebuild(text: str, /) -> tuple[Engine, Job]:
    """Return the job that `Job.to_json` wrote, and an engine with its settings."""
    values = json.loads(text)
    engine = load(**values["settings"])
    name = values["task"]
    spec = import_target(name) if ":" in name else engine.task(name)
    made = option_values.build(spec.options, values["options"], where=spec.name)
    return engine, Job(spec, made, engine.settings, values["model"])
