"""What a service serves: the command's options, checked, in a form that worker processes can read."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.engine import LOCAL, PROCESSES
from jnlp.errors import UsageError
from jnlp.executors.resident import RESIDENT
from jnlp.executors.services import place_of
from jnlp.options import build
from jnlp.types import Settings
from jnlp.types.options import to_json
from jnlp.types.tasks import ReplicaExecutor
from jnlp_serve.options import ServeOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.engine import Engine


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """What is served.

    Args:
        options: Where and for whom.
        settings: The engine's.
        indexes: Folders by name.
        models: Models by task.
        shared: The folder of the weights that worker processes share.
    """

    options: ServeOptions
    settings: Settings
    indexes: dict[str, str]
    models: dict[str, str]
    shared: str | None = None

    def to_json(self) -> str:
        """Return the job as JSON."""
        return to_json({field.name: getattr(self, field.name) for field in dataclasses.fields(self)})

    def behind(self) -> Job:
        """Return the job of a process that is asked by the front alone, which checks token, host and origin."""
        return dataclasses.replace(
            self, options=dataclasses.replace(self.options, host="0.0.0.0", token=None, allow_anyone=True)
        )

    @classmethod
    def from_json(cls, text: str, /) -> Job:
        """Return the job that `to_json` wrote."""
        values = json.loads(text)
        options = build(ServeOptions, values.pop("options"), where="serve")
        return cls(options, build(Settings, values.pop("settings"), where="settings"), **values)


def is_here(settings: Settings, /) -> bool:
    """Return whether this process serves itself, alone or with workers; else replicas of an executor do.

    Example:
        >>> is_here(jnlp.Settings(executor="ray"))
        False
    """
    return settings.executor in (LOCAL, PROCESSES, RESIDENT)


def replica_executor(engine: Engine, /) -> ReplicaExecutor:
    """Return the executor of an engine, which holds the replicas.

    Raises:
        UsageError: There is none of that name, or it holds no replicas.
    """
    executor = engine.executor()
    if not isinstance(executor, ReplicaExecutor):
        raise UsageError(
            f"--executor {engine.settings.executor} serves nothing", hint="--workers N starts N processes here"
        )
    return executor


def named_indexes(given: Sequence[str], /) -> dict[str, str]:
    """Return index folders by name, from `NAME=DIR` or `DIR` (its name without the extension).

    Raises:
        UsageError: Two indexes have one name, or a folder is not an index.

    Example:
        >>> named_indexes(["faq=faq.idx"])
        Traceback (most recent call last):
        jnlp.errors.UsageError: there is no index at faq.idx ...
    """
    found: dict[str, str] = {}
    for value in given:
        name, sign, folder = value.partition("=")
        if not sign or Path(value).is_dir():
            name, folder = Path(value).resolve().stem, value
        if not any((Path(folder) / file).is_file() for file in ("catalog.sqlite", "shards.json")):
            raise UsageError(f"there is no index at {folder}", hint=f"jnlp index PATH… --index {folder}")
        if name in found:
            raise UsageError(f"two indexes are called '{name}'", hint="--index NAME=DIR gives each a name")
        found[name] = str(Path(folder).resolve())
    return found


def task_models(given: Sequence[str], /) -> dict[str, str]:
    """Return models by task, from `TASK=MODEL` or `MODEL` (that of embeddings).

    Example:
        >>> task_models(["tiny-search", "toxicity=tiny-toxicity"])
        {'embed': 'tiny-search', 'toxicity': 'tiny-toxicity'}
    """
    found: dict[str, str] = {}
    for value in given:
        task, sign, model = value.partition("=")
        if not sign or Path(value).is_dir():
            task, model = "embed", value
        if task in found:
            raise UsageError(f"two models are given for '{task}'", hint="--model TASK=MODEL, once for each task")
        found[task] = str(place_of(model))
    return found
