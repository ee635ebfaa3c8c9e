"""Reads the body of a request: bounded, JSON, and of the right types; every fault is one clear error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from jnlp.strict_json import dumps
from jnlp.surrogates import lone_surrogate
from jnlp_serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

M = TypeVar("M", bound=BaseModel)

SHOWN = 80
"""Characters of a value that an error quotes."""


class Body(BaseModel):
    """The base of request bodies: unknown fields are an error, and strings are not converted to numbers."""

    model_config = ConfigDict(extra="forbid")


async def read_body(request: Request, model: type[M], /) -> M:
    """Return the body as a `model`.

    Raises:
        ApiError: 413 if it is too large, 400 if it is no JSON, 422 if a value is not allowed.
    """
    raw = await read_bytes(request)
    return parse(raw, model)


async def read_bytes(request: Request, /) -> bytes:
    """Return the body; the middleware bounds its size."""
    try:
        return await request.body()
    except ClientDisconnect as error:
        raise ApiError(499, "the client has gone") from error


def parse(raw: bytes, model: type[M], /) -> M:
    """Return JSON as a `model`; see `read_body`."""
    try:
        made = model.model_validate_json(raw)
    except ValidationError as error:
        raise _refused(error) from None
    if b"\\u0000" in raw:
        _refuse_nul(made.model_dump(), "")
    return made


def _refused(error: ValidationError) -> ApiError:
    """Return the first fault of a body as an error."""
    first = max(error.errors(include_url=False, include_input=False), key=lambda one: len(one["loc"]))
    if first["type"] == "json_invalid":
        return ApiError(400, f"the body is no valid JSON: {first['ctx']['error']}")
    where = _path([part for part in first["loc"] if isinstance(part, int) or not _is_type(part)])
    return ApiError(422, f"{where}: {_lower(first['msg'])}")


def _is_type(part: str) -> bool:
    """Return True for what pydantic adds to a location to name a member of a union."""
    return part in ("str", "int", "float", "bool", "dict") or any(sign in part for sign in "[](")


def _path(parts: list[int | str]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_shown(part)}" for part in parts).lstrip(".")
    return text or "body"


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _refuse_nul(value: Any, where: str) -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise ApiError(422, f"{where} has a NUL character", hint="remove it")
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_nul(item, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            _refuse_nul(item, f"{where}[{number}]")


def check_text(value: str, where: str, /) -> str:
    """Return a text of a query string; refuse what JSON bodies may not hold either."""
    _refuse_nul(value, where)
    if lone_surrogate(value) is not None:
        raise ApiError(422, f"{where} is not text in UTF-8")
    return value


def reply(value: Any, /, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a value as a JSON response."""
    return Response(dumps(value).encode(), status, dict(headers or {}), media_type="application/json")


def describe_body(app: FastAPI, model: type[BaseModel], /) -> dict[str, Any]:
    """Return the `openapi_extra` of a route with this body; its parts are added to the app's components."""
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _schema(app, model)}},
        }
    }


def describe_reply(
    app: FastAPI, model: type[BaseModel] | dict[str, Any], text: str = "The result."
) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route: its result, and the errors that every route may answer."""
    schema = model if isinstance(model, dict) else _schema(app, model)
    reasons = {
        400: "The body is no JSON.",
        401: "The token is missing or wrong.",
        403: "The request comes from another site.",
        404: "There is no such model, index or document.",
        413: "The request is too large.",
        422: "A value is not allowed.",
        424: "The service has no model for this.",
        429: "Too many requests are waiting; try again after `Retry-After` seconds.",
        503: "Models are being loaded.",
        504: "The request took too long.",
    }
    found: dict[int | str, dict[str, Any]] = {
        200: {"description": text, "content": {"application/json": {"schema": schema}}}
    }
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return found | {status: {"description": reason, "content": error} for status, reason in reasons.items()}


def _schema(app: FastAPI, model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    components: dict[str, Any] = app.state.components
    components.update(schema.pop("$defs", {}))
    components[model.__name__] = schema
    return {"$ref": f"#/components/schemas/{model.__name__}"}
