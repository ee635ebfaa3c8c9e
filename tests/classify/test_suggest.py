"""`jnlp suggest`: doubtful texts first, and not the same one in many versions."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

from jnlp.cli import build_cli
from jnlp.errors import JnlpError
from jnlp.types import Logits, ProblemType, Record
from jnlp_classify.suggest import suggest


class Scripted:
    """A classifier that says of each text what a table says."""

    labels = ("良い", "悪い")

    def __init__(self, table, problem_type=ProblemType.SINGLE_LABEL):
        self.table = table
        self.problem_type = problem_type

    def logits(self, texts, /, *, overflow=None):
        values = np.array([[np.log(self.table[t]), np.log(1 - self.table[t])] for t in texts], dtype=np.float32)
        n, zeros = len(texts), np.zeros(len(texts), dtype=np.int64)
        return Logits(
            values, np.arange(n), np.zeros((n, 2), np.int64), zeros + 1, zeros, self.labels, self.problem_type
        )


def records(texts):
    return [Record(f"口コミ.csv:{n + 2}", text) for n, text in enumerate(texts)]


def test_the_least_sure_texts_come_first_and_versions_of_one_text_once():
    table = {
        "部屋は普通でした。": 0.5,
        "部屋は普通でした": 0.51,
        "部屋は、普通でした。": 0.49,
        "最高の宿です。": 0.99,
        "朝食は可もなく不可もなく。": 0.6,
        "二度と泊まりません。": 0.02,
    }
    chosen = suggest(Scripted(table), records(table), 3)
    assert [each.record.text for each in chosen[:2]] == ["部屋は普通でした。", "朝食は可もなく不可もなく。"]
    assert chosen[0].doubt == pytest.approx(1.0)
    assert (chosen[1].label, chosen[1].probability) == ("良い", pytest.approx(0.6, abs=1e-3))


def test_more_than_there_are_and_empty_texts():
    table = {"": 0.4, "！": 0.3}
    assert len(suggest(Scripted(table), records(table), 9)) == 2


def test_numbers_have_no_doubt():
    with pytest.raises(JnlpError, match="the model predicts numbers"):
        suggest(Scripted({"文": 0.5}, ProblemType.REGRESSION), records(["文"]), 1)


def test_the_command_writes_ids_and_texts(tmp_path):
    rows = [(f"r{n}", text) for n, text in enumerate(["明日は晴れです。", "お前は馬鹿か。", "会議は三時からです。"])]
    with (tmp_path / "投稿.csv").open("w", encoding="cp932", newline="") as file:
        csv.writer(file).writerows([("番号", "本文"), *rows])
    base = ["suggest", str(tmp_path / "投稿.csv"), "--text", "本文", "--id", "番号", "--model", "tiny-toxicity"]
    result = CliRunner().invoke(build_cli(), [*base, "--count", "2"])
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(found) == 2
    assert {row["id"] for row in found} < {"r0", "r1", "r2"}
    assert found[0]["doubt"] >= found[1]["doubt"] * 0.5
    assert "jnlp: 2 of 3 texts: label these first" in result.stderr
    result = CliRunner().invoke(build_cli(), [*base, "-o", str(tmp_path / "next.csv")])
    assert result.exit_code == 0, result.output
    with (tmp_path / "next.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == ["id", "text", "label", "probability", "doubt"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["空.txt"], "there is no text to choose from"),
        (["無い.csv"], "does not exist"),
        (["文.txt", "--model", "tiny-search"], "no classifier"),
    ],
)
def test_bad_calls_are_one_line(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "空.txt").write_text("")
    (tmp_path / "文.txt").write_text("今日は晴れ。\n")
    result = CliRunner().invoke(build_cli(), ["suggest", *arguments])
    assert result.exit_code != 0
    assert said in result.output
    assert "Traceback" not in result.output
