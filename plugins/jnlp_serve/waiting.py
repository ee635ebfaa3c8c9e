"""Waits for an answer, as long as the client does and the time of a request is not over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from jnlp_serve.errors import ApiError

if TYPE_CHECKING:
    from starlette.types import Receive

T = TypeVar("T")


async def answer_of(done: asyncio.Future[T], receive: Receive, seconds: float, /) -> T:
    """Return a future's result; the future itself goes on if it is not waited for any more.

    Raises:
        ApiError: 504 if it takes longer, 499 if the client has gone.
    """
    if done.done():
        return done.result()
    gone = asyncio.ensure_future(_gone(receive))
    both: set[asyncio.Future[Any]] = {done, gone}
    try:
        await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if done.done():
            return done.result()
        if gone.done():
            raise ApiError(499, "the client has gone")
        raise late(seconds)
    finally:
        gone.cancel()


def late(seconds: float, /) -> ApiError:
    """Return the error of a request that takes too long."""
    return ApiError(504, f"the request took longer than {seconds:g} s", hint="send fewer texts, or shorter ones")


async def _gone(receive: Receive) -> None:
    """Return when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
