"""`jnlp evaluate`: data in each source's layout, splits, grids that continue, tables, and what goes wrong."""

from __future__ import annotations

import csv
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from click.testing import CliRunner

from jnlp.cli import build_cli
from jnlp.errors import JnlpError
from jnlp.testing import make_model
from jnlp.training.classifier.targets import Goal
from jnlp.training.folder import Sequences
from jnlp.types import DataSource, Evaluation, Example, Measured, ProblemType, Split
from jnlp_evaluate import layouts, tasks
from jnlp_evaluate import run as running
from jnlp_evaluate.baselines import BASELINES
from jnlp_evaluate.data import fingerprint, pull, read_parts
from jnlp_evaluate.finetune import Prepared
from jnlp_evaluate.protocols import PROTOCOLS, Rows, cells, choose, divide
from jnlp_evaluate.table import difference, missing, plots, read_reference, render, rows_of

ADJECTIVES = ("高い", "安い", "古い", "新しい", "遠い", "近い")
NOUNS = ("駅", "店", "宿", "本", "道", "庭", "橋", "船")


def sentences():
    """Sentences of the form 「駅が高い。」 (acceptable) and 「駅を高い。」 (not)."""
    return [
        (f"{noun}{particle}{adjective}。", label)
        for adjective in ADJECTIVES
        for noun in NOUNS
        for particle, label in (("が", 1), ("を", 0))
    ]


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Small sets in the layouts of their sources."""
    root = tmp_path_factory.mktemp("data")
    rows = [{"uid": f"u{n}", "sentence": text, "label": label} for n, (text, label) in enumerate(sentences())]
    lines(root / "jcola-v1.0/in_domain_train-v1.0.json", rows[:72])
    lines(root / "jcola-v1.0/in_domain_valid-v1.0.json", rows[72:])
    pairs = [
        {"sentence1": f"{a}がある。", "sentence2": f"{b}がある。", "label": 5.0 if a == b else 0.0}
        for a in NOUNS
        for b in NOUNS
    ]
    lines(root / "datasets/jsts-v1.3/train-v1.3.json", pairs[:48])
    lines(root / "datasets/jsts-v1.3/valid-v1.3.json", pairs[48:])
    questions = [
        {"q_id": n, "question": f"{noun}はどれ?", **{f"choice{k}": NOUNS[(n + k) % 8] for k in range(5)}, "label": 0}
        for n, noun in enumerate(NOUNS)
    ]
    lines(root / "jcommonsenseqa-v1.3/train-v1.3.json", questions * 3)
    lines(root / "jcommonsenseqa-v1.3/valid-v1.3.json", questions)
    lines(
        root / "jaquad/valid.jsonl",
        [
            {"id": n, "question": f"{x}は?", "context": f"{x}です。", "title": "町" if n < 4 else "村"}
            for n, x in enumerate(NOUNS)
        ],
    )
    lines(
        root / "perplexity/test.jsonl",
        [{"text": f"{a}{b}がある町に行き、{b}を見た。" * 8} for a in ADJECTIVES for b in NOUNS],
    )
    lines(
        root / "toxicity/test.jsonl",
        [{"text": "お前は馬鹿か。死ね。", "label": 1}, {"text": "明日は晴れです。", "label": 0}],
    )
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("model") / "small", layers=2)


def jnlp(*arguments):
    return CliRunner().invoke(build_cli(), ["evaluate", *map(str, arguments)])


# --- data in the layouts of the sources -------------------------------------------------------------------------


def test_every_layout_is_read(data, tmp_path):
    assert {part: len(rows) for part, rows in read_parts(tasks.JCOLA, data).items()} == {"train": 72, "valid": 24}
    assert read_parts(tasks.JSTS, data)["train"][0] == Example(("駅がある。", "駅がある。"), 5.0, place="train:1")
    assert layouts.read_jcommonsenseqa(data)["valid"][1].answers == ("店", "宿", "本", "道", "庭")
    (tmp_path / "jsnli_1.1").mkdir()
    for name in ("train_w_filtering.tsv", "dev.tsv"):
        (tmp_path / "jsnli_1.1" / name).write_text("entailment\t犬 が 走る 。\t動物 が 走る 。\n", "utf-8")
    assert layouts.read_jsnli(tmp_path)["valid"][0].text == ("犬が走る。", "動物が走る。")
    (tmp_path / "jsick").mkdir()
    for name in ("train.tsv", "test.tsv"):
        (tmp_path / "jsick" / name).write_text(
            "pair_ID\tsentence_A_Ja\tsentence_B_Ja\tentailment_label_Ja\n1\t猫が寝る\t猫が眠る\tentailment\n", "utf-8"
        )
    assert layouts.read_jsick(tmp_path)["test"][0].target == "entailment"
    for section in layouts.LIVEDOOR_SECTIONS:
        folder = tmp_path / "text" / section
        folder.mkdir(parents=True)
        (folder / f"{section}-1.txt").write_text(f"http://example.org\n2012\n題\n{section}の記事\n", "utf-8")
        (folder / "LICENSE.txt").write_text("licence", "utf-8")
    assert layouts.read_livedoor(tmp_path)["train"][0].text == "題\ndokujo-tsushinの記事"
    assert len(layouts.read_livedoor(tmp_path)["train"]) == 9
    (tmp_path / "wrime").mkdir()
    head = "Sentence\tUserID\tTrain/Dev/Test\tAvg. Readers_Sentiment\n"
    (tmp_path / "wrime/wrime-ver2.tsv").write_text(
        head + "楽しい\t1\ttrain\t2\n辛い\t1\tdev\t-1\n普通\t2\ttest\t0\n", "utf-8"
    )
    assert {part: rows[0].target for part, rows in layouts.read_wrime(tmp_path).items()} == {
        "train": "2",
        "valid": "-1",
        "test": "0",
    }


def test_shared_rows_are_read(shared):
    assert len(read_parts(tasks.JCOLA, shared / "tasks")["valid"]) == 865
    assert len(read_parts(tasks.JCOMQA, shared / "tasks")["valid"]) == 1119
    assert len(read_parts(tasks.JSICK, shared / "tasks")["test"]) == 4927


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda folder: None, "neither in_domain_train-v1.0.json and in_domain_valid-v1.0.json nor jcola/train.jsonl"),
        (
            lambda folder: lines(folder / "jcola/train.jsonl", [{"sentence": "文"}]),
            "row 1 of the train rows cannot be read",
        ),
        (
            lambda folder: lines(folder / "jcola/train.jsonl", [{"sentence": "文", "label": n} for n in (0, 1, 7)]),
            "row 3 of the train rows: the label '7' is none of 0, 1",
        ),
        (
            lambda folder: lines(folder / "jcola-v1.0/in_domain_train-v1.0.json", [{"sentence": "文", "label": 1}]),
            "neither in_domain_train-v1.0.json and in_domain_valid-v1.0.json",  # one of two files is missing
        ),
        (lambda folder: (folder / "train.jsonl").write_text("{oops", "utf-8"), "train.jsonl:1 is not JSON"),
        (lambda folder: lines(folder / "jcola/train.jsonl", [{"sentence": "文", "label": 1}] * 9), "has no test rows"),
    ],
)
def test_data_that_is_wrong_is_one_line(tmp_path, model, prepare, said):
    prepare(tmp_path)
    result = jnlp("jcola", "--data", tmp_path, "--model", model, "-o", tmp_path / "out", "-q")
    assert result.exit_code == 1
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["jcolla"], "no task is called 'jcolla'"),
        (["jcola", "--data", "/no/such"], "/no/such is not a folder"),
        (["data", "pull", "livedoor"], "the data of livedoor is not fetched"),
        (["table", "/no/such"], "holds no results"),
    ],
)
def test_odd_calls_are_one_line(arguments, said):
    result = jnlp(*arguments)
    assert result.exit_code != 0
    assert said in result.stderr
    assert "Traceback" not in result.stderr


# --- splits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evaluation", [tasks.JCOLA, tasks.LIVEDOOR, tasks.WRIME], ids=lambda e: e.name)
def test_no_row_is_trained_on_and_scored_and_folds_cover_all(evaluation):
    parts = {"train": list(range(50))} | ({} if evaluation.split is Split.HOLD_OUT else {"valid": list(range(50, 60))})
    parts |= {"test": list(range(60, 70))} if evaluation.split is Split.GIVEN else {}
    runs = [divide(evaluation, parts, run, None) for run in range(5)]
    for rows, chosen in runs:
        assert not set(chosen.train) & (set(chosen.valid) | set(chosen.test))
        assert not set(chosen.valid) & set(chosen.test)
        assert {rows[n] for n in (*chosen.train, *chosen.valid, *chosen.test)} == {v for p in parts.values() for v in p}
    tested = {tuple(sorted(chosen.test)) for _, chosen in runs}
    assert len(tested) == 1  # the test rows are the same in all folds and seeds
    if evaluation.split is not Split.GIVEN:
        folds = [set(chosen.valid) for _, chosen in runs]
        assert sum(map(len, folds)) == len(set.union(*folds)) == 50 - (0 if "valid" in parts else 5)


def test_the_card_s_grid():
    assert len(cells(PROTOCOLS["card"], tasks.JSTS)) == 6 * 3 * 5
    assert len(cells(PROTOCOLS["card"], tasks.JNLI)) == 6 * 2 * 5
    best = choose(
        [
            {"rate": rate, "epochs": 3, "valid": valid, "test": test}
            for rate, valid, test in ((1e-5, 0.7, 0.9), (1e-5, 0.5, 0.9), (3e-5, 0.65, 0.4), (3e-5, 0.66, 0.6))
        ]
    )
    assert (best.rate, best.test, best.runs) == (3e-5, 0.5, 2)  # by the mean validation score, not by the test


# --- runs --------------------------------------------------------------------------------------------------------


def test_a_run_writes_results_and_a_second_one_trains_nothing(data, model, tmp_path, monkeypatch):
    call = ("jcola", "jsts", "jcomqa", "--data", data, "--model", model, "-o", tmp_path, "-q")
    result = jnlp(*call)
    assert result.exit_code == 0, result.output
    said = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["task"] for row in said] == ["jcola", "jsts", "jcomqa"]
    for row in said:
        saved = json.loads((tmp_path / "small" / row["task"] / "result.json").read_text("utf-8"))
        assert saved["score"] == row["score"]
        assert {"weights_sha256", "data_sha256", "versions", "machine", "protocol", "chosen"} <= saved.keys()
        assert len(saved["cells"]) == 3
        assert -1 <= saved["score"] <= 1
    monkeypatch.setattr(running, "_Work", None)  # nothing may be trained
    again = jnlp(*call)
    assert again.exit_code == 0, again.output
    assert [json.loads(line)["score"] for line in again.stdout.splitlines()] == [row["score"] for row in said]


def test_a_grid_that_is_stopped_continues_and_ends_the_same(data, model, tmp_path, monkeypatch):
    """The second of three cells never ends; after that the rest is trained, and nothing twice."""
    call = ("jcola", "--data", data, "--model", model, "-q")
    assert jnlp(*call, "-o", tmp_path / "whole").exit_code == 0
    whole = json.loads((tmp_path / "whole/small/jcola/result.json").read_text("utf-8"))
    calls = []
    real = running._Work.__call__

    def stopping(self, cell, progress):
        calls.append(cell.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, cell, progress)

    monkeypatch.setattr(running._Work, "__call__", stopping)
    assert jnlp(*call, "-o", tmp_path / "cut").exit_code != 0
    assert jnlp(*call, "-o", tmp_path / "cut").exit_code == 0
    cut = json.loads((tmp_path / "cut/small/jcola/result.json").read_text("utf-8"))
    assert len(calls) == 4
    assert [c["test"] for c in cut["cells"]] == [c["test"] for c in whole["cells"]]
    (tmp_path / "cut/small/jcola/cells/quick/lr3e-05-epochs3-run0.json").write_text("{", "utf-8")  # cut off by a kill
    assert jnlp(*call, "-o", tmp_path / "cut").exit_code == 0
    assert len(calls) == 5


def test_cells_that_run_elsewhere_give_the_same(data, model, tmp_path, monkeypatch):
    """An executor makes the function from what is sent, and its results come in any order."""
    import pickle

    from jnlp.registry import import_target
    from jnlp_evaluate import cli

    def spread(make, given, items):
        run = import_target(make)(*pickle.loads(pickle.dumps(given)))
        return ((item, run(item)) for item in reversed(pickle.loads(pickle.dumps(items))))

    call = ("jcola", "--data", data, "--model", model, "-q")
    assert jnlp(*call, "-o", tmp_path / "here").exit_code == 0
    monkeypatch.setattr(cli, "_spread", lambda _: spread)
    done = jnlp(*call, "-o", tmp_path / "there")
    assert done.exit_code == 0, done.output
    here, there = (
        json.loads((tmp_path / name / "small/jcola/result.json").read_text("utf-8")) for name in ("here", "there")
    )
    assert there["score"] == here["score"]
    assert [cell | {"seconds": 0} for cell in there["cells"]] == [cell | {"seconds": 0} for cell in here["cells"]]


def test_an_executor_that_runs_no_cells_is_one_line(data, model, tmp_path):
    done = jnlp("jcola", "--data", data, "--model", model, "-o", tmp_path / "out", "--executor", "processes")
    assert done.exit_code == 2
    assert "--executor processes runs no cells" in done.stderr
    assert "--jobs N runs N at a time" in done.stderr


def test_a_record_of_other_data_or_limits_is_not_taken(data, model, tmp_path):
    call = ("jcola", "--data", data, "--model", model, "-q", "-o", tmp_path)
    assert jnlp(*call, "--limit", "40").exit_code == 0
    record = json.loads((tmp_path / "small/jcola/cells/quick/lr0.0001-epochs3-run0.json").read_text("utf-8"))
    assert record["record"]["rows"] == [40, 15, 20]
    assert jnlp(*call).exit_code == 0
    record = json.loads((tmp_path / "small/jcola/cells/quick/lr0.0001-epochs3-run0.json").read_text("utf-8"))
    assert record["record"]["rows"] == [57, 15, 24]


def test_the_quick_protocol_takes_a_part_of_large_sets():
    parts = {"train": list(range(9000)), "valid": list(range(3000))}
    rows = divide(tasks.JSTS, parts, 0, None, most=PROTOCOLS["quick"].rows)[1]
    assert (len(rows.train), len(rows.valid), len(rows.test)) == (4000, 800, 3000)
    prepared = Prepared(
        [[Sequences((np.zeros(length, np.int64),), (1.0,))] for length in (5, 6, 7)],
        np.zeros(3),
        Goal(("a", "b"), ProblemType.SINGLE_LABEL),
    )
    assert prepared.within(Rows((2, 0, 1), (), ()), 12).train == (2, 0)
    assert prepared.within(Rows((2, 0, 1), (), ()), None).train == (2, 0, 1)
    rows = divide(tasks.JSTS, parts, 0, None, most=PROTOCOLS["card"].rows)[1]
    assert (len(rows.train), len(rows.valid), len(rows.test)) == (7200, 1800, 3000)


@pytest.mark.slow
def test_the_card_s_protocol_survives_kills(data, model, tmp_path):
    """The whole grid of 90 cells, in two processes, is killed three times without loss."""
    call = [sys.executable, "-m", "jnlp", "evaluate", "jcola", "--data", str(data), "--model", str(model)]
    call += ["-o", str(tmp_path), "--protocol", "card", "--jobs", "2", "--limit", "20", "-q"]
    records = tmp_path / "small/jcola/cells/card"
    kept: dict[str, int] = {}
    for wanted in (5, 30, 60):
        running = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        while len(list(records.glob("*.json"))) < wanted:
            assert running.poll() is None
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        assert not (tmp_path / "small/jcola/result.json").exists()
        now = {path.name: path.stat().st_mtime_ns for path in records.glob("*.json")}
        assert kept.items() <= now.items()  # what was recorded is not trained again
        kept = now
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    saved = json.loads((tmp_path / "small/jcola/result.json").read_text("utf-8"))
    assert len(saved["cells"]) == 90
    assert saved["chosen"]["runs"] == 5
    assert kept.items() <= {path.name: path.stat().st_mtime_ns for path in records.glob("*.json")}.items()


def test_results_of_another_model_of_the_same_name_are_not_replaced(data, model, tmp_path):
    call = ("similarity", "--data", data, "-o", tmp_path / "out", "-q")
    assert jnlp(*call, "--model", model).exit_code == 0
    other = make_model(tmp_path / "small", layers=2, seed=1)
    result = jnlp(*call, "--model", other)
    assert result.exit_code == 1
    assert "holds results of another model called small" in result.stderr


def test_without_training(data, model, tmp_path):
    result = jnlp("retrieval", "similarity", "--data", data, "--model", model, "-o", tmp_path, "-q")
    assert result.exit_code == 0, result.output
    retrieval, similarity = map(json.loads, result.stdout.splitlines())
    assert retrieval["scores"]["passages"] == 8
    assert 0 <= retrieval["score"] <= 1
    assert retrieval["protocol"] == "direct"
    assert similarity["scores"]["pairs"] == 16
    assert retrieval["scores"]["articles"] == 2
    assert retrieval["scores"]["article_recall@1"] >= retrieval["scores"]["recall@1"]


def test_masks_and_a_toxicity_classifier_without_training(data, tmp_path):
    result = jnlp(
        "cloze", "perplexity", "needle", "--data", data, "--model", "tiny", "-o", tmp_path, "-q", "--limit", 20
    )
    assert result.exit_code == 0, result.output
    cloze, perplexity, needle = map(json.loads, result.stdout.splitlines())
    assert cloze["scores"]["items"] == 20
    assert 0 < cloze["score"] <= cloze["scores"]["top5"] <= 1
    assert 1 < perplexity["score"] < 20_000  # per character; a guess among all pieces is 20,000 per token
    assert rows_of([perplexity])[0]["perplexity"] == f"{perplexity['score']:.2f}†"  # no share: not times 100
    assert needle["scores"]["lengths"] == 2
    assert needle["score"] == pytest.approx((needle["scores"]["top1@128"] + needle["scores"]["top1@512"]) / 2)
    result = jnlp("toxicity", "--data", data, "--model", "tiny-toxicity", "-o", tmp_path, "-q")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["score"] == 1.0


def test_the_cloze_test_needs_no_data(tmp_path):
    result = jnlp("cloze", "--data", tmp_path / "none", "--model", "tiny", "-o", tmp_path, "-q", "--limit", 20)
    assert result.exit_code == 0, result.output


def test_a_classifier_of_other_labels_is_not_measured_on_toxicity(data, tmp_path):
    folder = make_model(tmp_path / "model", labels=("良い", "悪い"))
    result = jnlp("toxicity", "--data", data, "--model", folder, "-o", tmp_path, "-q")
    assert result.exit_code == 1
    assert "none of the model's labels is one of toxic" in result.stderr


# --- tables ------------------------------------------------------------------------------------------------------

RESULTS = [
    {"model": "tiny", "task": "jcola", "score": 0.8391, "protocol": "quick", "limit": None},
    {"model": "tiny", "task": "jsts", "score": 0.7, "protocol": "card", "limit": 100},
    {"model": "130m", "task": "jsts", "score": 0.9, "protocol": "card", "limit": None},
]


def test_tables(tmp_path):
    rows = rows_of(RESULTS)
    assert rows == [
        {"model": "tiny", "jcola": "83.91*", "jsts": "70.00†"},
        {"model": "130m", "jcola": "–", "jsts": "90.00"},
    ]
    assert render(rows, "csv").splitlines()[1] == "tiny,83.91*,70.00†"
    assert "| 130m | – | 90.00 |" in render(rows, "markdown")
    assert "<td>83.91*</td>" in render(rows, "html")
    assert "<script" not in render([{"model": "<script>"}], "html")
    (tmp_path / "card.csv").write_text("model,jsts\n前の論文,91.2\n", "utf-8")
    assert rows_of(RESULTS, read_reference(tmp_path / "card.csv"))[-1] == {
        "model": "前の論文 (reference)",
        "jcola": "–",
        "jsts": "91.2",
    }
    (tmp_path / "card.csv").write_text("model,parameters,jsts\n前の論文,1e8,91.2\n", "utf-8")
    sized = [result | {"parameters": size} for result, size in zip(RESULTS, (4e6, 4e6, 1.3e8), strict=True)]
    page = render(rows, "html", plots(sized, read_reference(tmp_path / "card.csv")))
    assert page.count("<figure>") == 1  # jcola has one model only
    assert page.count("<circle") == 3
    assert "前の論文 (reference): 100,000,000 parameters, 91.20" in page
    (tmp_path / "wrong.csv").write_text("name\nx\n", "utf-8")
    with pytest.raises(JnlpError, match="has no column 'model'"):
        read_reference(tmp_path / "wrong.csv")


def test_two_models_are_compared_row_by_row():
    rng = np.random.default_rng(0)
    better, worse = (rng.random(400) < share for share in (0.9, 0.7))

    def result(right):
        cell = {"rate": 1e-5, "epochs": 1, "run": 0, "right": "".join("01"[int(r)] for r in right)}
        return {
            "model": "m",
            "task": "jcola",
            "data_sha256": "x",
            "chosen": {"rate": 1e-5, "epochs": 1},
            "cells": [cell],
        }

    apart, low, high = difference(result(better), result(worse))
    assert apart == pytest.approx(better.mean() - worse.mean())
    assert 0 < low < apart < high
    with pytest.raises(JnlpError, match="not of the same test rows"):
        difference(result(better), result(worse[:10]))


def test_a_table_says_which_encoders_have_no_row(tmp_path):
    tuned = {"model": "tiny", "task": "jsts", "score": 0.5, "protocol": "card", "limit": None}
    (tmp_path / "card.csv").write_text("model,jsts\nsbintuitions/modernbert-ja-30m,1.5\n", "utf-8")
    references = read_reference(tmp_path / "card.csv")
    without = missing([tuned, tuned | {"model": "modernbert-ja-130m"}], references)
    assert len(without) == len(BASELINES) - 2
    rows = rows_of([tuned], references)
    for form in ("markdown", "html"):
        assert "No row for 19 encoders" in render(rows, form, "", without)
        assert "FacebookAI/xlm-roberta-large" in render(rows, form, "", without)
        assert "No row" not in render(rows, form)
    assert missing([tuned | {"task": "cloze", "protocol": "direct"}]) == []


def test_the_table_command(data, model, tmp_path):
    assert jnlp("jcola", "--data", data, "--model", model, "-o", tmp_path, "-q").exit_code == 0
    out = jnlp("table", tmp_path, "--format", "markdown")
    assert out.stdout.startswith("| model | jcola |")
    assert jnlp("table", tmp_path, "-o", tmp_path / "t.html").exit_code == 0
    assert "<table>" in (tmp_path / "t.html").read_text("utf-8")
    (tmp_path / "card.csv").write_text("model,jcola\n他の報告,84.0\n", "utf-8")
    assert (
        "他の報告 (reference),84.0"
        in jnlp("table", tmp_path, "--format", "csv", "--reference", tmp_path / "card.csv").stdout
    )
    compared = jnlp("table", tmp_path, "--format", "csv", "--compare", "small", "small")
    assert "jcola: small − small = +0.00 points" in compared.stdout


# --- fetching ----------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path):
    """A server on loopback that serves a folder."""
    (tmp_path / "www").mkdir()
    handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: handler(*a, directory=str(tmp_path / "www")))
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_address[1]}", tmp_path / "www"
    made.shutdown()
    made.server_close()
    thread.join()


def test_files_are_fetched_at_their_revision_and_a_changed_one_is_refused(server, tmp_path):
    address, www = server
    lines(www / "v1/train.jsonl", [{"sentence": "駅が近い。", "label": 1}])
    source = DataSource(
        "https://example.org", "CC0", "誰か", "v1", {"jcola/train.jsonl": f"{address}/{{revision}}/train.jsonl"}
    )
    mine = Evaluation("mine", "試験", "accuracy", Measured.CLASSIFY, source, "jnlp_evaluate.layouts:read_jcola")
    assert pull(mine, tmp_path / "data") == [tmp_path / "data/jcola/train.jsonl"]
    assert pull(mine, tmp_path / "data")  # again: the same
    assert read_parts(mine, tmp_path / "data")["train"][0].text == "駅が近い。"
    lines(tmp_path / "data/jcola/train.jsonl", [{"sentence": "駅が近い。", "label": 0}])
    with pytest.raises(JnlpError, match=r"train.jsonl has changed since it was fetched"):
        read_parts(mine, tmp_path / "data")
    lines(www / "v1/train.jsonl", [{"sentence": "駅が遠い。", "label": 0}])
    with pytest.raises(JnlpError, match=r"jcola/train.jsonl has changed since it was first fetched"):
        pull(mine, tmp_path / "data")
    (www / "v1/train.jsonl").unlink()
    with pytest.raises(JnlpError, match="cannot be fetched"):
        pull(mine, tmp_path / "data")


def test_the_list_of_data_says_what_is_here(data):
    result = jnlp("data", "--data", data)
    assert result.exit_code == 0, result.output
    found = {row["task"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert found["jcola"]["here"] == "train 72 valid 24"
    assert found["livedoor"]["here"] == "–"
    assert found["jsts"]["licence"] == "CC BY-SA 4.0"
    assert all(row["credit"] and (row["fetched_by_command"] or row["note"]) for row in found.values())


def test_a_fingerprint_changes_with_any_row(data):
    parts = read_parts(tasks.JCOLA, data)
    assert fingerprint(parts) == fingerprint(read_parts(tasks.JCOLA, data))
    changed = parts | {"train": [Example("別", "1"), *parts["train"][1:]]}
    assert fingerprint(changed) != fingerprint(parts)


# --- a labelled file ---------------------------------------------------------------------------------------------


def test_a_label_that_the_model_lacks_is_named_with_its_row(tmp_path):
    with (tmp_path / "投稿.csv").open("w", encoding="cp932", newline="") as file:
        out = csv.writer(file)
        out.writerow(["本文", "判定"])
        out.writerows(
            [("お前は馬鹿か。死ね。", "toxic"), ("明日は晴れです。", "not toxic"), ("会議は三時です。", "toxic")]
        )
    base = ["file", tmp_path / "投稿.csv", "--text", "本文", "--label", "判定", "--model", "tiny-toxicity"]
    wrong = jnlp(*base)
    assert wrong.exit_code == 1
    assert "投稿.csv:3: the label 'not toxic' is none of the model's: clean, toxic" in wrong.stderr


def test_a_file_gets_a_page(tmp_path):
    folder = make_model(tmp_path / "model", labels=("良い", "悪い"))
    lines(
        tmp_path / "rows.jsonl",
        [{"text": text, "label": "良い" if label else "悪い"} for text, label in sentences()[:30]],
    )
    result = jnlp("file", tmp_path / "rows.jsonl", "--label", "label", "--model", folder, "-o", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert "accuracy" in result.stdout
    report = json.loads((tmp_path / "report/report.json").read_text("utf-8"))
    assert report["rows"] == 30
    assert report["measured_on"] == "rows.jsonl"
    assert sum(map(sum, report["confusion"])) == 30
    assert (tmp_path / "report/report.html").is_file()
