"""The front of replicas: it takes requests, checks them, and hands them to processes elsewhere."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from jnlp.errors import JnlpError
from jnlp_serve.errors import ApiError
from jnlp_serve.loading import Loading
from jnlp_serve.metrics import CONTENT_TYPE, Metrics, merged
from jnlp_serve.middleware import Outer, is_file
from jnlp_serve.parts import send_file
from jnlp_serve.replica import request_of, send_answer
from jnlp_serve.requests import read_bytes
from jnlp_serve.waiting import answer_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from jnlp.types.tasks import Replicas
    from jnlp_serve.options import ServeOptions
    from jnlp_serve.replica import Answer
    from jnlp_serve.replica import Request as Handed


class Front(Loading):
    """An ASGI application whose requests are answered by replicas; `app` has the checks, metrics and log around it.

    Args:
        options: Limits and token.
        replicas: Started by `load`.
        log: Called with each line of the access log.
    """

    def __init__(self, options: ServeOptions, replicas: Replicas, /, *, log: Callable[[str], object] | None) -> None:
        super().__init__()
        self.options, self.metrics = options, Metrics()
        self._replicas = replicas
        self.app = Outer(self, self, log)

    def _load(self) -> None:
        self._replicas.start()
        most = self.options.max_requests * self._replicas.most
        self.options = dataclasses.replace(self.options, max_requests=most)

    def delay(self) -> float:
        """Return the seconds after which to ask again."""
        return 1.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["path"] == "/metrics" and scope["method"] == "GET":
            await (await self._metrics(scope))(scope, receive, send)
            return
        self.check_ready()
        if is_file(scope["path"]):
            await send_file(self.ask, scope, receive, send, self.options.max_bytes)
            return
        handed = request_of(scope, await read_bytes(Request(scope, receive)))
        asking = asyncio.ensure_future(self.ask(handed))
        try:
            found = await answer_of(asking, receive, self.options.timeout)
        finally:
            asking.cancel()
        await send_answer(found, scope, send)

    async def _metrics(self, scope: Scope) -> Response:
        """Return the metrics of this process, and those of each replica that this one has not."""
        found = await self._replicas.ask_all(request_of(scope, b"")) if self.ready else {}
        texts = {name: body for name, (status, _, body, _) in found.items() if status == 200}
        return Response(merged(self.metrics, texts), media_type=CONTENT_TYPE)

    async def ask(self, handed: Handed, /) -> Answer:
        """Return a replica's answer.

        Raises:
            ApiError: 503 if no replica could answer.
        """
        try:
            found: Answer = await self._replicas.ask(handed)
        except JnlpError as error:
            raise ApiError(503, error.message, hint=error.hint, headers={"Retry-After": "5"}) from error
        return found
