"""Wrong calls of `jnlp train`, and what it says of few rows."""

from __future__ import annotations

import json
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
    _, _, scored, *lines = result.stdout.splitlines()
    assert scored.startswith("scores   of the test rows")
    figures = dict(line.split() for line in lines)
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
    for words in ([name], [rows, "--valid", name]):
        result = train("classifier", *words, *COLUMNS, "-o", "out")
        assert result.exit_code == 2
        error, hint = result.stderr.splitlines()
        assert error.startswith(f"jnlp: error: {name} ")
        assert "csv, tsv, jsonl, parquet" in hint
        assert "--literal" not in hint  # a text is no way out here


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
    error, hint = result.stderr.splitlines()
    assert error.startswith(f"jnlp: error: {flag} and --label ")
    assert "'本文'" in error
    assert "hint: " in hint


def test_an_unknown_trainer_gets_the_closest() -> None:
    result = train("classifer")
    assert result.exit_code == 2
    message, hint = result.stderr.splitlines()[-2:]
    assert "'train classifer'" in message
    assert "did you mean classifier?" in hint


def labelled(*names: str) -> list[str]:
    return [part for name in names for part in ("--label", name)]


@pytest.fixture
def topics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a file of 40 rows, with a column of 0 and 1 for each of two labels."""
    monkeypatch.chdir(tmp_path)
    lines = [f"{'犬が走る' if n % 2 else '猫が眠る'}{n}番,{1 - n % 2},{n % 2},{'猫犬'[n % 2]}" for n in range(40)]
    Path("topics.csv").write_text("\n".join(["本文,猫,犬,話題", *lines]), encoding="utf-8")
    return "topics.csv"


LINEAR = ("--method", "linear", "--embedder", "none")


@pytest.mark.parametrize("flags", [["--label", "猫", "--label", "犬"], ["--label", "猫,犬"]])
def test_a_column_for_each_label(flags: list[str], topics: str) -> None:
    result = train("classifier", topics, "--text", "本文", *flags, *LINEAR, "-o", "out")
    assert result.exit_code == 0, result.output
    config = json.loads(Path("out/config.json").read_text(encoding="utf-8"))
    assert config["problem_type"] == "multi_label_classification"
    assert set(config["id2label"].values()) == {"猫", "犬"}


def test_a_label_column_of_several_that_holds_no_0_or_1(topics: str) -> None:
    result = train("classifier", topics, "--text", "本文", *labelled("猫", "話題"), *LINEAR, "-o", "out")
    assert result.exit_code == 1
    assert "'話題'" in result.stderr
    assert "0 or 1" in result.stderr


def test_a_label_column_whose_name_has_a_comma(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{'良い品です' if n % 2 else 'すぐ壊れた'}{n}番,{n % 2}" for n in range(40)]
    Path("rows.csv").write_text("\n".join(['本文,"評価,感想"', *lines]), encoding="utf-8")
    result = train("classifier", "rows.csv", "--text", "本文", "--label", "評価,感想", *LINEAR, "-o", "out")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("flag", ["--text", "--text-pair", "--id"])
def test_two_columns_where_one_is_wanted(flag: str, topics: str) -> None:
    result = train("classifier", topics, flag, "猫", flag, "犬", "--label", "話題", "-o", "out")
    assert result.exit_code == 2
    assert "one column" in result.stderr


def test_a_label_with_a_comma_is_asked_about(topics: str) -> None:
    rows = Path("both.csv")
    lines = [
        f"{'犬が走る' if n % 2 else '猫が眠る'}{n}番,{'犬' if n % 2 else '猫'}{',獣' * (n < 9)}" for n in range(40)
    ]
    quoted = [",".join([line.split(",", 1)[0], f'"{line.split(",", 1)[1]}"']) for line in lines]
    rows.write_text("\n".join(["本文,話題", *quoted]), encoding="utf-8")
    result = train("classifier", rows, "--text", "本文", "--label", "話題", *LINEAR, "-o", "out")
    assert result.exit_code == 2
    assert "'猫,獣'" in result.stderr
    for problem, kind in (("single", "single_label_classification"), ("multi", "multi_label_classification")):
        flags = ["--text", "本文", "--label", "話題", "--problem", problem]
        result = train("classifier", rows, *flags, *LINEAR, "-o", problem)
        assert result.exit_code == 0, result.output
        assert json.loads(Path(problem, "config.json").read_text(encoding="utf-8"))["problem_type"] == kind


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((0.0, 1.0), "single_label_classification"),
        ((0, 1), "single_label_classification"),
        ((1.5, 3.0), "regression"),
        ((1, 2.5), "regression"),
    ],
)
def test_numbers_are_the_same_problem_in_every_format(
    ending: str, values: tuple[float, float], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [(f"{'良い品です' if n % 2 else 'すぐ壊れた'}{n}番", values[n % 2]) for n in range(40)]
    if ending == "jsonl":
        text = "\n".join(json.dumps({"本文": text, "点": value}, ensure_ascii=False) for text, value in rows)
    else:
        between = {"csv": ",", "tsv": "\t"}[ending]
        text = "\n".join([f"本文{between}点", *(f"{text}{between}{value}" for text, value in rows)])
    Path(f"rows.{ending}").write_text(text, encoding="utf-8")
    result = train("classifier", f"rows.{ending}", "--text", "本文", "--label", "点", *LINEAR, "-o", "out")
    assert result.exit_code == 0, result.output
    assert json.loads(Path("out/config.json").read_text(encoding="utf-8"))["problem_type"] == kind


def test_rows_that_repeat_or_contradict_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{'良い品です' if n % 2 else 'すぐ壊れた'}{n}番,{'良い' if n % 2 else '悪い'}" for n in range(40)]
    lines += [*lines[:5], "良い 品です1番,悪い"]  # five doubled; one text, but for a space, with another label
    Path("rows.csv").write_text("\n".join(["本文,評価", *lines]), encoding="utf-8")
    result = train("classifier", "rows.csv", *COLUMNS, *LINEAR, "-o", "out")
    assert result.exit_code == 0, result.output
    found = json.loads(Path("out/metrics.json").read_text(encoding="utf-8"))["repeats"]
    assert (found["doubled"], found["contradicting"]) == (5, 1)
    assert found["contradictions"][0]["labels"] == ["良い", "悪い"]
    assert "良い品です1番" in result.stderr
    assert "5 rows repeat" in result.stderr
    assert "5 rows repeat" in Path("out/README.md").read_text(encoding="utf-8")
