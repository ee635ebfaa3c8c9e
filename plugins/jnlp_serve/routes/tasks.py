"""`POST /tasks/{name}` for each task, `GET /tasks`, and `POST /tasks/{name}/file` for JSONL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from jnlp.errors import JnlpError
from jnlp_serve.errors import ApiError, api_error
from jnlp_serve.jsonl import Lines, stream_jsonl
from jnlp_serve.requests import describe_body, describe_reply, parse, read_body, reply
from jnlp_serve.schemas import options_model, task_body, task_reply
from jnlp_serve.service import SEARCH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from pydantic import BaseModel

    from jnlp.types import TaskSpec, Text
    from jnlp_serve.service import Service


def add(app: FastAPI, service: Service, /) -> None:
    """Add the routes of all tasks."""
    specs = [spec for spec in service.tasks() if spec.name != SEARCH or service.indexes]

    @app.get("/tasks", summary="List the tasks.", tags=["tasks"])
    async def tasks() -> Response:
        return reply(
            {
                "tasks": [
                    {"name": spec.name, "summary": spec.summary, "pairs": spec.pairs, "model": service.model(spec.name)}
                    for spec in specs
                ]
            }
        )

    for spec in specs:
        _add_task(app, service, spec)


def _add_task(app: FastAPI, service: Service, spec: TaskSpec[Any, Any]) -> None:
    named = {"index": service.indexes.names} if spec.name == SEARCH else {}
    options = options_model(spec, named=named)
    body = task_body(spec, options)

    async def run(request: Request) -> Response:
        service.check_ready()
        made: Any = await read_body(request, body)
        texts = [made.inputs] if isinstance(made.inputs, str) else [_text(item) for item in made.inputs]
        service.check_count(texts)
        found = await service.run_task(request, spec.name, texts, given_options(service, made.options))
        for number, result in enumerate(found):
            if isinstance(result, BaseException):
                raise failed_at(result, f"inputs[{number}]" if len(texts) > 1 else "inputs")
        return reply({"results": found})

    async def run_file(request: Request) -> Response:
        service.check_ready()
        given = parse(_query_json(request), options)
        lane = await service.in_thread(service.task_lane, spec.name, given_options(service, given))
        return Lines(stream_jsonl(request, service, lane, pairs=spec.pairs))

    app.add_api_route(
        f"/tasks/{spec.name}",
        run,
        methods=["POST"],
        summary=spec.summary,
        name=f"task-{spec.name}",
        tags=["tasks"],
        openapi_extra=describe_body(app, body),
        responses=describe_reply(app, task_reply(spec)),
    )
    app.add_api_route(
        f"/tasks/{spec.name}/file",
        run_file,
        methods=["POST"],
        summary=f"{spec.summary} JSONL in, JSONL out.",
        name=f"task-{spec.name}-file",
        tags=["files"],
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/jsonl": {"schema": {"type": "string"}}}},
            "parameters": [
                {
                    "name": "options",
                    "in": "query",
                    "schema": {"type": "string"},
                    "description": "The options of the task, as a JSON object.",
                }
            ],
        },
    )


def given_options(service: Service, options: BaseModel, /) -> Mapping[str, Any]:
    """Return the options that a request has set; the name of an index becomes its folder."""
    given = options.model_dump(exclude_unset=True)
    if given.get("index") is not None:
        given["index"] = str(service.indexes.get(given["index"]).path)
    elif "index" in type(options).model_fields:
        given["index"] = str(service.indexes.get(service.indexes.names[0]).path)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def failed_at(error: BaseException, where: str, /) -> ApiError:
    """Return the response to one text that could not be processed; a bug is raised as it is."""
    if not isinstance(error, JnlpError):
        raise error
    found = api_error(error)
    found.message = f"{where}: {found.message}"
    return found


def _text(item: str | list[str]) -> Text:
    return item if isinstance(item, str) else (item[0], item[1])


def _query_json(request: Request) -> bytes:
    return request.query_params.get("options", "{}").encode("utf-8", "surrogatepass")
