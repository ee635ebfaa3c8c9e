"""The journal of a job's progress: a small file next to the part file, replaced atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp.io.durable import replacing
from jnlp.strict_json import dumps

if TYPE_CHECKING:
    from pathlib import Path

Job = Mapping[str, object]
"""The identity of a job, as JSON: task, options, model, inputs."""

_ANEW = "run it without --resume to start again"


@dataclass(frozen=True, slots=True)
class State:
    """The progress of a job.

    Args:
        job: The job.
        records: Number of finished input records, written or rejected.
        position: The end of the output.
        rejects: The file of rejects, or None.
        rejects_bytes: The end of the rejects.
        mark: The caller's mark of the last finished record.
    """

    job: Mapping[str, Any]
    records: int
    position: Mapping[str, Any]
    rejects: str | None = None
    rejects_bytes: int = 0
    mark: str = ""


def save(state: State, path: Path) -> None:
    """Write a state atomically."""
    with replacing(path) as file:
        file.write(dumps(asdict(state), ascii=True).encode())  # ASCII: an input's name may hold what UTF-8 cannot


def remove(path: Path) -> None:
    """Remove a state, and files of an interrupted `save`."""
    path.unlink(missing_ok=True)
    path.with_name(path.name + ".part").unlink(missing_ok=True)


def load(path: Path, job: Job) -> State | None:
    """Return the state of an interrupted run of `job`, or None if there is none.

    Raises:
        JnlpError: The state is of another job (the message names the difference), or cannot be read.
    """
    try:
        state = State(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise JnlpError(f"{path} is damaged: {error}", hint=_ANEW) from error
    now = json.loads(dumps(job, default=str))
    if differing := _differences(state.job, now):
        raise JnlpError(f"{path.name.removesuffix('.state')} was begun by another job: {differing}", hint=_ANEW)
    return state


def _differences(then: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> str:
    found = []
    for key in sorted({*then, *now}):
        old, new = then.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            if inner := _differences(old, new, f"{prefix}{key}."):
                found.append(inner)
        elif old != new and (tables := _tables(old, new)):
            found.append(_differences(tables[0], tables[1], f"{prefix}{key}."))
        elif old != new:
            found.append(f"{prefix}{key} was {_printable(old)}, is {_printable(new)}")
    return "; ".join(found)


def _tables(*values: object) -> list[dict[str, Any]]:
    """Return the tables that values are the JSON of; nothing if one is none."""
    tables = []
    for value in values:
        try:
            table = json.loads(value) if isinstance(value, str) else None
        except ValueError:
            table = None
        if not isinstance(table, dict):
            return []
        tables.append(table)
    return tables


def _printable(value: object) -> str:
    text = "nothing" if value is None else dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"
