"""What happens to every request: checks, the bound of its body, errors, metrics, the access log."""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

from jnlp.strict_json import dumps
from jnlp_serve.errors import ApiError, response_of
from jnlp_serve.security import HEADERS, Gate
from jnlp_serve.service import overloaded

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from jnlp_serve.front import Front
    from jnlp_serve.service import Service

FREE = frozenset({"/health", "/metrics", "/info", "/docs", "/openapi.json"})
"""Paths that are answered at capacity too."""

UNKNOWN = "other"
"""The route of paths that there are none for, in metrics and log."""

DRAINED = 64_000_000
"""Bytes of a refused body that are read and dropped, so that its sender gets to read the answer."""

DRAIN_SECONDS = 5.0
"""Seconds that this may take."""


class Outer:
    """The outermost ASGI application.

    Args:
        app: The application.
        service: Its service, or the front of replicas.
        log: Called with each line of the access log; None writes no log.
    """

    def __init__(self, app: ASGIApp, service: Service | Front, log: Callable[[str], object] | None = None) -> None:
        self._app, self._service, self._log = app, service, log
        self._gate = Gate(service.options)
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, scope)
        started, seen = time.perf_counter(), _Seen(body)
        bounded = body.receive if is_file(scope["path"]) else _bounded(body.receive, self._service.options.max_bytes)
        try:
            await self._answer(scope, bounded, seen.sender(send))
        except asyncio.CancelledError:  # the time for running requests is over
            if not seen.started:
                late = ApiError(503, "the service is stopping", headers={"Retry-After": "5"})
                await response_of(late, scope["path"])(scope, receive, seen.sender(send))
            raise
        finally:
            self._record(scope, seen, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        admitted = False
        try:
            headers = dict(scope["headers"])
            self._gate.check(scope["path"], headers)
            if not is_file(scope["path"]):
                _check_length(headers, self._service.options.max_bytes)
            if scope["path"] not in FREE:
                self._admit()
                admitted = True
            await self._app(scope, receive, send)
        except ApiError as error:
            await response_of(error, scope["path"])(scope, receive, send)
        except Exception:  # a bug: its traceback is for the log, not for the client
            traceback.print_exc(file=sys.stderr)
            bug = ApiError(500, "this is a bug in the service; its log has the traceback")
            await response_of(bug, scope["path"])(scope, receive, send)
        finally:
            if admitted:
                self._running -= 1
                self._service.used = time.monotonic()
                self._service.metrics.running.dec()

    def _admit(self) -> None:
        service = self._service
        if service.stopping:
            raise ApiError(503, "the service is stopping", headers={"Retry-After": "5"})
        if self._running >= service.options.max_requests:
            service.metrics.refused.labels("requests").inc()
            raise overloaded(service.delay())
        self._running += 1
        service.used = time.monotonic()
        service.metrics.running.inc()

    def _record(self, scope: Scope, seen: _Seen, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or (scope["path"] if scope["path"] in FREE else UNKNOWN)
        metrics = self._service.metrics
        metrics.requests.labels(route, scope["method"], str(seen.status)).inc()
        metrics.latency.labels(route).observe(seconds)
        if self._log is not None:
            client = scope.get("client")
            line = {
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "method": scope["method"],
                "route": route,
                "status": seen.status,
                "ms": round(seconds * 1000, 1),
                "bytes": seen.size,
                "client": client[0] if client else None,
            }
            self._log(dumps(line))


class _Body:
    """The body of a request, and whether all of it was received."""

    def __init__(self, receive: Receive, scope: Scope) -> None:
        self._receive = receive
        self.whole = not any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])

    async def receive(self) -> Message:
        """Return the next message."""
        message = await self._receive()
        self.whole = not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Read what is left and drop it: many clients read no answer, nor get one, before they have sent all."""
        left = DRAINED
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self.whole and left > 0:
                    left -= len((await self.receive()).get("body", b""))


class _Seen:
    """The status and size of a response, which ends when the request's body was received."""

    def __init__(self, body: _Body) -> None:
        self._body = body
        self.status, self.size, self.started = 499, 0, False

    def sender(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status, self.started = message["status"], True
                present = {name for name, _ in message["headers"]}
                added = [pair for pair in HEADERS if pair[0] not in present]
                if b"cache-control" not in present:
                    added.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*message["headers"], *added]}
            elif message["type"] == "http.response.body":
                self.size += len(message.get("body", b""))
                if not message.get("more_body", False) and not self._body.whole:
                    await send({**message, "more_body": True})
                    await self._body.drain()
                    message = {"type": "http.response.body", "body": b""}
            await send(message)

        return sending


def is_file(path: str, /) -> bool:
    """Return True for a route whose body is a file of any size, read line by line."""
    return path.startswith("/tasks/") and path.endswith("/file")


def _check_length(headers: dict[bytes, bytes], most: int) -> None:
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length[:20]) > most:
        raise _too_large(most)


def _bounded(receive: Receive, most: int) -> Receive:
    """Return a `receive` that refuses a body without a length once it is too large."""
    size = 0

    async def receiving() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise _too_large(most)
        return message

    return receiving


def _too_large(most: int) -> ApiError:
    return ApiError(
        413, f"the request has more than {most:,} bytes", hint="send it in parts, or start with more --max-bytes"
    )
