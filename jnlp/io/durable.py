"""What writes files of its own needs: the one replacement in one step (`jnlp.atomic`), and the one lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from jnlp.atomic import open_own as open_own
from jnlp.atomic import publish as publish
from jnlp.atomic import replacing as replacing
from jnlp.atomic import sync_folder as sync_folder
from jnlp.errors import JnlpError

if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE = 0.1  # seconds: the file of a run that has just ended looks held for a moment


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
