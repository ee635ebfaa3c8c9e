"""Files that are whole or not there: the one atomic replacement, and the one lock."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, Self

from jnlp.errors import JnlpError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def open_own(path: Path, mode: str = "wb", /) -> BinaryIO:
    """Open a file of ours for writing, unbuffered; never through a symbolic link, which may lead anywhere.

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
    """Write a file that takes its name in one step, when it is whole and on the disk.

    It grows as `path.part`; after an error the part is removed and what was at `path` stays.

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
    """Give a whole file its name: what had the name before is replaced in one step."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(out)
    sync_folder(out.parent)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Lock:
    """Held from when it is made until `release`, or to the end of a `with`; it dies with its process.

    Args:
        path: The lock's own file; removed on release.
        out: The output it protects, for the message.
        message: What is said where another run holds it.
        hint: What to do then.
        wait: Wait for the other run instead.

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
        self._lock = FileLock(path, timeout=-1 if wait else 0, thread_local=False)
        try:
            self._lock.acquire()
            while not self._is_named():  # the run that held it removed the file meanwhile
                self._lock.release()
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
        """Let others write; a second call does nothing."""
        if self._lock.is_locked:
            self._path.unlink(missing_ok=True)
            self._lock.release()

    def _is_named(self) -> bool:
        handle = getattr(self._lock._context, "lock_file_fd", None)
        if handle is None:
            return True
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(handle), self._path.stat())
        return False
