"""Reads options dataclasses: lists their fields, and checks and converts values.

The command line, the config file, the docs and jobs all build options here, so a bound is written only once.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
from enum import Enum
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from jnlp.errors import UsageError
from jnlp.surrogates import lone_surrogate
from jnlp.types import Option
from jnlp.types.options import to_json as to_json

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

O = TypeVar("O")  # noqa: E741


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One field of an options dataclass.

    Args:
        name: The attribute.
        kind: The type without `None` and without annotation: bool, int, float, str, Path, an Enum, or tuple.
        item: The type of the items of a tuple.
        optional: True if None is allowed.
        default: The default value.
        option: What the field means.
    """

    name: str
    kind: type
    item: type
    optional: bool
    default: Any
    option: Option

    @property
    def local(self) -> bool:
        """True if the value names something on this machine: a file, a folder, a model."""
        return self.option.local or issubclass(self.kind, PurePath)

    @property
    def key(self) -> str:
        """The name in a config file and on the command line: `on-overflow`."""
        return self.name.replace("_", "-")


def fields(options: type, /) -> tuple[Field, ...]:
    """Return the fields of an options dataclass.

    Raises:
        TypeError: A field has no default, no `Option`, or a type that the command line cannot express.
    """
    return _fields(options)


@cache
def _fields(options: Hashable) -> tuple[Field, ...]:
    assert isinstance(options, type)
    hints = get_type_hints(options, include_extras=True)
    return tuple(_field(options, field, hints[field.name]) for field in dataclasses.fields(options))


def _field(owner: type, field: dataclasses.Field[Any], hint: Any) -> Field:
    where = f"{owner.__name__}.{field.name}"
    if get_origin(hint) is not Annotated:
        raise TypeError(f"{where} needs Annotated[…, Option(help=…)]")
    bare, *notes = get_args(hint)
    option = next((note for note in notes if isinstance(note, Option)), None)
    if option is None:
        raise TypeError(f"{where} has no Option")
    if field.default is dataclasses.MISSING:
        raise TypeError(f"{where} needs a default")
    optional = False
    if get_origin(bare) in (Union, types.UnionType):
        members = [member for member in get_args(bare) if member is not type(None)]
        optional, bare = len(members) < len(get_args(bare)), members[0]
    item: type = str
    if get_origin(bare) is tuple:
        item, bare = get_args(bare)[0], tuple
    if bare not in (bool, int, float, str, Path, tuple) and not (isinstance(bare, type) and issubclass(bare, Enum)):
        raise TypeError(f"{where} has a type without a command-line form: {bare}")
    return Field(field.name, bare, item, optional, field.default, option)


def build(options: type[O], values: Mapping[str, Any], /, *, where: str = "") -> O:
    """Return an options object from values; each is checked and converted.

    Args:
        options: The options dataclass.
        values: By attribute or key (`on_overflow` or `on-overflow`).
        where: The source of the values, for messages: "fill-mask".

    Raises:
        UsageError: An unknown name, a value of another type or out of bounds.
    """
    known = {name: field for field in fields(options) for name in (field.name, field.key)}
    made: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            names = ", ".join(field.key for field in fields(options)) or "none"
            raise UsageError(f"{where + ': ' if where else ''}no option is called '{name}'", hint=f"there are: {names}")
        made[known[name].name] = check(known[name], value, where=where)
    return options(**made)


def check(field: Field, value: Any, /, *, where: str = "") -> Any:
    """Return `value` converted to the field's type.

    Raises:
        UsageError: It cannot be, or is out of bounds.
    """
    prefix = f"{where}: " if where else ""
    try:
        converted = _convert(field, value)
    except UsageError as error:
        raise UsageError(f"{prefix}{field.key}: {error.message}", hint=error.hint) from error
    except (TypeError, ValueError) as error:
        allowed = _describe_allowed(field)
        raise UsageError(f"{prefix}{field.key} cannot be {value!r}", hint=f"it is {allowed}") from error
    bounds = (field.option.ge, field.option.gt, field.option.le, field.option.lt)
    items = converted if isinstance(converted, tuple) else (converted,)
    if any(bound is not None for bound in bounds) and not all(_within(field.option, item) for item in items):
        raise UsageError(f"{prefix}{field.key} cannot be {value!r}", hint=f"it is {_describe_allowed(field)}")
    return converted


def _convert(field: Field, value: Any) -> Any:
    if field.optional and (value is None or (field.option.none is not None and value == field.option.none)):
        return None
    if value is None:
        raise TypeError(field.name)
    if field.kind is tuple:
        parts = _parts(value) if isinstance(value, str) else value
        return tuple(_scalar(field.item, part, field.option) for part in parts)
    return _scalar(field.kind, value, field.option)


def _parts(value: str) -> list[str]:
    """Return the items between commas. Without a comma, split at 、 or ，, unless nothing else would remain."""
    for separators in (r",", r"[、，]"):
        parts = [part.strip() for part in re.split(separators, value)]
        if len(parts) > 1 and any(parts):
            return [part for part in parts if part]
    return [value.strip()] if value.strip() else []


def _scalar(kind: type, value: Any, option: Option) -> Any:
    if kind is bool:
        return _boolean(value)
    if kind in (int, float) and isinstance(value, bool):
        raise TypeError(value)
    if kind is int and isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    construct: Any = kind
    converted = _member(kind, value) if issubclass(kind, Enum) else construct(value)
    if isinstance(converted, float) and not math.isfinite(converted):  # a job is JSON, which has no such number
        raise ValueError(value)
    if isinstance(converted, str) and not isinstance(converted, Enum):
        converted = text_of(converted)
    if option.choices and converted not in option.choices:
        raise ValueError(value)
    return converted


def text_of(value: str, /) -> str:
    """Return `value` if it is valid text. Undecodable bytes of an argument arrive as lone surrogates.

    Raises:
        UsageError: It is not valid.
    """
    if lone_surrogate(value) is not None:
        raise UsageError(f"{value!r} is not text in UTF-8")
    return value


def _member(kind: type[Enum], value: Any) -> Enum:
    """Return the member that a value, or its text, names."""
    for member in kind:
        if value is member or value == member.value or value == str(member.value):
            return member
    raise ValueError(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if str(value).lower() not in words:
        raise ValueError(value)
    return words[str(value).lower()]


def _within(option: Option, value: Any) -> bool:
    if value is None:
        return True
    return (
        (option.ge is None or value >= option.ge)
        and (option.gt is None or value > option.gt)
        and (option.le is None or value <= option.le)
        and (option.lt is None or value < option.lt)
    )


def _describe_allowed(field: Field) -> str:
    if field.option.choices:
        return "one of " + ", ".join(field.option.choices)
    if issubclass(field.kind, Enum):
        return "one of " + ", ".join(str(member.value) for member in field.kind)
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}
    limits = (("≥", field.option.ge), (">", field.option.gt), ("≤", field.option.le), ("<", field.option.lt))
    bounds = [f"{sign} {bound:g}" for sign, bound in limits if bound is not None]
    allowed = " ".join([names.get(field.kind, "a list"), " and ".join(bounds)]).rstrip()
    return f"{field.option.none} or {allowed}" if field.option.none else allowed
