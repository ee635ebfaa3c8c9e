"""One writer at a time: a lock on a file in the index folder that dies with its process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.io.durable import Lock

if TYPE_CHECKING:
    from pathlib import Path

NAME = "writer.lock"


def writer_lock(folder: Path, /) -> Lock:
    """Hold the index folder for writing, in a `with`.

    Raises:
        JnlpError: Another process is writing.
    """
    message = "is being written by another process"
    return Lock(folder / NAME, folder, message=message, hint="wait for it, or stop it")
