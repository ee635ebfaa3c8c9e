"""Rows for a spreadsheet: a column for each label or category, no JSON in a cell."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner

from jnlp.cli import build_cli
from jnlp.io.writing.flat import flatten
from jnlp.testing import make_model

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Span:
    start: int
    end: int
    reason: str


@pytest.mark.parametrize(
    ("row", "keys", "flat"),
    [
        ({"a": 1, "b": "文", "c": None}, {}, {"a": 1, "b": "文", "c": None}),
        ({"s": {"良い": 0.9}}, {}, {"s.良い": 0.9}),
        ({"s": {"良い": 0.9}}, {"s": ("良い", "悪い")}, {"s.良い": 0.9, "s.悪い": None}),
        ({"s": {}}, {"s": ("良い",)}, {"s.良い": None}),
        ({"s": {}}, {}, {}),
        ({"s": {"a": {"b": 1}}}, {}, {"s.a.b": 1}),
        ({"s": (Span(0, 3, "insult"), Span(5, 6, "model"))}, {}, {"s": "0 3 insult | 5 6 model"}),
        ({"s": Span(0, 3, "insult")}, {}, {"s": "0 3 insult"}),
        ({"s": ["a", "b c"]}, {}, {"s": "a | b c"}),
        ({"s": []}, {}, {"s": ""}),
        ({"s": [{"x": 1, "y": None}]}, {}, {"s": "x=1 y="}),
        ({"v": np.float32([0.5, 1])}, {}, {"v": "0.5 1.0"}),
        ({"v": np.float32(0.5)}, {}, {"v": np.float32(0.5)}),
    ],
)
def test_flatten(row: dict[str, Any], keys: dict[str, tuple[str, ...]], flat: dict[str, Any]) -> None:
    assert flatten(row, keys) == flat


def table(*arguments: str, delimiter: str = ",") -> list[dict[str, str]]:
    done = CliRunner().invoke(build_cli(), [*arguments, "-q"])
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(io.StringIO(done.stdout), delimiter=delimiter))
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("{", "["))]
    return rows


@pytest.mark.parametrize(("form", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_a_column_for_each_category_whatever_the_first_row_has(form: str, delimiter: str) -> None:
    first, second = table(
        "toxicity", "ありがとう", "消えろ、馬鹿", "--rules-only", "--format", form, delimiter=delimiter
    )
    assert first["categories.violence"] == ""
    assert float(second["categories.violence"]) > 0.5
    assert float(second["categories.insult"]) > 0.5
    assert second["spans"] == "0 3 violence | 4 6 insult"


def test_a_column_for_each_label(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m", layers=2, hidden=16, labels=("良い", "悪い", "普通"))
    for row in table("classify", "一。", "二。", "三。", "--model", str(folder), "--top", "1", "--format", "csv"):
        given = [name for name in ("scores.良い", "scores.悪い", "scores.普通") if row[name]]
        assert given == [f"scores.{row['label']}"]


@pytest.mark.parametrize(
    ("form", "name", "code"), [("csv", "x.npy", 2), ("jsonl", "x.CSV", 2), ("jsonl", "x.ndjson", 0)]
)
def test_a_format_and_an_ending_that_differ(form: str, name: str, code: int, tmp_path: Path) -> None:
    out = tmp_path / name
    done = CliRunner().invoke(build_cli(), ["toxicity", "文", "--rules-only", "--format", form, "-o", str(out)])
    assert done.exit_code == code, done.output
    assert out.exists() is (code == 0)


def test_rejects_are_not_called_csv(tmp_path: Path) -> None:
    out = tmp_path / "rejects.csv"
    done = CliRunner().invoke(build_cli(), ["toxicity", "文", "--rules-only", "--rejects", str(out)])
    assert done.exit_code == 2, done.output
    assert "rejects.jsonl" in done.stderr
    assert not out.exists()


def test_json_in_cells_is_there_for_the_asking() -> None:
    done = CliRunner().invoke(build_cli(), ["toxicity", "消えろ", "--rules-only", "--format", "csv", "--no-flat", "-q"])
    assert '"{""violence"": 0.55}"' in done.stdout
    done = CliRunner().invoke(build_cli(), ["toxicity", "消えろ", "--rules-only", "--format", "jsonl", "--flat", "-q"])
    assert '"categories.violence": 0.55' in done.stdout
