"""`/health`, `/metrics`, `/openapi.json` and `/docs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, Response

from jnlp_serve.errors import ApiError
from jnlp_serve.metrics import CONTENT_TYPE
from jnlp_serve.reference import STYLE, reference
from jnlp_serve.requests import reply

if TYPE_CHECKING:
    from fastapi import FastAPI

    from jnlp_serve.service import Service


def add(app: FastAPI, service: Service, /) -> None:
    """Add the routes about the service itself."""

    @app.get("/health", summary="Say whether the service is ready.", tags=["service"])
    async def health() -> Response:
        service.check_ready()
        if service.stopping:
            raise ApiError(503, "the service is stopping")
        return reply({"status": "ok"})

    @app.get("/metrics", summary="Return metrics for Prometheus.", tags=["service"])
    async def metrics() -> Response:
        return Response(service.metrics.render(), media_type=CONTENT_TYPE)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return reply(app.openapi())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(reference(app.openapi()))

    @app.get("/docs/style.css", include_in_schema=False)
    async def style() -> Response:
        return Response(STYLE, media_type="text/css")
