"""The report of a classifier: wrong labels, near texts, thresholds, and the page."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from jnlp.cli import build_cli
from jnlp.training.classifier.evaluation import measure
from jnlp.training.classifier.targets import Goal
from jnlp.training.report.make import make_report
from jnlp.training.report.page import page, write_report
from jnlp.training.report.suspects import find_near, find_suspects
from jnlp.types import Example, ProblemType

GOOD = ("部屋が広くて清潔", "朝食がおいしい", "接客が丁寧", "駅から近くて便利", "景色がすばらしい", "温泉が最高")
BAD = ("部屋が狭くて不潔", "朝食がまずい", "接客が失礼", "駅から遠くて不便", "隣がうるさい", "風呂が汚い")
ENDS = (
    "でした",
    "だと思います",
    "で、また来たいです",
    "という印象です",
    "ですね",
    "と感じました",
    "でしたよ",
    "の一言です",
)


def write_rows(path, flipped=()):
    with path.open("w", encoding="cp932", newline="") as file:
        out = csv.writer(file)
        out.writerow(["番号", "本文", "評価"])
        for number, (start, label) in enumerate(
            (f"{start}{end}", label)
            for end in ENDS
            for starts, label in ((GOOD, "良い"), (BAD, "悪い"))
            for start in starts
        ):
            given_label = {"良い": "悪い", "悪い": "良い"}[label] if number in flipped else label
            out.writerow([f"r{number}", start + "。", given_label])
    return path


def report_of(probable, labels, problem=ProblemType.SINGLE_LABEL, names=("低", "高")):
    examples = [Example(f"文{n}", label, place=f"rows.csv:{n + 2}") for n, label in enumerate(labels)]
    goal = Goal(names, problem)
    logits = np.log(np.clip(probable, 1e-9, 1)) if problem is ProblemType.SINGLE_LABEL else probable
    scores = measure(logits.astype(np.float32), goal.targets(examples), goal, draws=0)
    return make_report("試験", "test", probable.astype(np.float32), examples, goal, scores)


def test_wrong_labels_are_found_and_the_rest_left_alone():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 600)
    sure = rng.uniform(0.6, 0.95, 600)
    probable = np.full((600, 3), ((1 - sure) / 2)[:, None].repeat(3, axis=1))
    probable[np.arange(600), truth] = sure
    given_labels = truth.copy()
    flipped = rng.choice(600, 20, replace=False)
    given_labels[flipped] = (truth[flipped] + 1) % 3
    found = find_suspects(probable.astype(np.float32), given_labels)
    assert set(found) <= set(flipped)
    assert set(found) >= {row for row in flipped if sure[row] > 0.8}  # what the models are less sure of is not accused
    own = probable[found, given_labels[found]]
    assert (np.diff(probable[found].max(axis=1) - own) <= 1e-6).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 5), st.integers(1, 60), st.integers(0, 9))
def test_a_suspect_is_never_a_row_whose_label_is_the_likeliest(labels, rows, seed):
    rng = np.random.default_rng(seed)
    probable = rng.dirichlet(np.ones(labels), rows)
    truth = rng.integers(0, labels, rows)
    assert not (probable.argmax(axis=1) == truth)[find_suspects(probable, truth)].any()


@pytest.mark.parametrize(
    ("first", "second", "near"),
    [
        (
            "この契約は、期間満了の一か月前までに書面による申し出がない限り、同じ条件で更新されるものとします。",
            "この契約は期間満了の一か月前までに書面による申し出がない限り、同じ条件で更新されるものとします",
            True,
        ),
        ("ＡＢＣホテルの朝食は種類が多くて大満足でした", "ABCホテルの朝食は種類が多くて 大満足でした", True),
        ("部屋がきれいでした", "部屋が汚かったです", False),
        ("", "", False),
    ],
)
def test_nearly_equal_texts_with_different_labels(first, second, near):
    assert bool(find_near([first, "全く別の文です", second], ["良い", "良い", "悪い"])) is near
    assert find_near([first, second], ["良い", "良い"]) == []


def test_every_threshold_holds_what_it_says():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 400)
    high = np.clip(0.5 + (truth - 0.5) * 0.5 + rng.normal(0, 0.3, 400), 0.01, 0.99)
    probable = np.stack([1 - high, high], axis=1)
    report = report_of(probable, ["高" if t else "低" for t in truth])
    for found in report.thresholds:
        if found.threshold is None or not found.label:
            continue
        k = ("低", "高").index(found.label)
        given_rows = probable[:, k].astype(np.float32) >= np.float32(found.threshold)
        assert (truth[given_rows] == k).mean() == pytest.approx(found.precision)
        assert found.precision >= found.wished
        assert given_rows[truth == k].mean() == pytest.approx(found.recall)
    assert {t.wished for t in report.thresholds} == {0.8, 0.9, 0.95, 0.99}
    assert sum(b.rows for b in report.calibration) == 400


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]


def test_the_page_holds_everything_and_loads_nothing(tmp_path):
    report = report_of(np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]), ["低", "低", "高"])
    write_report(report, tmp_path)
    text = (tmp_path / "report.html").read_text("utf-8")
    parser = Tags()
    parser.feed(text)
    assert "script" not in parser.tags
    assert "link" not in parser.tags
    assert not parser.addresses
    assert not re.search(r"url\(|@import|https?://", text)
    assert parser.tags.count("svg") == 3
    saved = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert saved["errors"] == [{"place": "rows.csv:3", "text": "文1", "label": "低", "guess": "高", "probability": 0.8}]


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style><b>"])
def test_text_of_the_data_is_never_markup(hostile):
    examples = [Example(hostile, hostile, place=hostile), Example("普通", "普通")]
    goal = Goal((hostile, "普通"), ProblemType.SINGLE_LABEL)
    probable = np.array([[0.1, 0.9], [0.6, 0.4]], dtype=np.float32)
    scores = measure(np.log(probable), goal.targets(examples), goal, draws=0)
    made = page(make_report(hostile, hostile, probable, examples, goal, scores, cautions=[hostile]))
    parser = Tags()
    parser.feed(made)
    assert not {"script", "img", "b"} & set(parser.tags) - {"b"}
    assert hostile not in made


def test_several_labels_and_numbers_have_reports():
    several = report_of(np.array([[0.9, 0.2], [0.4, 0.6]]), [("低",), ("低", "高")], ProblemType.MULTI_LABEL)
    assert [row.guess for row in several.errors] == ["高"]
    assert page(several)
    numbers = report_of(np.array([[1.0], [4.5]]), [1.5, 2.0], ProblemType.REGRESSION, ("score",))
    assert [row.place for row in numbers.errors] == ["rows.csv:3", "rows.csv:2"]
    assert page(numbers).count("<svg") == 1


def test_training_writes_the_report_and_names_wrong_labels(tmp_path):
    """A Shift_JIS file with two wrong labels: the report points at both, and mending them empties the list."""
    rows = write_rows(tmp_path / "口コミ.csv", flipped=(4, 43))
    train = ["train", "classifier", "--text", "本文", "--label", "評価", "--id", "番号", "--method", "linear"]
    options = ["--embedder", "none", "--no-refit", "--seed", "1"]
    result = CliRunner().invoke(build_cli(), [*train, *options, str(rows), "-o", str(tmp_path / "first")])
    assert result.exit_code == 0, result.output
    assert f"jnlp: report: {tmp_path / 'first' / 'report.html'}" in result.stderr
    report = json.loads((tmp_path / "first" / "report.json").read_text("utf-8"))
    found = {row["place"].split(" ")[0] for row in report["suspects"]}
    assert {"r4", "r43"} <= found
    assert f"{len(report['suspects'])} rows have a label that is probably wrong" in result.stderr
    assert report["measured_on"] == "test"
    assert [row["method"] for row in report["methods"]] == ["majority", "linear"]
    mended = write_rows(tmp_path / "mended.csv")
    result = CliRunner().invoke(build_cli(), [*train, *options, str(mended), "-o", str(tmp_path / "second")])
    assert result.exit_code == 0, result.output
    after = json.loads((tmp_path / "second" / "report.json").read_text("utf-8"))
    assert not {"r4", "r43"} & {row["place"].split(" ")[0] for row in after["suspects"]}
