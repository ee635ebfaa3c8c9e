"""The writer's lock: a lock file in the index folder, released when its process ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.io.durable import Lock

if TYPE_CHECKING:
    from pathlib import Path

NAME = "writer.lock"


def writer_lock(folder: Path, /) -> Lock:
    """Return the lock of the index folder, for a `with` statement.

    Raises:
        JnlpError: Another process is writing.
    """
    message = "is being written by another process"
    return Lock(folder / NAME, folder, message=message, hint="wait for it, or stop it")
