"""A file as a request to replicas: parts of some lines, each answered by one of them, joined in order."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import aclosing, suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request

from jnlp_serve.errors import ApiError
from jnlp_serve.jsonl import AHEAD, NUMBERS, line_of, lines
from jnlp_serve.replica import request_of, send_answer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from starlette.types import Receive, Scope, Send

    from jnlp_serve.replica import Answer
    from jnlp_serve.replica import Request as Handed

PARTS = 4
"""Parts that replicas have at once."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some lines with their numbers; those that are too long are errors."""

    lines: list[tuple[int, bytes | ApiError]]

    def handed(self, scope: Scope) -> Handed:
        """Return the request for the lines that can be read."""
        read = [(number, raw) for number, raw in self.lines if isinstance(raw, bytes)]
        numbers = [number for number, _ in read]
        return request_of(scope, b"".join(raw + b"\n" for _, raw in read), {NUMBERS: numbers})

    def joined(self, answer: Answer | ApiError) -> bytes:
        """Return an output line for each line; where there is no result, an error."""
        reason = _reason(answer)
        found = iter([] if reason or isinstance(answer, ApiError) else answer[2].splitlines(keepends=True))
        return b"".join(
            line_of({"line": number, "error": raw.message if isinstance(raw, ApiError) else reason})
            if reason or isinstance(raw, ApiError)
            else next(found)
            for number, raw in self.lines
        )


async def send_file(
    ask: Callable[[Handed], Awaitable[Answer]], scope: Scope, receive: Receive, send: Send, most: int, /
) -> None:
    """Read a file, have its parts answered, and send their answers as they come, in order.

    Args:
        ask: Returns the answer to a request.
        scope: The request.
        receive: Its body.
        send: Takes the response.
        most: Bytes of a line at most, and about those of a part.

    Raises:
        ApiError: The first part could not be answered; later ones become errors of their lines.
    """
    started = False
    async with aclosing(_answered(ask, scope, receive, most)) as answered:
        with suppress(ClientDisconnect):  # the rest has no reader
            async for part, answer in answered:
                if not started:
                    if isinstance(answer, ApiError):
                        raise answer
                    if answer[0] != 200:
                        await send_answer(answer, scope, send)
                        return
                    headers = [pair for pair in answer[1] if pair[0] != b"content-length"]
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                    scope["route"], started = SimpleNamespace(path=answer[3]), True
                await send({"type": "http.response.body", "body": part.joined(answer), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _answered(
    ask: Callable[[Handed], Awaitable[Answer]], scope: Scope, receive: Receive, most: int
) -> AsyncGenerator[tuple[Part, Answer | ApiError]]:
    """Yield each part with its answer, in order; some are asked at once."""

    async def asked(part: Part) -> tuple[Part, Answer | ApiError]:
        try:
            return part, await ask(part.handed(scope))
        except ApiError as error:
            return part, error

    waiting: deque[asyncio.Future[tuple[Part, Answer | ApiError]]] = deque()
    try:
        async for part in _parts(Request(scope, receive), most):
            waiting.append(asyncio.ensure_future(asked(part)))
            if len(waiting) == PARTS:
                yield await waiting.popleft()
        while waiting:
            yield await waiting.popleft()
    finally:
        for one in waiting:
            one.cancel()


async def _parts(request: Request, most: int) -> AsyncIterator[Part]:
    """Yield the parts of a file; one without a line if it has none, so that the request is checked."""
    held: list[tuple[int, bytes | ApiError]] = []
    size, count = 0, 0
    async for number, raw in lines(request, most):
        held.append((number, raw))
        size += len(raw) if isinstance(raw, bytes) else 0
        if len(held) == AHEAD // PARTS or size >= most:
            yield Part(held)
            held, size, count = [], 0, count + 1
    if held or not count:
        yield Part(held)


def _reason(answer: Answer | ApiError) -> str:
    """Return why a part has no results, or nothing."""
    if isinstance(answer, ApiError):
        return answer.message
    return "" if answer[0] == 200 else str(json.loads(answer[2])["error"])
