from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jnlp.training import metrics
from jnlp.training.calibration import fit_temperature
from jnlp.training.classifier.evaluation import caution, main_score, measure, shortfall
from jnlp.training.classifier.targets import Goal
from jnlp.types import ProblemType

labels = arrays(np.int64, st.integers(5, 60), elements=st.integers(0, 3))


@settings(max_examples=50, deadline=None)
@given(labels, st.integers(0, 1000))
def test_scores_equal_scikit_learn(truth, seed):
    from sklearn import metrics as sk

    guess = np.random.default_rng(seed).integers(0, 4, len(truth))
    matrix = metrics.confusion(truth, guess, 4)
    assert matrix.tolist() == sk.confusion_matrix(truth, guess, labels=[0, 1, 2, 3]).tolist()
    assert metrics.accuracy(matrix) == pytest.approx(sk.accuracy_score(truth, guess))
    assert metrics.macro_f1(matrix) == pytest.approx(sk.f1_score(truth, guess, average="macro", zero_division=0))
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        truth, guess, labels=[0, 1, 2, 3], zero_division=0
    )
    for k, score in enumerate(metrics.per_class(matrix)):
        assert (score.precision, score.recall, score.f1) == pytest.approx((precision[k], recall[k], f1[k]))
        assert score.support == support[k]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_auc_counts_pairs_and_halves_ties(rows):
    scores = np.array([score for score, _ in rows], dtype=float)
    positive = np.array([flag for _, flag in rows])
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
    assert metrics.roc_auc(scores, positive) == pytest.approx(float(np.mean(pairs)) if pairs else 0.5)


def test_log_loss_and_calibration_by_hand():
    probable = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
    truth = np.array([0, 1, 1])
    assert metrics.log_loss(probable, truth) == pytest.approx(-(np.log(0.8) + np.log(0.4) + np.log(0.7)) / 3)
    # three bins of one row each: |1 - .8|, |0 - .6|, |1 - .7|
    assert metrics.calibration_error(probable, truth) == pytest.approx((0.2 + 0.6 + 0.3) / 3)
    assert metrics.calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0.0


def test_ranks_and_correlations():
    assert metrics.ranks(np.array([10.0, 30.0, 10.0])).tolist() == [1.5, 3.0, 1.5]
    x = np.array([1.0, 2.0, 3.0, 4.0])
    assert metrics.spearman(x, np.exp(x)) == pytest.approx(1.0)
    assert metrics.pearson(x, -2 * x) == pytest.approx(-1.0)
    assert metrics.pearson(x, np.ones(4)) == 0.0


def test_binary_f1():
    guess, truth = np.array([True, True, False, False]), np.array([True, False, True, False])
    assert metrics.binary_f1(guess, truth) == pytest.approx(0.5)
    assert metrics.binary_f1(np.zeros(3, dtype=bool), np.zeros(3, dtype=bool)) == 0.0


def test_bootstrap_covers_the_binomial_interval():
    right = np.arange(200) < 150
    low, high = metrics.bootstrap(lambda rows: float(right[rows].mean()), 200, draws=2000, seed=0)
    assert (low, high) == pytest.approx((0.75 - 0.06, 0.75 + 0.06), abs=0.012)


@pytest.mark.parametrize(
    ("hits", "rows", "low", "high"),
    [  # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_of_the_literature(hits, rows, low, high):
    assert metrics.wilson(hits, rows) == pytest.approx((low, high), abs=5e-5)
    assert metrics.wilson(rows - hits, rows) == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_wilson_interval_without_a_doubt_or_a_row():
    assert metrics.wilson(4, 4) == pytest.approx((4 / (4 + 1.959964**2), 1.0))
    assert metrics.wilson(4, 4)[1] == 1.0
    assert metrics.wilson(0, 0) == (0.0, 1.0)


def test_temperature_undoes_overconfidence():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3)).astype(np.float32)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(3, p=row) for row in chances])
    assert fit_temperature(logits * 4, truth, ProblemType.SINGLE_LABEL) == pytest.approx(4.0, rel=0.1)
    assert fit_temperature(logits / 2, truth, ProblemType.SINGLE_LABEL) == pytest.approx(0.5, rel=0.1)
    many = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    assert fit_temperature(logits * 3, many, ProblemType.MULTI_LABEL) == pytest.approx(3.0, rel=0.1)
    assert fit_temperature(logits, truth, ProblemType.REGRESSION) == 1.0


def test_a_few_right_rows_do_not_make_a_model_certain():
    logits = np.array([[1.0, -1.0], [-1.0, 1.0]] * 3, dtype=np.float32)
    temperature = fit_temperature(logits, np.array([0, 1] * 3), ProblemType.SINGLE_LABEL)
    assert 1 / (1 + np.exp(-2 / temperature)) == pytest.approx(7 / 8, rel=1e-3)  # Laplace's rule of succession


def test_measure_of_a_single_label():
    goal = Goal(("負", "正"), ProblemType.SINGLE_LABEL)
    logits = np.array([[2, 0], [0, 2], [0, 2], [2, 0]], dtype=np.float32)
    report = measure(logits, np.array([0, 1, 0, 0]), goal, draws=50)
    assert report["confusion"] == [[2, 1], [0, 1]]
    assert report["majority_baseline"] == 0.75
    assert report["metrics"]["accuracy"] == 0.75  # type: ignore[index]
    assert report["metrics"]["auc"] == pytest.approx(5 / 6)  # type: ignore[index]
    assert report["per_class"]["正"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1}  # type: ignore[index]
    assert report["intervals"] == {"accuracy": metrics.wilson(3, 4)}


@pytest.mark.parametrize(
    ("rows", "wrong", "given"), [(19, 1, {"accuracy"}), (20, 1, {"accuracy", "macro_f1"}), (20, 0, {"accuracy"})]
)
def test_an_interval_that_shows_no_doubt_is_left_out(rows, wrong, given):
    truth = np.arange(rows) % 2
    logits = np.where(np.eye(2)[truth] > 0, 2.0, -2.0).astype(np.float32)
    logits[:wrong] *= -1
    report = measure(logits, truth, Goal(("負", "正"), ProblemType.SINGLE_LABEL), draws=200)
    assert set(report["intervals"]) == given  # type: ignore[call-overload]
    assert report["intervals"]["accuracy"] == metrics.wilson(rows - wrong, rows)  # type: ignore[index]


@pytest.mark.parametrize(("measured_on", "flag"), [("test", "--test-share"), ("validation", "--valid-share")])
def test_few_rows_are_said_to_be_few(measured_on, flag):
    sentence = caution(29, measured_on)
    assert sentence is not None
    assert sentence.startswith(f"29 {measured_on} rows are too few")
    assert flag in sentence
    assert caution(30, measured_on) is None


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({"metrics": {"accuracy": 0.508}, "majority_baseline": 0.541}, "accuracy of 0.508 is not above"),
        ({"metrics": {"accuracy": 0.5}, "majority_baseline": 0.5}, "is not above"),
        ({"metrics": {"accuracy": 0.6}, "majority_baseline": 0.5}, None),
        ({"metrics": {"r2": -0.0005, "spearman": 0.2}}, "no better than always predicting the mean"),
        ({"metrics": {"r2": 0.1, "spearman": -0.03}}, "do not rank"),
        ({"metrics": {"r2": 0.1, "spearman": float("nan")}}, "do not rank"),
        ({"metrics": {"r2": 0.1, "spearman": 0.3}}, None),
        ({"metrics": {"micro_f1": 0.0}}, "no label is ever found"),
        ({"metrics": {"micro_f1": 0.2}}, None),
    ],
)
def test_scores_no_better_than_a_guess_are_said_to_be(scores, said):
    found = shortfall(scores)
    assert found is None if said is None else said in found


def test_measure_of_many_labels_and_of_numbers():
    many = Goal(("嬉しい", "悲しい"), ProblemType.MULTI_LABEL)
    logits = np.array([[3, -3], [3, 3], [-3, -3]], dtype=np.float32)
    truth = np.array([[1, 0], [1, 0], [0, 0]], dtype=np.float32)
    figures = measure(logits, truth, many, draws=0)["metrics"]
    assert figures["exact_match"] == pytest.approx(2 / 3)  # type: ignore[index]
    assert figures["micro_f1"] == pytest.approx(0.8)  # type: ignore[index]
    assert main_score(logits, truth, many) == pytest.approx(0.5)
    number = Goal(("score",), ProblemType.REGRESSION)
    values = np.array([[1.0], [2.0], [4.0]], dtype=np.float32)
    aims = np.array([[1.0], [2.0], [3.0]], dtype=np.float32)
    figures = measure(values, aims, number, draws=0)["metrics"]
    assert figures["mean_squared_error"] == pytest.approx(1 / 3)  # type: ignore[index]
    assert figures["r2"] == pytest.approx(0.5)  # type: ignore[index]
    assert figures["spearman"] == pytest.approx(1.0)  # type: ignore[index]


@pytest.mark.parametrize("copies", [2, 10])
@pytest.mark.parametrize("problem", [ProblemType.SINGLE_LABEL, ProblemType.MULTI_LABEL, ProblemType.REGRESSION])
def test_doubled_rows_do_not_narrow_an_interval(problem, copies):
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, 40)
    logits = (np.eye(2)[classes] + rng.normal(size=(40, 2))).astype(np.float32)
    goal, targets = Goal(("a", "b"), problem), classes
    if problem is ProblemType.MULTI_LABEL:
        targets = np.eye(2, dtype=np.float32)[classes]
    elif problem is ProblemType.REGRESSION:
        goal, logits, targets = Goal(("score",), problem), logits[:, :1], classes[:, None].astype(np.float32)
    once = measure(logits, targets, goal)
    rows = np.tile(np.arange(40), copies)
    more = measure(logits[rows], targets[rows], goal, texts=rows)
    assert more["distinct_rows"] == 40
    assert more["rows"] == 40 * copies
    for name, (low, high) in once["intervals"].items():
        assert more["intervals"][name] == pytest.approx((low, high), abs=0.02)
