"""`/v1/rerank` in the form of Cohere and Jina."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from jnlp_serve.errors import ApiError
from jnlp_serve.requests import describe_body, describe_reply, read_body, reply
from jnlp_serve.routes.tei import relevance
from jnlp_serve.service import RERANK

if TYPE_CHECKING:
    from fastapi import FastAPI

    from jnlp_serve.service import Service

REPLY: dict[str, Any] = {
    "type": "object",
    "required": ["model", "results"],
    "properties": {
        "model": {"type": "string"},
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "relevance_score"],
                "properties": {
                    "index": {"type": "integer"},
                    "relevance_score": {"type": "number"},
                    "document": {"type": "object", "properties": {"text": {"type": "string"}}},
                },
            },
        },
    },
}


class Document(BaseModel):
    """A document as an object."""

    model_config = ConfigDict(extra="ignore")
    text: str


class V1RerankRequest(BaseModel):
    """The body of `/v1/rerank`."""

    model_config = ConfigDict(extra="ignore")
    query: str = Field(examples=["休暇は何日か"])
    documents: list[str | Document]
    model: str | None = None
    top_n: int | None = Field(None, ge=1, strict=True, description="Return only the best so many.")
    return_documents: bool = False


def add(app: FastAPI, service: Service, /) -> None:
    """Add the route."""

    @app.post(
        "/v1/rerank",
        summary="Return the relevance of each document to the query, the best first.",
        tags=["rerank"],
        openapi_extra=describe_body(app, V1RerankRequest),
        responses=describe_reply(app, REPLY),
    )
    async def rerank(request: Request) -> Response:
        service.check_ready()
        made = await read_body(request, V1RerankRequest)
        name = service.models.get(RERANK)
        if made.model is not None and name is not None and made.model != name:
            raise ApiError(
                404, f"no reranker is called '{made.model[:80]}'", hint=f"there is {name}", code="model_not_found"
            )
        texts = [one if isinstance(one, str) else one.text for one in made.documents]
        scores = await relevance(request, service, made.query, texts, where="documents")
        order = sorted(range(len(scores)), key=lambda number: -scores[number])[: made.top_n]
        rows = [
            {"index": i, "relevance_score": scores[i]}
            | ({"document": {"text": texts[i]}} if made.return_documents else {})
            for i in order
        ]
        return reply({"model": name, "results": rows})
