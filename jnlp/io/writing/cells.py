"""Values of a row as JSON and as cells of a table."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import re
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from jnlp.errors import JnlpError, RecordError


def dumps(value: object, /) -> str:
    """Return a value as JSON on one line, Japanese as it is, NaN and infinities as null."""
    try:
        text = _ENCODER.encode(value)
    except (ValueError, TypeError):
        text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def to_json(value: object, /) -> str:
    """Return a result, or a list of results, as JSON on one line: dataclasses, numpy arrays, enums and dates too.

    Raises:
        JnlpError: A number is not finite, or a value has no JSON form.
    """
    try:
        return _ENCODER.encode(value)
    except (ValueError, TypeError) as error:
        raise JnlpError(f"this cannot be JSON: {error}") from error


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
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (Decimal, PurePath, UUID)):
        return str(value)
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    if hasattr(value, "tolist"):  # numpy arrays and numbers, without importing numpy
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, Mapping):
        return {_key(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return _finite(to_plain(value))


def _key(key: Any) -> Any:
    return key if key is None or isinstance(key, (str, int, float)) else str(to_plain(key))


def check_text(value: object, where: str, /) -> None:
    """Raise RecordError where a text within a value holds half a character (a lone surrogate).

    Args:
        value: Texts, lists and objects of them; everything else is passed over.
        where: What the message names.
    """
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                code = ord(error.object[error.start])
                raise RecordError(f"{where}: half a character (U+{code:04X}) cannot be written in utf-8") from None
    elif isinstance(value, Mapping):
        for key, item in value.items():
            check_text(key, where)
            check_text(item, where)
    elif isinstance(value, (list, tuple)):
        for item in value:
            check_text(item, where)


def to_cell(value: object, /) -> str:
    """Return a value as a cell: nothing for None, text and numbers as they are, all else as JSON."""
    if isinstance(value, str):
        return str.__str__(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value) if type(value) in (int, float) else str(value)
    text = dumps(value)
    # A date is its text, not a quoted one.
    return json.loads(text) if text.startswith('"') else text


_CONTROLS = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What a terminal may obey or be confused by, and JSON leaves as it is; within JSON it is only met in strings."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=to_plain)
