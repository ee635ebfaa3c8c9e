"""One writer at a time: a lock on a file in the index folder that dies with its process."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "writer.lock"


@contextmanager
def writer_lock(folder: Path, /) -> Iterator[None]:
    """Hold the index folder for writing.

    Raises:
        JnlpError: Another process is writing; the message names it.
    """
    import fcntl

    with (folder / NAME).open("a+", encoding="utf-8") as file:
        try:
            # The kernel drops a flock when its process ends, however it ends: no stale lock after kill -9.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            raise JnlpError(f"{folder}: {owner} is writing this index", hint="wait for it, or stop it") from None
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
