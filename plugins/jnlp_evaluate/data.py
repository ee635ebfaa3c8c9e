"""Where the data of evaluations lies, and how it is fetched."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp.folders import cache_folder
from jnlp.io.durable import replacing
from jnlp.registry import import_target
from jnlp.strict_json import dumps
from jnlp.types import Choice

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jnlp.types import Evaluation, Example

CHECKSUMS = "checksums.json"
_TIMEOUT = 60


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether an evaluation's data is there.

    Args:
        rows: How many rows each part has; empty if the data is not there.
        problem: Why it cannot be read, if so.
    """

    rows: Mapping[str, int]
    problem: str | None = None


def data_folder() -> Path:
    """Return the folder that data is fetched into, in the user's cache."""
    return cache_folder() / "evaluate"


def read_parts(evaluation: Evaluation, folder: Path, /) -> dict[str, list[Example | Choice]]:
    """Return an evaluation's examples by part.

    Raises:
        JnlpError: The folder does not exist, or has no such data, or the data is broken, or a fetched file has
            changed, or a label is none of the task's.
    """
    if not evaluation.source.bundled and not folder.is_dir():
        raise JnlpError(f"{folder} is not a folder", hint="--data DIR, or jnlp evaluate data pull NAME")
    _verify(evaluation, folder)
    found: dict[str, list[Example | Choice]] = import_target(evaluation.read, f"evaluation '{evaluation.name}'")(folder)
    if not any(found.values()):
        raise JnlpError(f"{folder} has no rows of {evaluation.name}", hint="fetch it again")
    for part, rows in found.items():
        for number, row in enumerate(rows, 1):
            _check_label(evaluation, part, number, row)
    return found


def _verify(evaluation: Evaluation, folder: Path) -> None:
    """Raise where a fetched file is not what it was when it was fetched."""
    known = _checksums(folder) if (folder / CHECKSUMS).is_file() else {}
    for name in evaluation.source.files:
        path = folder / name
        if name in known and path.is_file():
            with path.open("rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == known[name]
            if not same:
                raise JnlpError(
                    f"{path} has changed since it was fetched: its sha256 is not that of {CHECKSUMS}",
                    hint=f"delete it, and fetch it again: jnlp evaluate data pull {evaluation.name}",
                )


def _check_label(evaluation: Evaluation, part: str, number: int, row: Example | Choice) -> None:
    hint = "fix the row, or fetch the data again"
    if isinstance(row, Choice):
        if not 0 <= row.right < len(row.answers):
            raise JnlpError(f"row {number} of the {part} rows: {row.right} is none of its answers", hint=hint)
    elif evaluation.labels and str(row.target) not in evaluation.labels:
        labels = ", ".join(evaluation.labels)
        raise JnlpError(f"row {number} of the {part} rows: the label '{row.target}' is none of {labels}", hint=hint)


def presence(evaluation: Evaluation, folder: Path, /) -> Presence:
    """Return whether an evaluation's data is in a folder."""
    try:
        return Presence({part: len(rows) for part, rows in read_parts(evaluation, folder).items()})
    except JnlpError as error:
        return Presence({}, error.message)


def fingerprint(parts: Mapping[str, list[Any]], /) -> str:
    """Return a sha256 of all rows, which a record of a measurement keeps."""
    digest = hashlib.sha256()
    for part in sorted(parts):
        for row in parts[part]:
            digest.update(dumps(row).encode())
    return digest.hexdigest()


def pull(evaluation: Evaluation, folder: Path, /) -> list[Path]:
    """Fetch an evaluation's files at their pinned revision and return them.

    The sha256 of each is kept in `checksums.json`; a file that differs from the one fetched before is refused.

    Raises:
        JnlpError: The data cannot be fetched by a command, the network fails, or a file has changed.
    """
    source = evaluation.source
    if not source.files or not source.revision:
        raise JnlpError(
            f"the data of {evaluation.name} is not fetched: {source.note or source.repository}", hint=source.repository
        )
    folder.mkdir(parents=True, exist_ok=True)
    known = _checksums(folder)
    made = []
    for name, address in source.files.items():
        body = _fetch(address.format(revision=source.revision))
        found = hashlib.sha256(body).hexdigest()
        if known.setdefault(name, found) != found:
            raise JnlpError(
                f"{name} has changed since it was first fetched: sha256 {found[:16]}…, not {known[name][:16]}…",
                hint=f"if that is right, delete it from {folder / CHECKSUMS}",
            )
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(body)
        made.append(path)
    with replacing(folder / CHECKSUMS) as file:
        file.write(dumps(known, indent=2).encode())
    return made


def _checksums(folder: Path) -> dict[str, str]:
    path = folder / CHECKSUMS
    try:
        found: dict[str, str] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise JnlpError(f"{path} is broken: {error}", hint="delete it, and fetch again") from error
    return found


def _fetch(address: str) -> bytes:
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer:
            body: bytes = answer.read()
            return body
    except (urllib.error.URLError, TimeoutError) as error:
        raise JnlpError(
            f"{address} cannot be fetched: {error}", hint="is there a network? or give --data DIR"
        ) from error
