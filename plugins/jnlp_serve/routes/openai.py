"""`/v1/embeddings` and `/v1/models` in OpenAI's form: the `openai` package works with another `base_url`."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from jnlp.types import Purpose
from jnlp_serve.embedding import purpose_of, vectors_of
from jnlp_serve.errors import ApiError
from jnlp_serve.requests import describe_body, describe_reply, read_body, reply
from jnlp_serve.routes.tei import embedded
from jnlp_serve.service import RERANK

if TYPE_CHECKING:
    from fastapi import FastAPI

    from jnlp_serve.service import Service

REPLY: dict[str, Any] = {
    "type": "object",
    "required": ["object", "data", "model", "usage"],
    "properties": {
        "object": {"const": "list"},
        "model": {"type": "string"},
        "data": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["object", "index", "embedding"],
                "properties": {
                    "object": {"const": "embedding"},
                    "index": {"type": "integer"},
                    "embedding": {"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}]},
                },
            },
        },
        "usage": {
            "type": "object",
            "properties": {"prompt_tokens": {"type": "integer"}, "total_tokens": {"type": "integer"}},
        },
    },
}


class EmbeddingsRequest(BaseModel):
    """The body of `/v1/embeddings`."""

    model_config = ConfigDict(extra="ignore")
    input: str | list[str] = Field(examples=["東京の天気"])
    model: str | None = Field(None, description="A name of /v1/models. NAME:query and NAME:document set the purpose.")
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1, strict=True, description="Keep only the first so many dimensions.")
    purpose: str | None = Field(None, description="query, document, topic or similarity: the model's prefix.")


def add(app: FastAPI, service: Service, /) -> None:
    """Add the routes."""

    @app.post(
        "/v1/embeddings",
        summary="Return a vector for each text.",
        tags=["openai"],
        openapi_extra=describe_body(app, EmbeddingsRequest),
        responses=describe_reply(app, REPLY),
    )
    async def embeddings(request: Request) -> Response:
        service.check_ready()
        made = await read_body(request, EmbeddingsRequest)
        purpose = _purpose(service, made)
        texts = [made.input] if isinstance(made.input, str) else made.input
        found = await embedded(request, service, texts, purpose, where="input")
        vectors = vectors_of(found, unit=True, dimensions=made.dimensions)
        rows = [base64.b64encode(row.tobytes()).decode() for row in vectors] if _packed(made) else vectors.tolist()
        tokens = sum(one.tokens for one in found)
        return reply(
            {
                "object": "list",
                "data": [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)],
                "model": made.model or service.embedding_model,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
        )

    @app.get("/v1/models", summary="List the models.", tags=["openai"])
    async def models() -> Response:
        return reply({"object": "list", "data": [_model(name) for name in served_models(service)]})

    @app.get("/v1/models/{name:path}", summary="Describe a model.", tags=["openai"])
    async def model(name: str) -> Response:
        if name not in served_models(service):
            raise _unknown(service, name)
        return reply(_model(name))


def served_models(service: Service, /) -> list[str]:
    """Return the names that `model` of a request may have."""
    name = service.embedding_model
    others = [service.models[RERANK]] if RERANK in service.models else []
    return [name, *(f"{name}:{purpose.value}" for purpose in Purpose), *others]


def _packed(made: EmbeddingsRequest) -> bool:
    return made.encoding_format == "base64"


def _purpose(service: Service, made: EmbeddingsRequest) -> Purpose:
    if made.model is None:
        return purpose_of(made.purpose)
    if made.model not in served_models(service):
        raise _unknown(service, made.model)
    suffix = made.model.removeprefix(service.embedding_model).removeprefix(":")
    return purpose_of(made.purpose or suffix or None, where="purpose")


def _unknown(service: Service, name: str) -> ApiError:
    return ApiError(
        404, f"no model is called '{name[:80]}'", hint=f"there is {service.embedding_model}", code="model_not_found"
    )


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "jnlp"}
