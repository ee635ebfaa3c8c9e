"""A replica of the service: a process elsewhere that is handed whole requests, and answers by the same application."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from jnlp_serve.app import loaded_app
from jnlp_serve.job import Job
from jnlp_serve.options import TOKEN_VARIABLE
from jnlp_serve.security import check_exposure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import ASGIApp, Message, Scope, Send

    from jnlp.types import Settings

FIELDS = (
    *("method", "scheme", "http_version", "path", "raw_path", "query_string", "root_path"),
    *("headers", "client", "server"),
)
"""What a replica gets of a request's ASGI scope."""

Request = tuple[dict[str, Any], bytes]
"""A request: fields of its scope, and its body."""

Answer = tuple[int, list[tuple[bytes, bytes]], bytes, str | None]
"""The answer to it: its status, headers and body, and the path of the route."""


def make(settings: Settings, job: str, /) -> Callable[[Request], Awaitable[Answer]]:
    """Return the function that answers requests in this process.

    Args:
        settings: Those of this process.
        job: What is served, as JSON.

    Raises:
        JnlpError: A model cannot be loaded.
    """
    return partial(answer, loaded_app(Job.from_json(job), settings))


def application(job: str, /) -> ASGIApp:
    """Return the application of a job, its models loaded, for a server that hands it all requests.

    Args:
        job: What is served, as JSON. The token may be in the environment.

    Raises:
        UsageError: There is no token.
        JnlpError: A model cannot be loaded.
    """
    found = Job.from_json(job)
    token = found.options.token or os.environ.get(TOKEN_VARIABLE)
    options = dataclasses.replace(found.options, host="0.0.0.0", token=token)
    check_exposure(options)
    return loaded_app(dataclasses.replace(found, options=options), found.settings)


def request_of(scope: Scope, body: bytes, /, more: Mapping[str, Any] | None = None) -> Request:
    """Return a request as it is handed to a replica; `more` is added to its scope."""
    return {name: scope[name] for name in FIELDS if name in scope} | dict(more or {}), body


async def answer(app: ASGIApp, request: Request, /) -> Answer:
    """Return the answer of an application to a request."""
    fields, body = request
    scope: Scope = {"type": "http", "asgi": {"version": "3.0"}, **fields}
    left = [body]
    start: dict[str, Any] = {}
    parts: list[bytes] = []

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()  # the front cancels the call if the client goes
        return {"type": "http.request", "body": left.pop(), "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return start["status"], list(start["headers"]), b"".join(parts), getattr(scope.get("route"), "path", None)


async def send_answer(found: Answer, scope: Scope, send: Send, /) -> None:
    """Send an answer to the client, and note its route in the request's scope."""
    status, headers, body, route = found
    scope["route"] = SimpleNamespace(path=route)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
