from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jnlp.encoder.load import load_embedder
from jnlp.errors import MissingHeadError, UsageError
from jnlp.models.resolve import BUILTIN
from jnlp.options import build, fields
from jnlp.terminal import listed
from jnlp.testing import make_model
from jnlp.types import Embeddings, Logits, ModelSpec, ProblemType, Purpose
from jnlp_classify.logic import make, remarks, rows
from jnlp_classify.ranking import rank_labels
from jnlp_classify.spec import CLASSIFIER, CLASSIFY, TEMPLATES, Classified, ClassifyOptions
from jnlp_classify.zero_shot import NEUTRAL

ROOT = Path(__file__).resolve().parents[2]


def table(values, owner, tokens, labels, problem):
    owner = np.array(owner, np.int64)
    spans = np.zeros((len(owner), 2), np.int64)
    cut = np.zeros(owner.max() + 1, np.int64)
    return Logits(np.array(values, np.float32), owner, spans, np.array(tokens, np.int64), cut, labels, problem)


class Fixed:
    """A classifier that gives the same logits whatever it reads."""

    max_length = 8

    def __init__(self, logits: Logits) -> None:
        self.answer = logits
        self.labels, self.problem_type = logits.labels, logits.problem_type
        self.read: list[object] = []

    def logits(self, texts, /, *, overflow=None):
        self.read.extend(texts)
        return self.answer


class Bag:
    """Embeds a text as counts of three topics' characters, on top of a large component that all texts share."""

    dimension = 4
    topics = ("円株銀経済", "球点試合スポーツ", "歌曲俳優芸能")

    def __init__(self) -> None:
        self.purposes: set[Purpose] = set()

    def embed(self, texts, /, *, purpose=Purpose.SIMILARITY, overflow=None):
        self.purposes.add(purpose)
        vectors = np.array([[10.0, *(sum(t.count(c) for c in topic) for topic in self.topics)] for t in texts])
        ones = np.ones(len(texts), np.int64)
        return Embeddings(vectors.astype(np.float32), ones, ones * 0)


class Models:
    def __init__(self, classifier=None, embedder=None):
        self._classifier, self._embedder = classifier, embedder

    def classifier(self, model=None, /):
        if self._classifier is None:
            raise MissingHeadError("tiny has no classifier", hint="train one: jnlp train classifier")
        return self._classifier

    def embedder(self, model=None, /):
        assert self._embedder is not None
        return self._embedder


NEWS = {
    "円安が進み輸出企業の株価が上がった": "経済",
    "銀行の株が売られた": "経済",
    "九回に逆転の点が入り試合が決まった": "スポーツ",
    "新しい曲を歌う": "芸能",
}


def test_windows_are_joined_by_their_tokens_then_softmax():
    logits = table([[0, 4], [0, -2], [1, 0]], [0, 0, 1], [1, 3, 5], ("負", "正"), ProblemType.SINGLE_LABEL)
    long, short = make(Models(Fixed(logits)), ClassifyOptions())(["長い文", "短い文"])
    mean = (4 * 1 - 2 * 3) / 4
    assert long.label == "負"
    assert long.scores == {"負": pytest.approx(1 / (1 + np.exp(mean))), "正": pytest.approx(1 / (1 + np.exp(-mean)))}
    assert short.score == pytest.approx(1 / (1 + np.exp(-1)))
    assert list(short.scores) == ["負", "正"]


def test_many_labels_keep_those_over_the_threshold_and_always_name_the_best():
    values = [[3, 1, -3], [-3, -2, -4]]
    logits = table(values, [0, 1], [2, 2], ("喜び", "驚き", "怒り"), ProblemType.MULTI_LABEL)
    several, none = make(Models(Fixed(logits)), ClassifyOptions())(["わあ", "ふむ"])
    assert list(several.scores) == ["喜び", "驚き"]
    assert several.scores["驚き"] == pytest.approx(1 / (1 + np.exp(-1)))
    assert (none.label, none.scores) == ("驚き", {})
    assert none.score == pytest.approx(1 / (1 + np.exp(2)))


def test_a_regression_gives_its_value_and_a_reranker_a_probability():
    number = table([[3.5], [1.5]], [0, 0], [1, 1], ("score",), ProblemType.REGRESSION)
    assert make(Models(Fixed(number)), ClassifyOptions())(["文"]) == [Classified("score", 2.5, {"score": 2.5})]
    single = table([[0.0]], [0], [1], ("LABEL_0",), ProblemType.MULTI_LABEL)
    assert make(Models(Fixed(single)), ClassifyOptions())([("問い", "答え")])[0].score == 0.5


def test_top_keeps_the_best():
    result = rank_labels(("a", "b", "c"), np.array([0.2, 0.5, 0.3], np.float32), 2)
    assert result.label == "b"
    assert list(result.scores) == ["b", "c"]


@pytest.mark.parametrize("text", NEWS)
def test_labels_alone_choose_by_meaning(text):
    bag = Bag()
    options = ClassifyOptions(labels=("経済", "スポーツ", "芸能"))
    (result,) = make(Models(None, bag), options)([text])
    assert result.label == NEWS[text]
    assert sum(result.scores.values()) == pytest.approx(1.0)
    assert bag.purposes == {Purpose.TOPIC}


def test_the_documented_formula():
    bag, labels = Bag(), ("経済", "芸能")
    text = "円安の歌"
    options = ClassifyOptions(labels=labels, temperature=0.3)
    (result,) = make(Models(None, bag), options)([text])

    def e(texts):
        vectors = bag.embed(texts).vectors.astype(float)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    p = np.stack([e([t.format(label=label) for t in TEMPLATES]).sum(axis=0) for label in labels])
    p /= np.linalg.norm(p, axis=1, keepdims=True)
    x, centred = e([text])[0] - e(NEUTRAL).mean(axis=0), p - p.mean(axis=0)
    cosines = centred @ x / np.linalg.norm(centred, axis=1) / np.linalg.norm(x)
    powers = np.exp(cosines / 0.3)
    expected = powers / powers.sum()
    assert [result.scores[label] for label in labels] == pytest.approx(expected.tolist(), rel=1e-4)


def test_one_text_does_not_change_another():
    apply = make(Models(None, Bag()), ClassifyOptions(labels=("経済", "スポーツ")))
    texts = list(NEWS)
    together = apply(texts)
    assert [apply([text])[0].scores for text in texts] == [
        pytest.approx(dict(result.scores), rel=1e-5) for result in together
    ]


def test_without_labels_and_classifier_the_error_says_what_to_give():
    with pytest.raises(MissingHeadError) as caught:
        make(Models(), ClassifyOptions())
    assert "tiny has no classifier" in caught.value.message
    for word in ("--labels", "--model", "jnlp train classifier"):
        assert word in caught.value.hint


@pytest.mark.parametrize("label", [",", "、", "，", " ", "　", ",、"])
def test_a_label_of_separators_is_refused(label):
    for labels in ((label,), ("経済", label)):
        with pytest.raises(UsageError) as caught:
            make(Models(None, Bag()), ClassifyOptions(labels=labels))
        assert "--labels" in caught.value.message


def test_one_label_gets_a_remark():
    plain, judge = ModelSpec("m"), ModelSpec("m", labels=("neutral", "entailment"))
    assert "'経済'" in remarks(ClassifyOptions(labels=("経済",)), plain)[0]
    assert remarks(ClassifyOptions(labels=("経済", "芸能")), plain) == ()
    assert remarks(ClassifyOptions(labels=("経済",)), judge) == ()
    assert remarks(ClassifyOptions(), plain) == ()


def test_one_label_and_a_temperature():
    near, far = make(Models(None, Bag()), ClassifyOptions(labels=("経済",)))(["円安", "歌手の曲"])
    assert near.label == far.label == "経済"
    assert near.score > 0.9 > 0.6 > far.score
    sure, even = (
        make(Models(None, Bag()), ClassifyOptions(labels=("経済", "芸能"), temperature=t))(["円安"])[0].score
        for t in (0.05, 5.0)
    )
    assert sure > 0.99 > 0.7 > even > 0.5


@pytest.mark.parametrize(
    ("label", "right", "wrong"),
    [
        (
            "配送",
            ("荷物がまだ届きません", "配達の日時を変更したい"),
            ("猫が好き", "今日はお腹がすいた", "契約書の解除条件"),
        ),
        ("映画", ("俳優の演技がすばらしい作品だった",), ("株価が下がった", "送料はいくらですか", "熱が下がりません")),
        ("料理", ("カレーを作った", "味噌汁の出汁を取る"), ("パソコンの電源が入らない", "試合は延長戦になった")),
        ("スポーツ", ("決勝で二本の本塁打を放った",), ("源氏物語を読んだ", "確定申告の期限が近い")),
    ],
)
def test_one_label_parts_what_it_names_from_the_rest(label, right, wrong):
    embedder = load_embedder(BUILTIN / "tiny-search")
    found = make(Models(None, embedder), ClassifyOptions(labels=(label,)))([*right, *wrong])
    scores = [result.score for result in found]
    assert min(scores[: len(right)]) > 0.55
    assert max(scores[len(right) :]) < 0.5


def test_an_entailment_model_judges_hypotheses():
    values = [[0, 3, 0], [0, 1, 0], [0, -1, 0], [0, 1, 0]]
    logits = table(values, [0, 1, 2, 3], [1] * 4, ("neutral", "entailment", "contradiction"), ProblemType.SINGLE_LABEL)
    judge = Fixed(logits)
    options = ClassifyOptions(labels=("経済", "芸能"), template="話題は{label}だ。")
    first, second = make(Models(judge), options)(["円安", "歌"])
    assert judge.read[:2] == [("円安", "話題は経済だ。"), ("円安", "話題は芸能だ。")]
    assert (first.label, first.score) == ("経済", pytest.approx(1 / (1 + np.exp(-2))))
    assert (second.label, second.score) == ("芸能", pytest.approx(1 / (1 + np.exp(-2))))


def test_one_label_is_entailed_with_the_models_own_probability():
    # a softmax is the same whatever is added to all of its logits
    values = [[10, 13, 10], [-10, -11, -10]]
    logits = table(values, [0, 1], [1, 1], ("neutral", "entailment", "contradiction"), ProblemType.SINGLE_LABEL)
    near, far = make(Models(Fixed(logits)), ClassifyOptions(labels=("経済",)))(["円安", "歌"])
    assert near.score == pytest.approx(np.exp(3) / (np.exp(3) + 2), rel=1e-5)
    assert far.score == pytest.approx(np.exp(-1) / (np.exp(-1) + 2), rel=1e-5)


def test_other_braces_in_a_template_are_text():
    judge = Fixed(
        table([[0, 1]] * 2, [0, 1], [1] * 2, ("contradiction", "entailment"), ProblemType.SINGLE_LABEL),
    )
    make(Models(judge), ClassifyOptions(labels=("{0}", "芸能"), template="{話題}は{label}だ。{}"))(["歌"])
    assert judge.read == [("歌", "{話題}は{0}だ。{}"), ("歌", "{話題}は芸能だ。{}")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ClassifyOptions(labels=("経済", "経済")), "is repeated"),
        (ClassifyOptions(labels=("経済", "芸能"), template="話題"), "has no {label}"),
    ],
)
def test_wrong_labels_are_usage_errors(options, message):
    with pytest.raises(UsageError, match=message):
        make(Models(None, Bag()), options)


def test_real_models_texts_and_pairs(tmp_path):
    from jnlp.encoder.load import load_classifier, load_embedder

    folder = make_model(tmp_path / "c", labels=("負", "正"), positions=64, layers=2)
    texts = ["とても良い。", "駄目だ。" * 60, ("問い", "答え" * 50)]
    results = make(Models(load_classifier(folder)), ClassifyOptions())(texts)
    assert [set(result.scores) for result in results] == [{"負", "正"}] * 3
    assert all(sum(result.scores.values()) == pytest.approx(1.0) for result in results)
    embedder = load_embedder(make_model(tmp_path / "e", head="embedding", layers=2))
    results = make(Models(None, embedder), ClassifyOptions(labels=("経済", "天気")))(texts)
    assert all(sum(result.scores.values()) == pytest.approx(1.0) for result in results)


def test_the_table_row_names_the_runners_up():
    result = Classified("経済", 0.9, {"経済": 0.9, "芸能": 0.06, "政治": 0.04})
    assert rows(("円" * 70, "安"), result) == [
        {"text": "円" * 59 + "…", "label": "経済", "score": "0.900", "others": listed(["芸能 0.06", "政治 0.04"])}
    ]


def test_options_come_from_the_command_line():
    options = build(CLASSIFY.options, {"labels": "経済, スポーツ,芸能", "top": "2"})
    assert options == ClassifyOptions(labels=("経済", "スポーツ", "芸能"), top=2)
    with pytest.raises(UsageError, match="temperature"):
        build(CLASSIFY.options, {"temperature": 0})
    names = {field.key for field in fields(CLASSIFIER.options)}
    assert names >= {"epochs", "lr", "head-only", "class-weights", "problem", "valid-share", "test-share", "seed"}


def test_specs_are_light_and_pickle():
    import pickle

    assert pickle.loads(pickle.dumps((CLASSIFY, CLASSIFIER))) == (CLASSIFY, CLASSIFIER)
    heavy = "[m for m in ('torch', 'numpy', 'transformers', 'tokenizers') if m in sys.modules]"
    code = f"import sys, jnlp_classify, jnlp_classify.spec; print({heavy})"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
