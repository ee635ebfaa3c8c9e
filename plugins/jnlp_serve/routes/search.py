"""`/search` over the indexes, `/documents/{id}`, and `/indexes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from jnlp.types.search import GOOD_SCORE
from jnlp_serve.found import describe_indexes, find, find_document
from jnlp_serve.requests import check_text, describe_body, describe_reply, read_body, reply
from jnlp_serve.schemas import options_model
from jnlp_serve.service import SEARCH

if TYPE_CHECKING:
    from fastapi import FastAPI

    from jnlp_serve.service import Service

REPLY: dict[str, Any] = {
    "type": "object",
    "required": ["query", "hits", "good_match", "next"],
    "properties": {
        "query": {"type": "string"},
        "good_match": {"type": "boolean", "description": f"Whether the best hit scores at least {GOOD_SCORE}."},
        "next": {"type": ["integer", "null"], "description": "The `offset` of the next page; null at the end."},
        "hits": {"type": "array", "items": {"type": "object", "description": "A hit; see docs/search.md."}},
    },
}


def add(app: FastAPI, service: Service, /) -> None:
    """Add the routes of search; without an index they answer 404."""
    names = service.indexes.names
    one: Any = Literal[tuple(names)] if names else str
    extra = {
        "query": (str, Field(description="Words or a question.", examples=["休暇は何日か"])),
        "index": (one | list[one] | None, Field(None, description="The indexes to search, by name; default: all.")),
    }
    spec = service.engine.task(SEARCH)
    body = options_model(spec, named={"rerank": _rerankers(service)}, extra=extra)
    body.__name__ = "SearchRequest"

    @app.get("/indexes", summary="List the indexes.", tags=["search"])
    async def indexes() -> Response:
        return reply({"indexes": await service.in_thread(describe_indexes, service.indexes)})

    @app.post(
        "/search",
        summary="Search the indexes: passages with offsets and highlights.",
        tags=["search"],
        openapi_extra=describe_body(app, body),
        responses=describe_reply(app, REPLY),
    )
    async def search(request: Request) -> Response:
        service.check_ready()
        made: Any = await read_body(request, body)
        given = made.model_dump(exclude_unset=True)
        query, index = given.pop("query"), given.pop("index", None)
        return reply(await service.in_thread(find, service.indexes, query, index, given))

    @app.get("/search", summary="Search the indexes.", tags=["search"], responses=describe_reply(app, REPLY))
    async def search_by_address(
        q: Annotated[str, Query(description="Words or a question.")],
        index: Annotated[list[str] | None, Query(description="The indexes to search, by name; default: all.")] = None,
        top: Annotated[int, Query(ge=1, le=1000, description="How many hits.")] = 10,
        offset: Annotated[int, Query(ge=0, le=100_000, description="Leave out the first so many.")] = 0,
        where: Annotated[str | None, Query(description="A condition on documents.")] = None,
    ) -> Response:
        service.check_ready()
        given = {"top": top, "offset": offset, "where": None if where is None else check_text(where, "where")}
        return reply(await service.in_thread(find, service.indexes, check_text(q, "q"), index, given))

    @app.get(
        "/documents/{id:path}",
        summary="Return a document of an index, with its passages and their places.",
        tags=["search"],
        responses=describe_reply(app, {"type": "object"}),
    )
    async def document(
        id: str,
        index: Annotated[str | None, Query(description="The index; may be left out if there is one.")] = None,
        chunk: Annotated[int | None, Query(ge=0, description="A passage whose place in the text to return.")] = None,
    ) -> Response:
        service.check_ready()
        return reply(await service.in_thread(find_document, service.indexes, check_text(id, "id"), index, chunk))


def _rerankers(service: Service) -> list[str]:
    model = service.models.get("rerank")
    return [model] if model else []
