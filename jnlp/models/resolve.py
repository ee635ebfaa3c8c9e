"""Resolves a name, a folder or a hub id to a complete model folder and its spec."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError, UsageError
from jnlp.models import download as hub
from jnlp.models.cache import is_offline, snapshot
from jnlp.models.folder import BUILTIN as BUILTIN
from jnlp.models.folder import MODULES, ModelFolder, missing, read_folder
from jnlp.patterns import deferred
from jnlp.types import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

_AS_ITS_FILES_SAY = 1 << 62
_HUB_ID = deferred(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?", re.ASCII)


def resolve(
    name: str,
    specs: Mapping[str, ModelSpec],
    *,
    offline: bool | None = None,
    allow_download: bool = True,
    progress: hub.Progress | None = None,
    download: hub.Download | None = None,
    refresh: bool = False,
) -> ModelFolder:
    """Return the folder of a model; download it if allowed.

    Its spec is completed from its files. For a model from the hub, the revision is the commit.

    Args:
        name: A name in `specs`, a folder (`./my-model`), or a hub id (`org/name`, `org/name@revision`).
        specs: The models known by name.
        offline: Use no network; None reads `HF_HUB_OFFLINE`.
        allow_download: False: a model that is not on this machine is an error.
        progress: Called with the bytes of a download.
        download: Replaces `jnlp.models.download.download`.
        refresh: Ask the hub for a newer commit of a cached model; if it cannot be reached, use the cached one.

    Raises:
        UsageError: The name is unknown.
        JnlpError: The model is absent and cannot or must not be downloaded, or its folder is incomplete.
    """
    spec = find(name, specs)
    if spec is None:
        return read_folder(Path(name).expanduser(), name)
    found = _present(spec)
    offline = is_offline() if offline is None else offline
    if found is None or (refresh and spec.repo is not None and not offline):
        if offline and spec.repo is not None:
            network = "HF_HUB_OFFLINE is set" if is_offline() else "the network is not to be used"
            raise absent(spec, f", and {network}", pulling=refresh)
        try:
            found = _fetch(spec, allow_download, progress, download)
        except hub.UnreachableError as error:
            if found is None:
                raise absent(spec, ", and the hub cannot be reached", pulling=refresh) from error
    return complete(spec, found)


def find(name: str, specs: Mapping[str, ModelSpec]) -> ModelSpec | None:
    """Return the spec of a name or hub id, or None if the name is an existing folder.

    Raises:
        UsageError: It is none of the three.
    """
    if name in specs:
        return specs[name]
    kind = _kind(name)
    if kind == "folder":
        return None
    if kind == "file":
        raise UsageError(f"'{name}' is a file; a model is a folder", hint="--model FOLDER with config.json in it")
    if (match := _HUB_ID.fullmatch(name)) is not None:
        return ModelSpec(name, repo=match[1], revision=match[2] or "main", heads=(), max_length=_AS_ITS_FILES_SAY)
    if name.startswith((".", "~", "/")) or os.sep in name:
        raise UsageError(f"there is no model folder '{name}'", hint="check the path")
    import difflib

    close = difflib.get_close_matches(name, specs, n=3, cutoff=0.5)
    known = f"did you mean {' or '.join(close)}? " if close else ""
    shown = name if len(name) <= 80 else f"{name[:79]}…"
    raise UsageError(f"no model is called '{shown}'", hint=f"{known}`jnlp models` lists them; a folder is ./{shown}")


def _kind(name: str) -> str | None:
    """Return whether a name is a folder, a file, or neither; an impossible file name is neither."""
    try:
        path = Path(name).expanduser()
        return None if not name else "folder" if path.is_dir() else "file" if path.is_file() else None
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, a user that is not there
        return None


def present(spec: ModelSpec) -> Path | None:
    """Return the folder of a model if it is complete on this machine, or None."""
    folder = _locate(spec)
    return folder if folder is not None and missing(folder) is None else None


def absent(spec: ModelSpec, why: str, *, pulling: bool = False) -> JnlpError:
    """Return the error for a model that is not on this machine: its size, how to fetch it, how to do without.

    Args:
        spec: The model.
        why: Why it was not fetched, as the end of the sentence.
        pulling: Whether it is `jnlp models pull` that failed.
    """
    size = f", {about(spec.size)}" if spec.size else ""
    fetch = f"`jnlp models pull {spec.name}`{' again' * pulling}"
    return JnlpError(
        f"the model {spec.name} ({spec.repo}{size}) is not on this machine{why}",
        hint=f"{fetch} with a network connection, or {'copy its folder here and give ' * pulling}--model FOLDER",
    )


def about(size: int) -> str:
    """Return a number of bytes as text: "about 530 MB"."""
    return f"about {size / 1e9:.1f} GB" if size >= 1e9 else f"about {max(1, round(size / 1e6))} MB"


def _locate(spec: ModelSpec) -> Path | None:
    if spec.builtin is not None:
        folder = BUILTIN / spec.builtin
        return folder if folder.is_dir() else None
    return snapshot(spec.repo, spec.revision or "main") if spec.repo is not None else None


def _present(spec: ModelSpec) -> Path | None:
    """Return where a model is; a built-in one must exist, an incomplete cached one counts as absent."""
    if spec.builtin is None:
        return present(spec)
    folder = _locate(spec)
    if folder is None:
        raise JnlpError(f"the built-in model {spec.name} is missing from this installation", hint="reinstall jnlp")
    return folder


def _fetch(
    spec: ModelSpec,
    allowed: bool,
    progress: hub.Progress | None,
    download: hub.Download | None,
) -> Path:
    if spec.repo is None:
        raise JnlpError(f"the model {spec.name} names neither a repository nor a built-in folder")
    if not allowed:
        raise absent(spec, "")
    return (download or hub.download)(spec.repo, spec.revision or "main", progress)


def complete(spec: ModelSpec, folder: Path) -> ModelFolder:
    """Read a folder; the declared spec overrides the files, for example in prefixes."""
    model = read_folder(folder, spec.name)
    found, from_hub = model.spec, spec.builtin is None
    stated = replace(
        found,
        summary=spec.summary or found.summary,
        repo=spec.repo,
        revision=folder.name if from_hub else spec.revision,
        pooling=found.pooling if (folder / MODULES).is_file() else spec.pooling,
        prefixes=spec.prefixes or found.prefixes,
        max_length=min(spec.max_length, found.max_length),
        licence=spec.licence or found.licence,
        labels=spec.labels or found.labels,
        problem_type=spec.problem_type or found.problem_type,
        builtin=spec.builtin,
        larger=spec.larger,
        search=found.search or spec.search,
    )
    return replace(model, spec=stated)
