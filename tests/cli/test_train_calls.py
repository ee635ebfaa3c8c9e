"""Wrong calls of `jnlp train`, and what it says of few rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jnlp.cli import build_cli
from jnlp.testing import make_model

COLUMNS = ("--text", "本文", "--label", "評価")


def train(*arguments: object) -> Result:
    return CliRunner().invoke(build_cli(), ["train", *map(str, arguments)])


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a file of 40 rows in the working folder."""
    monkeypatch.chdir(tmp_path)
    lines = [f"{'良い品です' if n % 2 else 'すぐ壊れた'}{n}番,{'良い' if n % 2 else '悪い'}" for n in range(40)]
    Path("rows.csv").write_text("\n".join(["本文,評価", *lines]), encoding="utf-8")
    return "rows.csv"


def test_few_rows_make_no_certainty(rows: str, tmp_path: Path) -> None:
    base = make_model(tmp_path / "base", layers=2, hidden=32)
    flags = ["--model", base, "--epochs", "20", "--head-only", "--lr", "0.01", "--threads", "1", "--device", "cpu"]
    result = train("classifier", rows, *COLUMNS, *flags, "-o", "out")
    assert result.exit_code == 0, result.output
    figures = dict(line.split() for line in result.stdout.splitlines()[2:])
    assert float(figures["accuracy_high"]) - float(figures["accuracy_low"]) > 0.45
    assert "macro_f1_low" not in figures
    sentence = "4 test rows are too few to tell much: give more rows, or hold out more of them (--test-share)"
    assert result.stderr.splitlines()[-1] == f"jnlp: {sentence}"
    card = Path("out/README.md").read_text(encoding="utf-8")
    assert f"- {sentence}.\n" in card
    assert "1.000–1.000" not in card
    quiet = train("classifier", rows, *COLUMNS, *flags, "-o", "quiet", "-q")
    assert (quiet.stdout.splitlines()[2:], quiet.stderr) == (result.stdout.splitlines()[2:], "")


@pytest.mark.parametrize("name", ["nofile.csv", "すばらしい"])
def test_a_file_that_is_not_there_is_no_text(name: str, rows: str) -> None:
    files = "      hint: training rows come from files: csv, tsv, jsonl, parquet"
    for words in ([name], [rows, "--valid", name]):
        result = train("classifier", *words, *COLUMNS, "-o", "out")
        assert result.exit_code == 2
        assert result.stderr.splitlines() == [f"jnlp: error: {name} does not exist", files]


@pytest.mark.parametrize(
    ("columns", "flag"),
    [
        (("--text", "本文", "--label", "本文"), "--text"),
        (("--text", "評価", "--text-pair", "本文", "--label", "本文"), "--text-pair"),
    ],
)
def test_a_text_is_not_its_own_label(columns: tuple[str, ...], flag: str, rows: str) -> None:
    result = train("classifier", rows, *columns, "-o", "out")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"jnlp: error: {flag} and --label are the same column '本文'",
        "      hint: name two columns",
    ]


def test_an_unknown_trainer_gets_the_closest() -> None:
    result = train("classifer")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == "Error: No such command 'classifer'. Did you mean classifier?"
