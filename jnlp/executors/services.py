"""Asks a running `jnlp serve` of the same user, over a Unix socket: commands then answer without loading a model.

A service listens on a socket in the user's runtime folder. A question goes to each service in turn until one says that
it serves just this: the same build of jnlp, the same model or index, the same settings. If none does, the caller
answers by itself, with the same result.

A message is that of a worker process (`jnlp.executors.pipes`): a pickle. Both ends are processes of one user: the
folder is only used if it belongs to the user and is closed to all others.
"""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from jnlp._version import __version__
from jnlp.executors.pipes import receive, send

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jnlp.types import Job, Settings

SWITCH = "JNLP_RESIDENT"
"""With the value `off` in the environment, commands ask no service and services open no socket."""

BUILD = (__version__, str(Path(__file__).resolve().parent))
"""The version and the place of this package; only a service of the same build is asked."""

SETTINGS = ("device", "dtype", "batch_tokens", "compile", "on_overflow", "normalize")
"""Settings that change results: a service must have the same ones."""

PATIENCE = 2.0
"""Seconds to wait for a service to say whether it serves something."""


class NotServedError(Exception):
    """The service does not serve this, or cannot now."""


def folder() -> Path | None:
    """Return the folder of the sockets, made if it is missing; None if there cannot be a safe one.

    It is `jnlp` in `$XDG_RUNTIME_DIR`, else `jnlp-UID` in `$TMPDIR`, else in `/tmp`, with mode 0700.

    Example:
        >>> folder()
        PosixPath('/run/user/1000/jnlp')
    """
    if not hasattr(os, "getuid") or os.environ.get(SWITCH) == "off":  # where there are no Unix sockets
        return None
    given = os.environ.get("XDG_RUNTIME_DIR")
    path = Path(given) / "jnlp" if given else Path(os.environ.get("TMPDIR") or "/tmp") / f"jnlp-{os.getuid()}"
    try:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
    except OSError:
        return None
    safe = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return path if safe else None


def sockets() -> list[Path]:
    """Return the sockets in the folder, the newest first; their services may have ended.

    Example:
        >>> sockets()
        [PosixPath('/run/user/1000/jnlp/4711.sock')]
    """
    place = folder()
    if place is None:
        return []
    found: list[tuple[float, Path]] = []
    for path in place.glob("*.sock"):
        with suppress(OSError):
            found.append((path.lstat().st_mtime, path))
    return [path for _time, path in sorted(found, reverse=True)]


class Connection:
    """A connection to one service; threads may share it.

    Args:
        path: The socket.

    Raises:
        OSError: No service listens there.

    Example:
        >>> with Connection(sockets()[0]) as connection:
        ...     connection.ask("state")["address"]
        'http://127.0.0.1:8765'
    """

    def __init__(self, path: Path, /) -> None:
        import socket

        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(PATIENCE)
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._stream = cast("BinaryIO", self._socket.makefile("rwb"))
        self._lock, self._sending = threading.Lock(), threading.Lock()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it.

        Example:
            >>> connection.close()
        """
        with suppress(OSError):
            self._stream.close()
        self._socket.close()

    def ask(self, kind: str, /, *, patience: float | None = PATIENCE, **values: Any) -> Any:
        """Return the answer to a question.

        Args:
            kind: `task`, `search`, `state` or `stop`.
            patience: Seconds to wait for the answer; None waits as long as it takes.
            values: What the question is about.

        Raises:
            NotServedError: The service does not serve this.
            OSError: It does not answer.
            EOFError: It has gone.
            Exception: What the service met with; a JnlpError in most cases.

        Example:
            >>> connection.ask("state")["ready"]
            True
        """
        with self._lock:
            self._socket.settimeout(patience)
            send(self._stream, (BUILD, kind, values), self._sending)
            served, value, error = receive(self._stream)
        if not served:
            raise NotServedError
        if error is not None:
            raise error
        return value


def connections() -> Iterator[Connection]:
    """Yield a connection to each running service; the caller closes those it keeps.

    Example:
        >>> [connection.ask("state")["process"] for connection in connections()]
        [4711]
    """
    for path in sockets():
        with suppress(OSError):
            yield Connection(path)


def ask(kind: str, /, **values: Any) -> Any:
    """Return the answer of the first service that serves this.

    Raises:
        NotServedError: None does.
        Exception: What the service met with; a JnlpError in most cases.

    Example:
        >>> ask("search", folders=["/home/me/my.idx"], query="解約", options={}, settings={}, model=None)
        Traceback (most recent call last):
        jnlp.executors.services.NotServedError
    """
    for connection in connections():
        with connection, suppress(NotServedError, OSError, EOFError):
            return connection.ask(kind, patience=None, **values)
    raise NotServedError


class Served:
    """A job that a running service does; called with texts, it returns their results.

    Args:
        connection: The service, which serves this job.
        question: The job.
    """

    def __init__(self, connection: Connection, question: Mapping[str, Any], /) -> None:
        self._connection, self._question = connection, question

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def __call__(self, texts: Sequence[Any], /) -> list[Any]:
        """Return the results.

        Raises:
            NotServedError: The service is at capacity, or stops.
            OSError: It does not answer.
            EOFError: It has gone.
            Exception: What a text met with.
        """
        results: list[Any] = self._connection.ask("task", patience=None, texts=list(texts), **self._question)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return results


def served(job: Job, /) -> Served | None:
    """Return a job as a running service does it; None if no service does.

    Example:
        >>> served(nlp.job("fill-mask", top=1)) is None  # no service runs
        True
    """
    question = _question(job)
    if question is None:
        return None
    for connection in connections():
        try:
            connection.ask("task", texts=[], **question)
        except (NotServedError, OSError, EOFError):
            connection.close()
        else:
            return Served(connection, question)
    return None


def settings_of(settings: Settings, /) -> dict[str, Any]:
    """Return the settings that change results.

    Example:
        >>> settings_of(jnlp.Settings())["dtype"]
        'auto'
    """
    return {name: getattr(settings, name) for name in SETTINGS}


def place_of(model: str | None, /) -> str | None:
    """Return a model's name, or the whole path of its folder: what it is called in another working directory.

    Example:
        >>> place_of("tiny")
        'tiny'
    """
    return str(Path(model).resolve()) if model is not None and Path(model).is_dir() else model


def _question(job: Job) -> Mapping[str, Any] | None:
    """Return the question of a job; None if an option names a file or folder of this machine."""
    from jnlp.options import fields

    options: dict[str, Any] = {}
    for field in fields(job.task.options):
        value = getattr(job.options, field.name)
        if not field.local:
            options[field.name] = value
        elif value != field.default:
            return None
    return {
        "task": job.task.name,
        "options": options,
        "settings": settings_of(job.settings),
        "model": place_of(job.model),
    }
