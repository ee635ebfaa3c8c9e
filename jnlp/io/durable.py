"""Atomic replacement of files, and the lock for files and folders."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from io import FileIO
from typing import TYPE_CHECKING, BinaryIO, Self

from jnlp.errors import JnlpError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _typeshed import ReadableBuffer

_PATIENCE = 0.1  # seconds: the file of a run that has just ended looks held for a moment


class _Whole(FileIO):
    """An unbuffered file that writes all of what it is given.

    The system may take a part alone: what fits on a disk that becomes full, or 2 GiB at once.
    """

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of `data` and return its bytes.

        Raises:
            OSError: The disk is full, for one.
        """
        size, written = memoryview(data).nbytes, super().write(data) or 0
        while written < size:
            more = super().write(memoryview(data).cast("B")[written:])
            if not more:
                raise OSError(errno.EIO, os.strerror(errno.EIO), self.name)
            written += more
        return size


def open_own(path: Path, mode: str = "wb", /, *, private: bool = False) -> BinaryIO:
    """Open a file for writing, unbuffered; refuse a symbolic link, which may point anywhere.

    With `private`, only its owner can read and write it (mode 0600), also where it was there before.

    Raises:
        JnlpError: It is a symbolic link.
        OSError: It cannot be opened.
    """

    def opener(name: str, flags: int) -> int:
        handle = os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o600 if private else 0o666)
        if private and hasattr(os, "fchmod"):
            os.fchmod(handle, 0o600)
        return handle

    try:
        return _Whole(path, mode, opener=opener)
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            raise JnlpError(f"{path} is a symbolic link: nothing is written through it", hint="remove it") from error
        raise


@contextmanager
def replacing(path: Path, /, *, private: bool = False) -> Iterator[BinaryIO]:
    """Write a file that replaces `path` atomically, once it is complete and synced.

    It is written as `path.part`. After an error the part is removed, and the old file stays. With `private`, only its
    owner can read it (mode 0600).

    Example:
        with replacing(folder / "state.json") as file:
            file.write(b"{}")
    """
    part = path.with_name(path.name + ".part")
    try:
        with open_own(part, private=private) as file:
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


class Lock:
    """A lock, held from construction until `release`, the end of a `with`, or the end of the process.

    Args:
        path: The lock file; removed on release.
        out: The output that it protects, for the message.
        message: The message if another run holds it.
        hint: The hint for that case.
        wait: Wait for the other run instead of raising.

    Raises:
        JnlpError: Another run holds it.
        OSError: The file cannot be made.
    """

    def __init__(
        self,
        path: Path,
        out: Path,
        *,
        message: str = "is being written by another run",
        hint: str = "wait for it, or give -o another name",
        wait: bool = False,
    ) -> None:
        from filelock import FileLock, Timeout

        self._path = path
        # FileLock tries again where the run that held the lock has removed the file meanwhile.
        self._lock = FileLock(path, timeout=-1 if wait else _PATIENCE, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout:
            raise JnlpError(f"{out} {message}", hint=hint) from None
        except OSError as error:
            error.filename = str(out)  # the name that the user gave
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        if self._lock.is_locked:
            self._path.unlink(missing_ok=True)
            self._lock.release()
