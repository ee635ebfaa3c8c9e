"""A file as a request: JSONL in, JSONL out, in order and in bounded memory."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from jnlp.errors import JnlpError
from jnlp.strict_json import dumps
from jnlp_serve.batching import Overloaded
from jnlp_serve.errors import ApiError
from jnlp_serve.requests import parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from jnlp.types import Text
    from jnlp_serve.batching import Lane, Work
    from jnlp_serve.service import Service

AHEAD = 256
"""Lines that are in the queue at once."""


NUMBERS = "jnlp.lines"
"""The entry of a request's scope with the numbers of its lines, where it is a part of a file."""


class Line(BaseModel):
    """One line of the input."""

    model_config = ConfigDict(extra="allow")
    text: str
    text_pair: str | None = None
    id: str | int | None = Field(default=None)


class Lines(Response):
    """A response that is written while the request is still being read."""

    def __init__(self, lines: AsyncIterator[bytes], /) -> None:
        super().__init__(media_type="application/jsonl")
        del self.headers["content-length"]
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines as they come; Starlette's own streaming would read the request itself."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for line in self._lines:
                await send({"type": "http.response.body", "body": line, "more_body": True})
        except ClientDisconnect:  # the rest is not read
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def stream_jsonl(request: Request, service: Service, lane: Lane, /, *, pairs: bool) -> AsyncIterator[bytes]:
    """Yield an output line for each line of the body: its number, its other fields, and `result`, or `error`.

    The body is read as results are taken, so a file of any size needs the same memory; lines are bounded by
    `max_bytes`.
    """
    waiting: deque[tuple[dict[str, Any], Work | str]] = deque()
    numbers: list[int] | None = request.scope.get(NUMBERS)
    try:
        async for at, raw in lines(request, service.options.max_bytes):
            number = at if numbers is None else numbers[at - 1]
            waiting.append(await _submit(service, lane, number, raw, pairs=pairs))
            while len(waiting) >= AHEAD or (waiting and _is_done(waiting[0][1])):
                yield await _row(*waiting.popleft())
        while waiting:
            yield await _row(*waiting.popleft())
    finally:
        for _, work in waiting:
            if not isinstance(work, str):
                service.batcher.cancel(work)


async def _submit(
    service: Service, lane: Lane, number: int, raw: bytes | ApiError, *, pairs: bool
) -> tuple[dict[str, Any], Work | str]:
    """Queue one line; while the queue is full, wait."""
    fields: dict[str, Any] = {"line": number}
    try:
        if isinstance(raw, ApiError):
            raise raw
        line = parse(raw, Line)
        fields |= line.model_dump(exclude={"text", "text_pair", "line"}, exclude_unset=True)
        text: Text = line.text
        if line.text_pair is not None:
            if not pairs:
                raise ApiError(422, "text_pair: this task reads one text")
            text = (line.text, line.text_pair)
    except ApiError as error:
        return fields, error.message
    while True:
        try:
            return fields, service.batcher.submit(lane, [text])
        except Overloaded as full:
            await asyncio.sleep(min(max(full.seconds, 0.01), 0.5))
        except JnlpError as error:
            return fields, error.message


def _is_done(work: Work | str) -> bool:
    return isinstance(work, str) or work.future.done()


async def _row(fields: dict[str, Any], work: Work | str) -> bytes:
    if isinstance(work, str):
        return line_of({**fields, "error": work})
    try:
        (found,) = await asyncio.wrap_future(work.future)
    except JnlpError as error:
        found = error
    if isinstance(found, JnlpError):
        return line_of({**fields, "error": str(found)})
    if isinstance(found, BaseException):
        raise found
    return line_of({**fields, "result": found})


def line_of(value: dict[str, Any], /) -> bytes:
    """Return a line of the output."""
    return dumps(value).encode() + b"\n"


async def lines(request: Request, most: int, /) -> AsyncIterator[tuple[int, bytes | ApiError]]:
    """Yield the lines of a body with their numbers from 1; empty ones are left out, one too long is an error."""
    number, rest, dropping = 0, b"", False
    async for part in request.stream():
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            number += 1
            if dropping:
                dropping = False
                continue
            if line.strip():
                yield number, line if len(line) <= most else _too_long(most)
        if len(rest) > most:
            if not dropping:
                yield number + 1, _too_long(most)
            rest, dropping = b"", True
    if rest.strip() and not dropping:
        yield number + 1, rest


def _too_long(most: int) -> ApiError:
    return ApiError(413, f"the line has more than {most:,} bytes")
