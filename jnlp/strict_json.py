"""JSON that every reader takes: no NaN, Japanese unescaped, one form for dates, enums, arrays and the like.

Everything that jnlp writes as JSON is written here.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Any

from jnlp.errors import JnlpError
from jnlp.patterns import deferred


def to_plain(value: Any, /) -> object:
    """Return what JSON has for a value that it lacks: dates, decimals, bytes (base64), arrays, dataclasses.

    Raises:
        TypeError: Nothing is known about its type.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (bytes, bytearray)):
        import base64

        return base64.b64encode(value).decode("ascii")
    if hasattr(value, "tolist"):  # numpy arrays and numbers, without importing numpy
        return value.tolist()
    return _to_text(value)


def _to_text(value: Any) -> object:
    """Return what JSON has for values of classes that few programs load."""
    from datetime import date, time, timedelta
    from decimal import Decimal
    from uuid import UUID

    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (Decimal, PurePath, UUID)):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def dumps(
    value: object,
    /,
    *,
    indent: int | None = None,
    sort_keys: bool = False,
    ascii: bool = False,
    default: Callable[[Any], object] = to_plain,
) -> str:
    r"""Return a value as JSON; a number that is not finite becomes null.

    Args:
        value: The value.
        indent: Blanks of each level; None for one line.
        sort_keys: Whether objects are sorted by key.
        ascii: Escape what is not ASCII: for text that may hold lone surrogates, such as file names.
        default: Returns what JSON has for a value that it lacks.

    Raises:
        TypeError: A value has no JSON form.

    Example:
        >>> dumps({"評価": [1, float("nan")]})
        '{"評価": [1, null]}'
    """
    encode = _encoder(indent, sort_keys, ascii, default).encode
    try:
        return encode(value)
    except (ValueError, TypeError):  # a number that is not finite, or a key that is neither text nor number
        return encode(_finite(value, default))


def dumps_shown(value: object, /, *, indent: int | None = None) -> str:
    r"""Return a value as JSON to be printed: `dumps`, and what a terminal would obey is escaped.

    Example:
        >>> print(dumps_shown("a\x9bb"))
        "a\u009bb"
    """
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", dumps(value, indent=indent))


def to_json(value: object, /) -> str:
    """Return a result, or a list of results, as JSON on one line: dataclasses, numpy arrays, enums and dates too.

    Raises:
        JnlpError: A number is not finite, or a value has no JSON form.
    """
    try:
        return _encoder(None, False, False, to_plain).encode(value)
    except (ValueError, TypeError) as error:
        raise JnlpError(f"this cannot be JSON: {error}") from error


@lru_cache(maxsize=16)
def _encoder(indent: int | None, sort_keys: bool, ascii: bool, default: Callable[[Any], object]) -> json.JSONEncoder:
    return json.JSONEncoder(indent=indent, sort_keys=sort_keys, ensure_ascii=ascii, allow_nan=False, default=default)


def _finite(value: Any, default: Callable[[Any], object]) -> Any:
    """Return a value of plain objects and lists, with null for numbers that are not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, dict):
        return {_key(key, default): _finite(item, default) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item, default) for item in value]
    return _finite(default(value), default)


def _key(key: Any, default: Callable[[Any], object]) -> Any:
    if isinstance(key, float) and not math.isfinite(key):
        return json.dumps(key)  # as text: "NaN"
    return key if key is None or isinstance(key, (str, int, float)) else str(default(key))


_CONTROLS = deferred("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What a terminal may obey or be confused by, and JSON leaves as it is; within JSON it is only met in strings."""
