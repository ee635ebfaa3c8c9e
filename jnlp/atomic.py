"""Files that are whole or not there: the one replacement in one step, durable against a power cut."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from jnlp.errors import JnlpError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def open_own(path: Path, mode: str = "wb", /) -> BinaryIO:
    """Open a file for writing, unbuffered; refuse a symbolic link, which may point anywhere.

    Raises:
        JnlpError: It is a symbolic link.
        OSError: It cannot be opened.
    """

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)

    try:
        return open(path, mode, buffering=0, opener=opener)  # type: ignore[return-value]
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            raise JnlpError(f"{path} is a symbolic link: nothing is written through it", hint="remove it") from error
        raise


@contextmanager
def replacing(path: Path, /) -> Iterator[BinaryIO]:
    """Write a file that replaces `path` atomically, once it is complete and synced.

    It is written as `path.part`. After an error the part is removed, and the old file stays.

    Example:
        with replacing(folder / "state.json") as file:
            file.write(b"{}")
    """
    part = path.with_name(path.name + ".part")
    try:
        with open_own(part) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    part.replace(path)
    sync_folder(path.parent)


def publish(part: Path, out: Path) -> None:
    """Rename a complete file to its final name, replacing an old file atomically."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(out)
    sync_folder(out.parent)


def sync_folder(folder: Path) -> None:
    """Sync a folder's entries to disk, if the system supports it."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
