"""The Unix socket of a service: it answers commands of the same user; `jnlp.executors.services` has the other end."""

from __future__ import annotations

import os
import socket
import threading
import time
from concurrent.futures import TimeoutError as TooLate
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from jnlp.errors import JnlpError
from jnlp.executors import services
from jnlp.executors.pipes import receive, send
from jnlp.loaded_heads import DEFAULT_EMBEDDER, DEFAULT_MODEL
from jnlp_serve.background import is_child
from jnlp_serve.batching import Overloaded
from jnlp_serve.service import EMBED, SEARCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from jnlp_serve.service import Service

BACKLOG = 64


class Resident:
    """Listens on a socket for as long as the service runs.

    Args:
        service: The service.
        address: Where it serves HTTP.
        stop: Ends the service.
    """

    def __init__(self, service: Service, address: str, stop: Callable[[], None], /) -> None:
        self._service, self._address, self._stop = service, address, stop
        self._path: Path | None = None
        self._listener: socket.socket | None = None
        self._folders: dict[str, object] = {}
        self._kinds: dict[str, Callable[..., Any]] = {
            "task": self._task,
            "search": self._search,
            "state": self._state,
            "stop": self._end,
        }

    def __enter__(self) -> Resident:
        place = services.folder()
        if place is None:
            return self
        _remove_dead(place)
        path = place / f"{os.getpid()}.sock"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)  # the socket is made with mode 0600
        try:
            path.unlink(missing_ok=True)
            listener.bind(str(path))
            listener.listen(BACKLOG)
        except OSError:  # the path is too long for a socket: the service goes on without it
            listener.close()
            return self
        finally:
            os.umask(mask)
        self._path, self._listener = path, listener
        threading.Thread(target=self._accept, daemon=True, name="jnlp-resident").start()
        if self._service.options.idle:
            threading.Thread(target=self._leave_when_idle, daemon=True, name="jnlp-idle").start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        if self._listener is not None:
            self._listener.close()

    # --- connections -------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True, name="jnlp-resident").start()

    def _serve(self, connection: socket.socket) -> None:
        """Answer the questions of one connection until it ends."""
        lock = threading.Lock()
        with connection, cast("BinaryIO", connection.makefile("rwb")) as stream, suppress(Exception):
            while True:
                build, kind, values = receive(stream)
                send(stream, self._answer(build, kind, values), lock)

    def _answer(self, build: object, kind: str, values: dict[str, Any]) -> tuple[bool, Any, BaseException | None]:
        """Return whether this is served, the answer, and the error met."""
        try:
            if kind in ("task", "search"):
                self._service.used = time.monotonic()
                if build != services.BUILD or not self._service.ready or self._service.stopping:
                    raise services.NotServedError
            return True, self._kinds[kind](**values), None
        except (services.NotServedError, Overloaded, KeyError):
            return False, None, None
        except JnlpError as error:
            return True, None, error

    # --- answers -----------------------------------------------------------------------------------------------

    def _task(
        self, *, task: str, texts: list[Any], options: dict[str, Any], settings: dict[str, Any], model: str | None
    ) -> list[Any]:
        service = self._service
        if settings != services.settings_of(service.engine.settings):
            raise services.NotServedError
        if task not in {spec.name for spec in service.tasks()} or not self._is_model(task, model):
            raise services.NotServedError
        lane = service.task_lane(task, options)
        if not texts:
            return []
        work = service.batcher.submit(lane, texts)
        try:
            return work.future.result(service.options.timeout)
        except TooLate:
            service.batcher.cancel(work)
            raise services.NotServedError from None

    def _search(
        self, *, folders: list[str], query: str, options: dict[str, Any], settings: dict[str, Any], model: str | None
    ) -> tuple[list[Any], bool]:
        found = [self._service.indexes.at(folder) for folder in folders]
        indexes = [index for index in found if index is not None]
        if settings != services.settings_of(self._service.engine.settings):
            raise services.NotServedError
        tasks = self._service.options.tasks
        if not indexes or len(indexes) < len(found) or (tasks and SEARCH not in tasks):
            raise services.NotServedError
        if model is not None and any(index.info().made_with["model"] != model for index in indexes):
            raise services.NotServedError
        outdated = any(index.is_outdated() for index in indexes)
        return self._service.indexes.search_all(indexes, query, options), outdated

    def _state(self) -> dict[str, Any]:
        service = self._service
        problem = service.problem
        return {
            "process": os.getpid(),
            "address": self._address,
            "background": is_child(),
            "ready": service.ready,
            "problem": None if problem is None else str(problem),
            "idle": service.options.idle,
        }

    def _end(self) -> int:
        if not is_child():
            raise services.NotServedError
        self._service.stopping = True
        self._stop()
        return os.getpid()

    # --- the rest ----------------------------------------------------------------------------------------------

    def _is_model(self, task: str, asked: str | None) -> bool:
        """Return whether a task's model is the one asked for, and its folder as it was when it was loaded."""
        service = self._service
        spec = service.engine.task(task)
        default = service.engine.settings.model or spec.model or (DEFAULT_EMBEDDER if task == EMBED else DEFAULT_MODEL)
        ours = services.place_of(service.model(task) or default)
        if (asked or default) != ours:
            return False
        if ours is None or not Path(ours).is_dir():
            return True
        now = _files(Path(ours))
        return self._folders.setdefault(ours, now) == now

    def _leave_when_idle(self) -> None:
        idle = self._service.options.idle
        assert idle is not None
        while (left := self._service.used + idle - time.monotonic()) > 0:
            time.sleep(min(left + 0.01, 60.0))
        self._service.stopping = True
        self._stop()


def _files(folder: Path) -> object:
    """Return what changes when a model's folder does."""
    found = [(path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()]
    return [(name, state.st_size, state.st_mtime_ns, state.st_ino) for name, state in found]


def _remove_dead(place: Path) -> None:
    """Remove the sockets of services that have ended."""
    for path in place.glob("*.sock"):
        with suppress(FileNotFoundError):
            try:
                services.Connection(path).close()
            except ConnectionRefusedError:
                path.unlink()
            except OSError:
                continue
