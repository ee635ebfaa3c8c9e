"""Turns results into flat cells: a column for each label or category, lists as text, no JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from jnlp.io.writing.cells import to_cell

SEPARATOR = " | "
"""The separator of list items in a cell."""


def flatten(row: Mapping[str, Any], keys: Mapping[str, Sequence[str]], /) -> dict[str, object]:
    """Return a row whose cells are texts and numbers.

    A mapping becomes a column for each key (`scores.良い`). Items of a list are joined by ` | `, parts of an item
    by spaces.

    Args:
        row: Columns to values.
        keys: For columns with mappings, the keys known before the first row, which become columns of every row.

    Example:
        >>> flatten({"label": "良い", "scores": {"良い": 0.9}}, {"scores": ["良い", "悪い"]})
        {'label': '良い', 'scores.良い': 0.9, 'scores.悪い': None}
    """
    flat: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            names = dict.fromkeys([*keys.get(name, ()), *value])
            flat |= flatten({f"{name}.{key}": value.get(key) for key in names}, {})
        elif _is_list(value):
            flat[name] = _join(value, SEPARATOR if not all(map(_is_number, value)) else " ")
        elif _is_parts(value):
            flat[name] = _parts(value)
        else:
            flat[name] = value
    return flat


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple | set | frozenset) or bool(getattr(value, "shape", ()))


def _is_parts(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _is_number(value: object) -> bool:
    return (
        not isinstance(value, str) and not _is_list(value) and not _is_parts(value) and not isinstance(value, Mapping)
    )


def _join(values: Any, separator: str) -> str:
    return separator.join(_parts(value) for value in values)


def _parts(value: Any) -> str:
    """Return a value as one text: its parts joined by spaces."""
    if isinstance(value, Mapping):
        return " ".join(f"{key}={_parts(item)}" for key, item in value.items())
    if _is_parts(value):
        return " ".join(_parts(getattr(value, field.name)) for field in dataclasses.fields(value))
    return _join(value, " ") if _is_list(value) else to_cell(value)
