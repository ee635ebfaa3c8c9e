"""The application: `create_app(engine, indexes, options)` returns it, ready for any ASGI server."""

from __future__ import annotations

import dataclasses
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from jnlp import __version__
from jnlp_serve.errors import ApiError, response_of
from jnlp_serve.middleware import Outer
from jnlp_serve.options import ServeOptions
from jnlp_serve.service import Service, make_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from jnlp.engine import Engine
    from jnlp.types import Settings
    from jnlp_serve.job import Job

ROUTES = ("meta", "page", "tasks", "search", "tei", "openai", "rerank")
"""The modules of `jnlp_serve.routes`; each has `add(app, service)`."""


def create_app(
    engine: Engine,
    indexes: Mapping[str, Any],
    options: ServeOptions | None = None,
    /,
    *,
    models: Mapping[str, str] | None = None,
    log: Callable[[str], object] | None = None,
    load: bool = True,
) -> FastAPI:
    """Return the application; `app.state.service` is its `Service`.

    Args:
        engine: Plugins, settings and models.
        indexes: By name, open indexes or their folders.
        options: Limits, token, tasks; None is the default.
        models: The model of a task, by the task's name.
        log: Called with each line of the access log.
        load: Load the models when the server starts; until then every route but `/health` answers 503.

    Example:
        >>> app = create_app(jnlp.load(), {"rules": "my.idx"})  # doctest: +SKIP
        >>> uvicorn.run(app)  # doctest: +SKIP
    """
    from importlib import import_module

    service = make_service(engine, indexes, options or ServeOptions(), models=models)
    app = FastAPI(
        title="jnlp",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan(service) if load else None,
    )
    app.state.service, app.state.components = service, {}
    for name in ROUTES:
        import_module(f"jnlp_serve.routes.{name}").add(app, service)
    _answer_errors(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    app.add_middleware(Outer, service=service, log=log)
    return app


def loaded_app(job: Job, settings: Settings, /, *, log: Callable[[str], object] | None = None) -> FastAPI:
    """Return the application of a worker process or a replica, its models loaded.

    Args:
        job: What is served.
        settings: The settings of this process.
        log: Called with each line of the access log.

    Raises:
        JnlpError: A model cannot be loaded.
    """
    from jnlp.engine import load

    engine = load(**dataclasses.asdict(settings))
    engine.converted = Path(job.shared) if job.shared else None
    app = create_app(engine, job.indexes, job.options, models=job.models, log=log, load=False)
    service: Service = app.state.service
    service.load()
    if service.problem is not None:
        raise service.problem
    return app


def _lifespan(service: Service) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=service.load, daemon=True, name="jnlp-load").start()
        yield
        service.close()

    return lifespan


def _answer_errors(app: FastAPI) -> None:
    """Give all errors one form."""

    async def known(request: Request, error: ApiError) -> Response:
        return response_of(error, request.url.path)

    async def http(request: Request, error: HTTPException) -> Response:
        reasons = {404: "there is no such page", 405: "the method is not allowed here"}
        found = ApiError(error.status_code, reasons.get(error.status_code, str(error.detail)), headers=error.headers)
        if error.status_code == 404:
            found.hint = "GET /docs lists the routes"
        return response_of(found, request.url.path)

    async def invalid(request: Request, error: Any) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "body"
        return response_of(ApiError(422, f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}"), request.url.path)

    from fastapi.exceptions import RequestValidationError

    app.add_exception_handler(ApiError, known)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, http)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, invalid)


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, routes=app.routes)
        error = {
            "type": "object",
            "properties": {"error": {}, "error_type": {"type": "string"}},
            "required": ["error"],
        }
        made.setdefault("components", {}).setdefault("schemas", {}).update({"Error": error, **app.state.components})
        app.openapi_schema = made
    return app.openapi_schema
