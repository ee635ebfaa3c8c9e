"""Fits each method to the same rows and scores it on the same test rows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.encoder.load import load_head
from jnlp.encoder.runtime import Runtime
from jnlp.encoder.windows import mean_logits
from jnlp.models.folder import read_folder
from jnlp.models.resolve import BUILTIN
from jnlp.training.classifier.candidates import choose
from jnlp.training.classifier.evaluation import measure
from jnlp.training.classifier.options import ClassifierOptions
from jnlp.training.classifier.targets import goal as goal_of
from jnlp.training.classifier.trainer import fit_method, hold_out, methods_of
from jnlp.types import Head, ProblemType

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jnlp.training.classifier.candidates import Candidate
    from jnlp.training.classifier.options import Sets
    from jnlp.training.classifier.targets import Goal
    from jnlp.types import Example, FloatArray

BASELINE, AUTO = "TF-IDF", "auto"
METHODS = ("linear", "few-shot", "finetune", AUTO)
"""The methods of `jnlp train classifier`, cheapest first; `auto` chooses among the others."""

_SHOWN = ("accuracy", "macro_f1", "spearman")

Scores = dict[str, Any]


def run(
    train: Sequence[Example],
    test: Sequence[Example],
    methods: Sequence[str],
    scratch: Path,
    /,
    *,
    seed: int,
    minutes: float,
) -> dict[str, Scores]:
    """Return the scores of each method that suits the rows, with the seconds that it took; for `auto` the method too.

    Args:
        train: All rows that a user has.
        test: Rows to score on.
        methods: Names of `METHODS`, or `BASELINE`.
        scratch: An empty folder.
        seed: Of the split within the training rows, and of every fit.
        minutes: The time limit of fine-tuning, and of few-shot.
    """
    numbers = isinstance(train[0].target, float)
    goal = goal_of(train, ProblemType.REGRESSION if numbers else ProblemType.SINGLE_LABEL)
    problem = "regression" if numbers else "single"
    options = ClassifierOptions(method="auto", problem=problem, seed=seed, time_limit=minutes)
    sets = hold_out(train, None, options)
    suited = methods_of(sets, options)
    found: dict[str, Scores] = {}
    if BASELINE in methods:
        began = time.monotonic()
        logits = baseline(train, test, goal)
        found[BASELINE] = _scores(logits, test, goal) | {"seconds": round(time.monotonic() - began, 1)}
    fitted: dict[str, Candidate] = {}
    for name in suited:
        if name not in methods and AUTO not in methods:
            continue
        one = fitted[name] = fit(name, sets, goal, options, scratch)
        found[name] = _scores(predict(one, scratch / f"{name}-model", test), test, goal) | {
            "seconds": round(one.seconds, 1)
        }
    if AUTO in methods:
        truth = goal.targets(sets.valid)
        kept, _ = choose([fitted[name] for name in suited], truth, goal, trained=goal.targets(sets.train))
        spent = sum(found[name]["seconds"] for name in suited)
        found[AUTO] = found[kept.name] | {"kept": kept.name, "seconds": round(spent, 1)}
    return {name: scores for name, scores in found.items() if name in methods}


def fit(name: str, sets: Sets, goal: Goal, options: ClassifierOptions, scratch: Path, /) -> Candidate:
    """Fit one method as `auto` does."""
    checkpoint = scratch / f"{name}.checkpoint"
    return fit_method(name, sets, goal, options, BUILTIN / "tiny", lambda *_: None, "cpu", checkpoint)


def predict(one: Candidate, folder: Path, test: Sequence[Example], /) -> FloatArray:
    """Write a candidate's model, load it as a user would, and return its logits of test rows."""
    folder.mkdir()
    one.write(folder)
    model = load_head(Head.CLASSIFIER, read_folder(folder), runtime=Runtime(device="cpu"))
    assert hasattr(model, "logits")
    logits: Any = model.logits([row.text for row in test])
    return mean_logits(logits)


def baseline(train: Sequence[Example], test: Sequence[Example], goal: Goal, /) -> FloatArray:
    """Return the logits of TF-IDF of character 1–3-grams with logistic regression; of pairs the cosine, not fitted."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True)
    if goal.problem is ProblemType.REGRESSION:
        vectorizer.fit([side for row in train for side in row.text])
        first, second = (vectorizer.transform([row.text[side] for row in test]) for side in (0, 1))
        cosines: FloatArray = np.asarray(first.multiply(second).sum(axis=1), dtype=np.float32).reshape(-1, 1)
        return cosines
    model = LogisticRegression(max_iter=1000)
    model.fit(vectorizer.fit_transform([str(row.text) for row in train]), goal.targets(train))
    logits = np.log(np.maximum(model.predict_proba(vectorizer.transform([str(row.text) for row in test])), 1e-9))
    found: FloatArray = logits.astype(np.float32)
    return found


def _scores(logits: FloatArray, test: Sequence[Example], goal: Goal) -> Scores:
    figures: Any = measure(logits, goal.targets(test), goal, draws=0)["metrics"]
    return {name: round(float(figures[name]), 4) for name in _SHOWN if name in figures}
