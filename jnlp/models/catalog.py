"""The functions behind `jnlp models`: the list with each model's state, downloads, paths and cards."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp.models.resolve import complete, find, present, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jnlp.models import download as hub
    from jnlp.models.folder import ModelFolder
    from jnlp.types import ModelSpec


class State(StrEnum):
    """The state of a model: built in, in the cache, or not downloaded."""

    BUILTIN = "builtin"
    CACHED = "cached"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A model of the list.

    Args:
        spec: The model.
        state: Where it is.
        folder: Its folder, or None if it is absent.
        bytes: Its size on disk, else its download size, else None.
    """

    spec: ModelSpec
    state: State
    folder: Path | None
    bytes: int | None


def list_models(specs: Mapping[str, ModelSpec]) -> list[ModelStatus]:
    """Return every model with its state, in the order of `specs`; a missing built-in model counts as absent."""
    return [_status(spec) for spec in specs.values()]


def _status(spec: ModelSpec) -> ModelStatus:
    try:
        folder = present(spec)
    except JnlpError:  # damaged: asking for the model says how
        folder = None
    if folder is None:
        return ModelStatus(spec, State.ABSENT, None, spec.size)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    state = State.CACHED if spec.builtin is None else State.BUILTIN
    return ModelStatus(complete(spec, folder).spec, state, folder, size)


def pull(
    name: str,
    specs: Mapping[str, ModelSpec],
    progress: hub.Progress | None = None,
    *,
    download: hub.Download | None = None,
) -> ModelFolder:
    """Download a model, or update a cached one, and return it.

    Raises:
        UsageError: The name is unknown.
        JnlpError: The download failed: no network (and it is not in the cache), or a full disk.
    """
    return resolve(name, specs, progress=progress, download=download, refresh=True)


def path(name: str, specs: Mapping[str, ModelSpec]) -> Path:
    """Return the folder of a model on this machine; download nothing.

    Raises:
        UsageError: The name is unknown.
        JnlpError: It is not on this machine.
    """
    spec = find(name, specs)
    found = present(spec) if spec is not None else None
    return found or resolve(name, specs, allow_download=False).folder


def card(folder: Path) -> str:
    """Return a model's card, the README.md of its folder without front matter; empty if there is none."""
    readme = folder / "README.md"
    if not readme.is_file():
        return ""
    text = readme.read_text(encoding="utf-8", errors="replace")
    if text.startswith("---"):
        _, separator, rest = text[3:].partition("\n---")
        text = rest.partition("\n")[2] if separator else text
    return text.strip() + "\n"
