from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jnlp import options
from jnlp.errors import UsageError
from jnlp.types import Option, Purpose


class Colour(Enum):
    RED = "赤"
    BLUE = "青"


class Size(Enum):
    SMALL = 1
    LARGE = 2


@dataclass(frozen=True, slots=True)
class Sample:
    top: Annotated[int, Option(help="How many.", ge=1, le=100)] = 5
    threshold: Annotated[float, Option(help="Least score.", ge=0, le=1)] = 0.5
    temperature: Annotated[float, Option(help="Any number.")] = 1.0
    labels: Annotated[tuple[str, ...], Option(help="Labels.")] = ()
    sizes: Annotated[tuple[int, ...], Option(help="Sizes.", ge=1)] = ()
    purpose: Annotated[Purpose, Option(help="Purpose.")] = Purpose.QUERY
    file: Annotated[Path | None, Option(help="File.")] = None
    on_top: Annotated[bool, Option(help="Flag.")] = False
    kind: Annotated[str, Option(help="Kind.", choices=("a", "b"))] = "a"
    colour: Annotated[Colour, Option(help="Colour.")] = Colour.RED
    size: Annotated[Size, Option(help="Size.")] = Size.SMALL


GOOD = [
    ({"top": 1}, "top", 1),
    ({"top": "100"}, "top", 100),
    ({"top": 7.0}, "top", 7),
    ({"threshold": "0.25"}, "threshold", 0.25),
    ({"labels": "経済, スポーツ,芸能"}, "labels", ("経済", "スポーツ", "芸能")),
    ({"labels": ["経済", "a,b"]}, "labels", ("経済", "a,b")),
    ({"labels": ""}, "labels", ()),
    ({"labels": "技術、料理、スポーツ"}, "labels", ("技術", "料理", "スポーツ")),
    ({"labels": "技術，料理"}, "labels", ("技術", "料理")),
    ({"labels": "衣、食、住,旅"}, "labels", ("衣、食、住", "旅")),
    ({"labels": "、,。"}, "labels", ("、", "。")),
    ({"labels": "、"}, "labels", ("、",)),
    ({"labels": ["衣、食"]}, "labels", ("衣、食",)),
    ({"sizes": "64,128"}, "sizes", (64, 128)),
    ({"purpose": "document"}, "purpose", Purpose.DOCUMENT),
    ({"file": "本文.txt"}, "file", Path("本文.txt")),
    ({"file": None}, "file", None),
    ({"on-top": "yes"}, "on_top", True),
    ({"on_top": False}, "on_top", False),
    ({"kind": "b"}, "kind", "b"),
    ({"colour": "青"}, "colour", Colour.BLUE),
    ({"colour": Colour.BLUE}, "colour", Colour.BLUE),
    ({"size": "2"}, "size", Size.LARGE),
    ({"size": 2}, "size", Size.LARGE),
]

BAD = [
    ({"kind": "\udc8e"}, "kind: '\\udc8e' is not text", ""),
    ({"labels": "a,\udc8e"}, "labels: '\\udc8e' is not text", ""),
    ({"labels": ["\ud800"]}, "labels: '\\ud800' is not text", ""),
    ({"colour": "緑"}, "colour cannot be '緑'", "赤, 青"),
    ({"size": 3}, "size cannot be 3", "one of 1, 2"),
    ({"top": 0}, "top cannot be 0", "≥ 1"),
    ({"top": 101}, "top cannot be 101", "≤ 100"),
    ({"top": "多い"}, "top cannot be '多い'", "a whole number"),
    ({"top": 1.5}, "top cannot be 1.5", "a whole number"),
    ({"top": True}, "top cannot be True", "a whole number"),
    ({"top": None}, "top cannot be None", "a whole number"),
    ({"temperature": "nan"}, "temperature cannot be 'nan'", "a number"),
    ({"temperature": float("inf")}, "temperature cannot be inf", "a number"),
    ({"threshold": -0.1}, "threshold cannot be -0.1", "≥ 0"),
    ({"sizes": "64,0"}, "sizes cannot be '64,0'", "≥ 1"),
    ({"purpose": "fun"}, "purpose cannot be 'fun'", "query, document"),
    ({"on_top": "maybe"}, "on-top cannot be 'maybe'", "true or false"),
    ({"kind": "c"}, "kind cannot be 'c'", "one of a, b"),
    ({"tpo": 1}, "no option is called 'tpo'", "there are: top"),
]


@pytest.mark.parametrize(("values", "name", "expected"), GOOD)
def test_a_good_value_is_converted(values: dict, name: str, expected: object) -> None:
    value = getattr(options.build(Sample, values), name)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(("values", "message", "hint"), BAD)
def test_a_bad_value_is_one_clear_line(values: dict, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        options.build(Sample, values, where="sample")
    assert caught.value.message == f"sample: {message}" or caught.value.message.startswith(f"sample: {message}")
    assert hint in (caught.value.hint or "")


@given(
    st.builds(
        Sample,
        top=st.integers(1, 100),
        threshold=st.floats(0, 1),
        labels=st.lists(st.text(min_size=1, max_size=5), max_size=3).map(tuple),
        purpose=st.sampled_from(Purpose),
        on_top=st.booleans(),
    )
)
def test_json_brings_options_back(made: Sample) -> None:
    assert options.build(Sample, json.loads(options.to_json(made))) == made


def test_bounds_reach_pydantic_too() -> None:
    from pydantic import TypeAdapter, ValidationError

    adapter = TypeAdapter(Sample)
    assert adapter.validate_python({"top": 3}).top == 3
    with pytest.raises(ValidationError):
        adapter.validate_python({"top": 0})


@pytest.mark.parametrize(("annotation", "message"), [(int, "needs Annotated"), (Annotated[int, "x"], "has no Option")])
def test_a_field_without_meaning_is_a_bug(annotation: object, message: str) -> None:
    from dataclasses import make_dataclass

    with pytest.raises(TypeError, match=message):
        options.fields(make_dataclass("Broken", [("x", annotation, 1)]))
