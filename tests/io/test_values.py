"""Any value that a task or an input column can hold is written by every writer, and read back."""

from __future__ import annotations

import csv
import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jnlp.errors import RecordError
from jnlp.io import open_writer
from jnlp.strict_json import dumps_shown

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(width=64)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
)
NESTED = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("あいaz._", max_size=3), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(NESTED, min_size=1, max_size=5)


def write(path: Path, values: list[Any], *, parts: bool) -> None:
    with open_writer(None, path) as output:
        for number, value in enumerate(values):
            output.write({"id": str(number), "value": value})
            if parts:
                output.flush()


def plain(value: Any) -> Any:
    """What JSON keeps of a value."""
    return json.loads(dumps_shown(value))


def bare(value: Any) -> Any:
    """A value without the keys that a struct adds, and numbers as floats: a column has one type."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: bare(item) for key, item in value.items() if bare(item) not in (None, {})}
    if isinstance(value, list):
        return [bare(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@given(values=ROWS, parts=st.booleans())
@settings(max_examples=60, deadline=None)
def test_jsonl(values: list[Any], parts: bool) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "out.jsonl"
        write(path, values, parts=parts)
        read = [json.loads(line)["value"] for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
        assert read == [plain(value) for value in values]


@pytest.mark.parametrize(("ending", "delimiter"), [("csv", ","), ("tsv", "\t")])
@given(values=ROWS, parts=st.booleans())
@settings(max_examples=60, deadline=None)
def test_tables(ending: str, delimiter: str, values: list[Any], parts: bool) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"out.{ending}"
        write(path, values, parts=parts)
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, delimiter=delimiter))
        assert rows[0] == ["id", "value"]
        assert len(rows) == len(values) + 1
        for row, value in zip(rows[1:], values, strict=True):
            if isinstance(value, str):
                assert row[1] == value
            elif value is None:
                assert row[1] == ""


@given(values=ROWS, parts=st.booleans())
@settings(max_examples=150, deadline=None)
def test_parquet(values: list[Any], parts: bool) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "out.parquet"
        write(path, values, parts=parts)
        table = pq.read_table(path)
        assert table.num_rows == len(values)
        as_text = str(table.schema.field("value").type) == "string"
        for cell, value in zip(table.column("value").to_pylist(), values, strict=True):
            if as_text and not isinstance(value, str) and cell is not None:
                cell = json.loads(cell)
            assert bare(cell) == bare(plain(value)), (cell, value, table.schema)


@pytest.mark.parametrize(
    ("first", "second"),
    [({}, {"a": 1}), ([{}], [{"a": []}]), (1, 0.5), (2**60 + 1, 0.5), ([], ["x"]), (True, 1), ("x", 1),
     ({"a": 1}, {"a": "x"}), ([[]], [[{"a": {}}]]), (2**63, -1), ({"a": {}}, None)],
)  # fmt: skip
def test_a_column_has_one_type_over_all_parts(first: Any, second: Any, tmp_path: Path) -> None:
    for name, values in (("ab", [first, second]), ("ba", [second, first]), ("none", [None, first, None, second])):
        path = tmp_path / f"{name}.parquet"
        write(path, values, parts=True)
        table = pq.read_table(path)
        as_text = str(table.schema.field("value").type) == "string"
        for cell, value in zip(table.column("value").to_pylist(), values, strict=True):
            read = json.loads(cell) if as_text and isinstance(cell, str) and not isinstance(value, str) else cell
            assert bare(read) == bare(value)


class Colour(Enum):
    RED = "赤"


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet"])
@pytest.mark.parametrize(
    "value",
    [
        date(2026, 4, 1), datetime(2026, 4, 1, 9, tzinfo=UTC), timedelta(seconds=90), Decimal("1.50"), b"\x00\xff",
        PurePosixPath("規程/a.txt"), Colour.RED, {"a", "b"}, np.float32(0.5), np.arange(3), {1: "x"}, {Colour.RED: 1},
        (1, 2), float("nan"), float("-inf"), {"x": float("nan")}, [np.int64(3), None],
    ],
)  # fmt: skip
def test_values_of_python_and_numpy(ending: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / f"out.{ending}"
    write(path, [value, value], parts=True)
    assert path.stat().st_size > 0
    if ending == "jsonl":
        assert json.loads(path.read_text(encoding="utf-8").splitlines()[0])["value"] == plain(value)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet"])
@pytest.mark.parametrize("value", ["\udc80", ["\udc80"], {"a": {"\ud800": 1}}])
def test_half_a_character_fails_its_own_record_only(ending: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / f"out.{ending}"
    with open_writer(None, path) as output:
        output.write({"id": "1", "value": "よい"})
        with pytest.raises(RecordError):
            output.write({"id": "2", "value": value})
        output.write({"id": "3", "value": "よい"})
    if ending == "parquet":
        assert pq.read_table(path).column("id").to_pylist() == ["1", "3"]
    else:
        assert path.read_text(encoding="utf-8").count("よい") == 2


def test_json_holds_nothing_that_a_terminal_obeys() -> None:
    text = "\x1b[2J\x9b2J\x7f\u202e"
    assert dumps_shown({"a": text}).isprintable()
    assert json.loads(dumps_shown({"a": text})) == {"a": text}
