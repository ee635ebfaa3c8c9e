"""Pydantic models made from the dataclasses of tasks: request bodies from options, replies from results."""

from __future__ import annotations

import dataclasses
import typing
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError

from jnlp_serve.service import options_given

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from jnlp.options import Field as OptionField
    from jnlp.types import TaskSpec

Pair = Annotated[list[str], Field(min_length=2, max_length=2, title="Pair")]
"""Two texts, as JSON has them."""


def options_model(
    spec: TaskSpec[Any, Any],
    /,
    *,
    named: Mapping[str, Collection[str]],
    extra: Mapping[str, Any] = MappingProxyType({}),
) -> type[BaseModel]:
    """Return the model of a task's options.

    Args:
        spec: The task.
        named: For options that name something on this machine, the names that the service was given.
        extra: Further fields, as `create_model` takes them.
    """
    made: dict[str, Any] = {field.name: _field(field) for field in options_given(spec)}
    made |= {
        name: (Literal[tuple(values)] | None, Field(None, description="A name given when the service was started."))
        for name, values in named.items()
        if values
    }
    config = ConfigDict(extra="forbid", title=f"{_camel(spec.name)}Options")
    return create_model(f"{_camel(spec.name)}Options", __config__=config, **{**made, **extra})


def _field(field: OptionField) -> tuple[Any, Any]:
    option = field.option
    item: Any = field.item if field.kind is tuple else field.kind
    if option.choices:
        item = Literal[option.choices]
    bounds = {name: getattr(option, name) for name in ("ge", "gt", "le", "lt") if getattr(option, name) is not None}
    if item in (int, float):
        item = Annotated[item, Field(strict=item is int, allow_inf_nan=None if item is int else False, **bounds)]
    elif item is bool:
        item = Annotated[bool, Field(strict=True)]
    kind = list[item] if field.kind is tuple else item
    default = list(field.default) if field.kind is tuple else field.default
    return kind | None if field.optional else kind, Field(default, description=option.help)


def task_body(spec: TaskSpec[Any, Any], options: type[BaseModel], /) -> type[BaseModel]:
    """Return the model of the body of `POST /tasks/{name}`."""
    one: Any = str | Pair if spec.pairs else str
    inputs = Field(
        description="A text, or a list of texts" + (" or pairs." if spec.pairs else "."),
        examples=[["今日は良い天気です。"]],
    )
    return create_model(
        f"{_camel(spec.name)}Request",
        __config__=ConfigDict(extra="forbid"),
        inputs=(str | list[one], inputs),
        options=(options, Field(default_factory=options, description="The options of the task.")),
    )


def task_reply(spec: TaskSpec[Any, Any], /) -> dict[str, Any]:
    """Return the JSON schema of the reply of a task."""
    return {
        "type": "object",
        "required": ["results"],
        "properties": {"results": {"type": "array", "items": result_schema(spec.result)}},
    }


def result_schema(result: type, /) -> dict[str, Any]:
    """Return the JSON schema of a result, with its parts inside; fields of unknown types are left open."""
    try:
        schema = TypeAdapter(result).json_schema(mode="serialization")
    except (PydanticUndefinedAnnotation, PydanticSchemaGenerationError, PydanticUserError, NameError):
        names = [field.name for field in dataclasses.fields(result)]
        return {"type": "object", "required": names, "properties": {name: _open(result, name) for name in names}}
    return typing.cast("dict[str, Any]", _inline(schema, schema.get("$defs", {})))


def _open(result: type, name: str) -> dict[str, Any]:
    """Return the schema of a field whose type is known to type checkers alone: an array of numbers, or anything."""
    (kind,) = (field.type for field in dataclasses.fields(result) if field.name == name)
    return {"type": "array", "items": {"type": "number"}} if "Array" in str(kind) else {}


def _inline(value: Any, parts: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        if "$ref" in value:
            return _inline(parts[value["$ref"].rpartition("/")[2]], parts)
        return {key: _inline(item, parts) for key, item in value.items() if key != "$defs"}
    return [_inline(item, parts) for item in value] if isinstance(value, list) else value


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.replace("_", "-").split("-"))
