"""JSON as every reader takes it, and lone surrogates in nested values."""

from __future__ import annotations

import json
import math
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest

import jnlp
from jnlp.strict_json import dumps, dumps_shown
from jnlp.surrogates import lone_surrogate


class Colour(Enum):
    RED = "赤"


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"本文": "日本"}, '{"本文": "日本"}'),
        (math.nan, "null"),
        ([1, -math.inf, {"a": (math.nan,)}], '[1, null, {"a": [null]}]'),
        ({"x": np.float64("nan"), "y": np.float32("inf")}, '{"x": null, "y": null}'),
        (np.array([1, math.nan]), "[1.0, null]"),
        ({math.nan: 1, math.inf: 2, None: 3, 1.5: 4}, '{"NaN": 1, "Infinity": 2, "null": 3, "1.5": 4}'),
        ({Colour.RED: date(2026, 4, 1)}, '{"赤": "2026-04-01"}'),
        ([Decimal("1.50"), PurePosixPath("a/b"), b"\0", {"b", "a"}], '["1.50", "a/b", "AA==", ["a", "b"]]'),
        (jnlp.Source("a.txt", 3), '{"path": "a.txt", "line": 3, "encoding": null}'),
        ("\x9b\u202e", '"\x9b\u202e"'),
    ],
)  # fmt: skip
def test_dumps_writes_strict_json(value: Any, expected: str) -> None:
    text = dumps(value)
    assert text == expected
    json.loads(text, parse_constant=refuse)
    assert json.loads(dumps(value, indent=2, ascii=True)) == json.loads(text)
    assert dumps(value, ascii=True).isascii()


def test_the_form_of_what_json_lacks_can_be_given() -> None:
    assert dumps([date(2026, 4, 1), math.nan, {date(2026, 4, 1): 1}], default=lambda _: "x") == '["x", null, {"x": 1}]'
    assert dumps({"b": 1, "a": math.nan}, sort_keys=True) == '{"a": null, "b": 1}'
    with pytest.raises(TypeError, match="object has no JSON form"):
        dumps([object()])


def test_dumps_shown_escapes_what_a_terminal_would_obey() -> None:
    text = dumps_shown({"a": "\x7f\x9b2J\u202e戻"}, indent=1)
    assert text == '{\n "a": "\\u007f\\u009b2J\\u202e戻"\n}'
    assert json.loads(text) == {"a": "\x7f\x9b2J\u202e戻"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("葛\ud800", "U+D800"),
        ("\udfff", "U+DFFF"),
        ("葛󠄀城😀", None),
        (("a", "\udc8e"), "U+DC8E"),
        ({"a": [1, {"b": "\ud83d"}], "c": "\udc00"}, "U+D83D"),
        ({"\ude00": 1}, "U+DE00"),
        ([None, 1.5, b"\xff", "日本"], None),
        ({}, None),
    ],
)
def test_the_first_lone_surrogate_is_found(value: object, expected: str | None) -> None:
    assert lone_surrogate(value) == expected


def test_a_lone_surrogate_is_found_thousands_of_levels_deep() -> None:
    value: object = "\ud800"
    for _ in range(5000):
        value = [value]
    assert lone_surrogate(value) == "U+D800"
