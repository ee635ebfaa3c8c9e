"""One run at a time into one output: a lock on a file that dies with its process."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from jnlp.errors import JnlpError

if TYPE_CHECKING:
    from pathlib import Path


class Lock:
    """Held from when it is made until `release`, or to the end of a `with`; where there are no locks it holds nothing.

    Args:
        path: The lock's own file.
        out: The output it stands for, for the message.
        hint: What to do where another run holds it.

    Raises:
        JnlpError: Another run holds it.
        OSError: The file cannot be made.
    """

    def __init__(self, path: Path, out: Path, *, hint: str = "wait for it, or give -o another name") -> None:
        self._path, self._hint = path, hint
        try:
            self._file = path.open("ab")
            while not self._taken(out):
                self._file.close()
                self._file = path.open("ab")
        except OSError as error:
            error.filename = str(out)  # the name that the user gave
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let others write; a second call does nothing."""
        if not self._file.closed:
            self._path.unlink(missing_ok=True)
            self._file.close()

    def _taken(self, out: Path) -> bool:
        """Whether the file is ours; False where the run that held it removed it meanwhile."""
        try:
            import fcntl
        except ImportError:
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise JnlpError(f"{out} is being written by another run", hint=self._hint) from None
        except OSError:  # a network disk without locks
            return True
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        return False
