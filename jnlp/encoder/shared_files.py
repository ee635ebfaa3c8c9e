"""What several processes need, made once in a folder that they share."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.io.durable import Lock

if TYPE_CHECKING:
    from collections.abc import Callable


def made_once(shared: Path, key: str, ending: str, write: Callable[[Path], None], /) -> Path:
    """Return a file or folder that the first process writes.

    Args:
        shared: The folder.
        key: Identifies it among the processes.
        ending: The end of its name.
        write: Writes it.
    """
    path = shared / f"{_name(key)}{ending}"
    from tempfile import TemporaryDirectory

    with Lock(path.with_suffix(".lock"), path, wait=True):
        if not path.exists():
            with TemporaryDirectory(dir=shared) as temporary:
                made = Path(temporary) / path.name
                write(made)
                made.replace(path)
    return path


def check_once(shared: Path | None, key: str, check: Callable[[], None], /) -> None:
    """Run a check; with a shared folder, later processes skip it once it has passed."""
    if shared is None:
        check()
        return
    passed = shared / f"{_name(key)}.checked"
    if not passed.exists():
        check()
        passed.touch()


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]
