"""A checksum of the whole catalogue file, for `verify`: it finds changed bytes that SQLite does not check.

It is written when a writer ends, and is valid for the commit that it names. A search does not need it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING

from jnlp.io.durable import replacing
from jnlp.strict_json import dumps
from jnlp_search.store.catalog import NAME, Catalog

if TYPE_CHECKING:
    from pathlib import Path

SUM = "catalog.sum"
_LENGTH = 80
BYTES_PER_SECOND = 1 << 26
"""No sum is written if reading the file would take more than about a tenth of the build's time."""


def write_sum(folder: Path, seconds: float, /) -> None:
    """Write the checksum of a closed catalogue, or remove it if it would take too long.

    Args:
        folder: The index; the caller holds its lock.
        seconds: How long the build took.
    """
    path = folder / SUM
    with Catalog.reading(folder) as catalog:
        commits, seal = catalog.state()
    if seal is None or _has_log(folder) or (folder / NAME).stat().st_size > BYTES_PER_SECOND * max(1.0, seconds):
        remove_sum(folder)
        return
    if (known := _read(path)) is not None and known["commits"] == commits:
        return
    remove_sum(folder)
    with replacing(path) as file:
        file.write(_form(commits, _digest(folder / NAME)))


def remove_sum(folder: Path, /) -> None:
    """Remove the checksum."""
    path = folder / SUM
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def check_sum(folder: Path, commits: int, /) -> str | None:
    """Return the damage of the catalogue file, or None; a sum of another commit is ignored."""
    path = folder / SUM
    if not path.exists():
        return None
    known = _read(path)
    if known is None:
        return f"{SUM} was changed"
    if known["commits"] == commits and not _has_log(folder) and known["blake2b"] != _digest(folder / NAME):
        return f"{NAME} is not the file that was written"
    return None


def _has_log(folder: Path) -> bool:
    log = folder / f"{NAME}-wal"
    return log.exists() and log.stat().st_size > 0


def _read(path: Path) -> dict[str, object] | None:
    try:
        text = path.read_bytes()
        known = json.loads(text)
    except (OSError, ValueError):
        return None
    whole = isinstance(known, dict) and known.keys() == {"commits", "blake2b"} and isinstance(known["commits"], int)
    return known if whole and text == _form(**known) else None


def _form(commits: int, blake2b: str) -> bytes:
    """Return the content of the file, of one length however many commits there are."""
    return dumps({"commits": commits, "blake2b": blake2b}).ljust(_LENGTH).encode()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
