"""`/`, `/view` and `/try`: the pages for people, and their files."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from jnlp_serve.errors import ApiError
from jnlp_serve.found import describe_indexes, find, find_document
from jnlp_serve.page import render
from jnlp_serve.page.state import PER_PAGE, State
from jnlp_serve.page.words import language
from jnlp_serve.requests import check_text

if TYPE_CHECKING:
    from fastapi import FastAPI

    from jnlp_serve.service import Service

_TYPES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "view.js": "text/javascript",
    "try.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def add(app: FastAPI, service: Service, /) -> None:
    """Add the pages."""

    @app.get("/", include_in_schema=False)
    async def home(request: Request) -> Response:
        service.check_ready()
        state = _state(request)
        indexes = await service.in_thread(describe_indexes, service.indexes)
        found: dict[str, Any] | None = None
        if state.query and indexes:
            given = {"top": PER_PAGE, "offset": state.offset, "where": state.where(), "evidence": True}
            found = await service.in_thread(find, service.indexes, state.query, state.index or None, given)
        if request.query_params.get("part") == "results":
            return HTMLResponse(render.results(state, found, indexes) if found else "")
        return HTMLResponse(render.search_page(state, found, indexes))

    @app.get("/view", include_in_schema=False)
    async def view(request: Request) -> Response:
        service.check_ready()
        values = request.query_params
        name, chunk = values.get("id"), values.get("chunk", "")
        if not name:
            return RedirectResponse("/")
        number = int(chunk) if chunk.isascii() and chunk.isdigit() and len(chunk) < 9 else None
        found = await service.in_thread(
            find_document, service.indexes, check_text(name, "id"), values.get("index") or None, number
        )
        tongue = _state(request).language
        whole = render.reader if values.get("part") == "reader" else render.view_page
        return HTMLResponse(whole(found, tongue))

    @app.get("/try", include_in_schema=False)
    async def attempt(request: Request) -> Response:
        return HTMLResponse(render.try_page([spec.name for spec in service.tasks()], _state(request).language))

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in _TYPES:
            raise ApiError(404, "there is no such file")
        text = files("jnlp_serve.page").joinpath("static", name).read_text(encoding="utf-8")
        return Response(text, media_type=_TYPES[name], headers={"cache-control": "max-age=300"})


def _state(request: Request) -> State:
    values = {name: check_text(value, name) for name, value in request.query_params.items()}
    return State.read(values, language(values.get("lang"), request.headers.get("accept-language", "")))
