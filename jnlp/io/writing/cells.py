"""Values of a row as JSON and as cells of a table."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID


def dumps(value: object, /) -> str:
    """Return a value as JSON on one line, Japanese as it is, NaN and infinities as null."""
    try:
        return _ENCODER.encode(value)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)


def to_plain(value: Any, /) -> object:
    """Return what JSON has for a value that it lacks: dates, decimals, bytes (base64), arrays, dataclasses.

    Raises:
        TypeError: Nothing is known about its type.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
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
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return _finite(to_plain(value))


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


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=to_plain)
