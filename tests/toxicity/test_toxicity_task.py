from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from jnlp.errors import JnlpError
from jnlp.options import fields
from jnlp.terminal import listed
from jnlp.testing import make_model
from jnlp.types import Logits, ProblemType
from jnlp_toxicity.logic import drop, make, rows, toxic_labels
from jnlp_toxicity.spec import TOXICITY, Span, ToxicityOptions

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


class Judge:
    """A classifier with two windows for texts over 10 characters; says 0.8 toxic of a window with 悪."""

    labels = ("clean", "toxic")
    problem_type = ProblemType.SINGLE_LABEL
    max_length = 10
    temperature = 1.0

    def logits(self, texts, /, *, overflow=None):
        values, owner, spans = [], [], []
        for number, text in enumerate(texts):
            for start in range(0, max(1, len(text)), 10):
                part = text[start : start + 10]
                values.append([0.0, math.log(4) * (1 if "悪" in part else -1)])
                owner.append(number)
                spans.append((start, start + len(part)))
        return Logits(
            np.array(values, np.float32),
            np.array(owner, np.int64),
            np.array(spans, np.int64),
            np.ones(len(owner), np.int64),
            np.zeros(len(texts), np.int64),
            self.labels,
            self.problem_type,
        )


def toxic_throughout(texts):
    """What a classifier says that takes everything for toxic."""
    spans = np.array([(0, len(text)) for text in texts], np.int64)
    count = np.arange(len(texts))
    values = np.tile(np.array([[0.0, 2.0]], np.float32), (len(texts), 1))
    return Logits(values, count, spans, np.ones_like(count), np.zeros_like(count), Judge.labels, Judge.problem_type)


class Models:
    def classifier(self, model=None, /):
        return Judge()


class NoModels:
    def classifier(self, model=None, /):
        raise AssertionError("no model may be asked for")


def test_the_score_joins_lists_and_model_by_noisy_or():
    (result,) = make(Models(), ToxicityOptions())(["悪いバカめ"])
    assert result.categories == {"insult": pytest.approx(0.55), "model": pytest.approx(0.8)}
    assert result.score == pytest.approx(1 - 0.45 * 0.2)
    assert result.toxic
    assert result.spans == (Span(0, 5, "model"), Span(2, 4, "insult"))


def test_the_window_that_is_worst_is_the_span():
    text = "これは普通の文章です。この先が悪い。終わり。"
    (result,) = make(Models(), ToxicityOptions())([text])
    assert result.spans == (Span(10, 20, "model"),)
    assert result.score == pytest.approx(0.8)


def test_a_clean_text_has_a_low_score_and_no_spans():
    (result,) = make(Models(), ToxicityOptions())(["今日は晴れ"])
    assert (result.toxic, result.spans) == (False, ())
    assert result.score == pytest.approx(0.2)
    (empty,) = make(Models(), ToxicityOptions())([""])
    assert not empty.toxic


def test_a_word_repeated_counts_once_and_two_words_more():
    apply = make(NoModels(), ToxicityOptions(rules_only=True))
    one, twice, two = apply(["バカだ", "バカだ、バカだ", "バカだ、アホだ"])
    assert one.score == twice.score == pytest.approx(0.55)
    assert len(twice.spans) == 2
    assert two.score == pytest.approx(1 - 0.45**2)
    assert [result.categories for result in (one, two)] == [{"insult": one.score}, {"insult": two.score}]


@pytest.mark.parametrize("text", ["🙂", "😀🎉", "！？…", ""])
def test_the_model_does_not_judge_what_has_no_letter(text, monkeypatch):
    monkeypatch.setattr(Judge, "logits", lambda self, texts, /: toxic_throughout(texts))
    marks, words = make(Models(), ToxicityOptions())([text, "猫"])
    assert (marks.toxic, marks.score, marks.spans, marks.categories) == (False, 0.0, (), {})
    assert words.toxic


def test_threshold_and_drop():
    options = ToxicityOptions(rules_only=True, threshold=0.6, drop=True)
    mild, bad = make(NoModels(), options)(["バカだ", "死ね"])
    assert (mild.toxic, bad.toxic) == (False, True)
    assert drop(mild, options) is None
    assert drop(bad, options) == "toxic 0.900: violence"
    assert drop(bad, dataclasses.replace(options, drop=False)) is None


def test_the_table_row_says_why():
    (result,) = make(Models(), ToxicityOptions())(["悪いバカめ"])
    assert rows("悪いバカめ", result) == [
        {
            "id": "",
            "text": "悪いバカめ",
            "toxic": "yes",
            "score": "0.910",
            "threshold": "0.500",
            "grade": "3",
            "why": listed(["バカ (insult)", "model 0.80"]),
        }
    ]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("clean", "toxic"), [1]),
        (("toxic", "clean"), [0]),
        (("LABEL_0", "LABEL_1"), [1]),
        (("0", "1"), [1]),
        (("clean", "insult_mild", "threat"), [1, 2]),
        (("clean", "insult", "threat"), [1, 2]),
        (("toxic", "obscene", "insult"), [0, 2]),
        (("LABEL_0",), [0]),
        (("non-toxic", "toxic"), [1]),
        (("toxicity",), [0]),
    ],
)
def test_which_labels_are_toxic(labels, expected):
    assert toxic_labels(labels) == expected


def test_labels_that_do_not_say_are_refused():
    with pytest.raises(JnlpError, match="do not say which is toxic: 経済, スポーツ"):
        toxic_labels(("経済", "スポーツ"))
    with pytest.raises(JnlpError, match="do not say"):  # of a sentiment model neither is toxic
        toxic_labels(("negative", "positive"))
    with pytest.raises(JnlpError, match="do not say"):
        toxic_labels(("clean", "benign"))


def test_two_threads_may_call_it_at_once():
    apply = make(NoModels(), ToxicityOptions(rules_only=True))
    texts = ["このばかが来た。", "ばかり言うな。", "土人形と不具合", "びっこを引く"] * 50
    expected = apply(texts)
    with ThreadPoolExecutor(4) as pool:
        assert all(found == expected for found in pool.map(apply, [texts] * 8))


def test_a_real_model_runs_through(tmp_path):
    from jnlp.encoder.load import load_classifier

    folder = make_model(tmp_path / "m", labels=("clean", "toxic"), positions=32, layers=2)

    class Loaded:
        def classifier(self, model=None, /):
            return load_classifier(folder)

    text = "今日は良い天気です。" * 20 + "死ね。"
    (result,) = make(Loaded(), ToxicityOptions(threshold=0.0))([text])
    (window,) = [span for span in result.spans if span.reason == "model"]
    assert 0 < window.end - window.start < len(text)
    assert Span(200, 202, "violence") in result.spans
    assert result.score == pytest.approx(1 - (1 - result.categories["model"]) * 0.1)


def test_the_spec_is_light_and_whole():
    choices = {"level", "threshold", "thresholds", "words", "allow", "rules-only"}
    actions = {"flag", "drop", "mask", "mask-with", "review"}
    assert {field.key for field in fields(TOXICITY.options)} == choices | actions
    assert TOXICITY.model == "tiny-toxicity"
    heavy = "[m for m in ('torch', 'numpy', 'sudachipy') if m in sys.modules]"
    code = f"import sys, jnlp_toxicity, jnlp_toxicity.spec; print({heavy})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_env())
    assert out.stdout.strip() == "[]"


def _env() -> dict[str, str]:
    import os

    root = Path(__file__).resolve().parents[2]
    return {**os.environ, "PYTHONPATH": f"{root}:{root / 'plugins'}"}


def test_the_recipe_trains_scores_and_writes_a_card(tmp_path):
    import lzma

    from jnlp.training.classifier.trainer import ClassifierOptions
    from jnlp_family.toxicity.model import read_scores
    from jnlp_family.toxicity.rows import PLAIN, all_rows, chosen_rows
    from jnlp_family.toxicity.train import main

    names = {name.removeprefix("corpus/").removesuffix(".jsonl.xz") for name, _ in PLAIN.values() if "corpus" in name}
    data = tmp_path / "data"
    folder = data / "tasks/rtplx_toxicity"
    folder.mkdir(parents=True)
    (data / "corpus").mkdir()
    for name, first, count in (("train", 0, 40), ("valid", 40, 10), ("test", 50, 10)):
        lines = []
        for number in range(first, first + count):
            bad = {"id": f"{number}-prompt", "text": f"お前は本当にバカだ、死ね{number}", "kind": "prompt", "label": 1}
            good = {
                "id": f"{number}-benign_completion",
                "text": f"今日は良い天気だ{number}",
                "kind": "benign_completion",
                "label": 0,
            }
            between = {"id": f"{number}-toxic_completion", "text": "微妙", "kind": "toxic_completion", "label": None}
            lines += [json.dumps(row, ensure_ascii=False) for row in (bad, good, between)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    (data / "tasks/board_toxicity").mkdir()
    posts = [
        {
            "id": f"b{number}",
            "text": ("うるせえバカ" if number % 2 else "今日は寒い") + str(number),
            "label": number % 2,
        }
        for number in range(60)
    ]
    lines = [json.dumps(row, ensure_ascii=False) for row in posts]
    (data / "tasks/board_toxicity/train.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    (data / "tasks/synonyms").mkdir()
    (data / "tasks/synonyms/train.jsonl").write_text('{"query": "天気"}\n', "utf-8")
    for name in sorted(names):
        with lzma.open(data / f"corpus/{name}.jsonl.xz", "wt", encoding="utf-8") as file:
            for number in range(20):
                text = "\n".join(f"{number}番目の{turn}つ目の文です。" for turn in range(8))
                file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    base = make_model(tmp_path / "base", layers=1, hidden=32, initializer_range=0.02)
    out = tmp_path / "tiny-toxicity"
    options = ClassifierOptions(epochs=10, lr=5e-3, max_length=32, weights="fp16", head_only=True, patience=0)
    folds = tmp_path / "folds.json"
    for _ in range(2):  # the second run replaces what the first one made
        scores = main(data, base, out, options=options, most=20, seeds=2, folds_to=folds)
    assert scores["test"]["word lists"]["all"] == {"rows": 20, "auc": 1.0, "f1": 1.0, "low": 1.0, "high": 1.0}
    assert scores["test"]["model"]["all"]["auc"] > 0.9
    assert set(scores["false_alarms"]) == {"news", "encyclopaedia", "fiction", "dialogue", "documentation"}
    card = (out / "README.md").read_text("utf-8")
    assert "license: cc-by-sa-4.0" in card
    assert "| all (20) | word lists | 1.000 (1.000–1.000) | 1.000 |" in card
    assert "$" not in card
    report = json.loads((out / "metrics.json").read_text("utf-8"))
    assert report["toxicity"] == scores
    tried = report["seeds"]
    assert list(tried) == ["0", "1"]
    chosen = str(report["details"]["options"]["seed"])
    assert tried[chosen] == max(tried.values()), "the AUC on validation posts of the board"
    rows = chosen_rows(all_rows(data), 20)
    found = read_scores(folds, rows)
    assert [row.part == "train" for row in rows] == [score is not None for score in found]
    with pytest.raises(JnlpError, match="scores of other rows"):
        read_scores(folds, rows[1:])
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    with pytest.raises(JnlpError, match="seeds must be at least 1"):
        main(data, base, out, options=options, most=20, seeds=0)
    assert (out / "README.md").is_file()
    assert json.loads((out / "config.json").read_text("utf-8"))["id2label"] == {"0": "clean", "1": "toxic"}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not beside the project")
def test_the_word_lists_alone_tell_rtplx_apart():
    from jnlp.training.metrics import binary_f1, roc_auc
    from jnlp_family.toxicity.train import read_rows

    test = read_rows(SHARED / "tasks/rtplx_toxicity/test.jsonl")
    results = make(NoModels(), ToxicityOptions(rules_only=True))([row.text for row in test])
    truth = np.array([row.toxic for row in test])
    assert roc_auc(np.array([r.score for r in results]), truth) > 0.8
    assert binary_f1(np.array([r.toxic for r in results]), truth) > 0.7


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not beside the project")
def test_the_word_lists_leave_everyday_dialogue_alone():
    from jnlp_family.toxicity.train import unseen_texts

    texts = unseen_texts(SHARED, 300)["dialogue"]
    results = make(NoModels(), ToxicityOptions(rules_only=True))(texts)
    assert sum(result.toxic for result in results) <= 0.02 * len(texts)
