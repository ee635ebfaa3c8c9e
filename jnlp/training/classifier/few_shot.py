"""An embedder tuned to a few labelled rows, and a linear model on its vectors: `--method few-shot`.

The embedder is tuned through sentence-transformers' trainer: texts of a label are drawn together and others apart
(Khosla et al. 2020, "Supervised contrastive learning"), as SetFit does with pairs (Tunstall et al. 2022). A tuned
embedder separates the rows it has seen too well to choose anything by, so whatever is chosen is chosen on folds: for
each, another embedder is tuned without its rows.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from jnlp.encoder.linear_classifier import dense_features, save_linear
from jnlp.encoder.load import load_embedder
from jnlp.encoder.ngrams import count
from jnlp.encoder.runtime import Runtime
from jnlp.errors import JnlpError, MissingExtraError
from jnlp.models.resolve import resolve
from jnlp.models.specs import BUILTIN_SPECS
from jnlp.training.classifier.candidates import FEW_SHOT, Candidate
from jnlp.training.classifier.contrast import Tuning, tune
from jnlp.training.classifier.finetune import class_weights
from jnlp.training.classifier.linear import Features, fit_linear, folds_of, search
from jnlp.training.classifier.linear_candidate import choice_facts
from jnlp.training.classifier.targets import problem_of, typed
from jnlp.training.launch import is_shared
from jnlp.types import Head, ProblemType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.models.folder import ModelFolder
    from jnlp.training.classifier.options import ClassifierOptions, Sets
    from jnlp.training.classifier.targets import Goal
    from jnlp.types import Example, Progress

MOST_PER_LABEL = 32
"""Rows of a label up to which `auto` tunes an embedder; with more of them the frozen vectors do as well."""

AUTO_MINUTES = 3.0
"""The time limit of tuning, where none is given; folds, the model itself and its last fit together."""

_FOLDS = 3


def is_few(examples: Sequence[Example], problem: str, /) -> bool:
    """Return whether rows are few enough a label for `auto` to tune an embedder, and of a kind that it can learn.

    Args:
        examples: The training rows.
        problem: What `--problem` says.
    """
    kind = problem_of(examples, problem)
    if kind is not ProblemType.SINGLE_LABEL or any(not isinstance(row.text, str) for row in examples):
        return False
    counts = Counter(str(row.target) for row in typed(examples, kind)).values()
    return median(counts) <= MOST_PER_LABEL and min(counts) >= _FOLDS


def lacks() -> str | None:
    """Return the package that tuning needs and this installation lacks, or None."""
    return next((name for name in ("accelerate", "datasets") if find_spec(name) is None), None)


def check(sets: Sets, goal: Goal, options: ClassifierOptions, /) -> ModelFolder:
    """Return the embedder to tune.

    Raises:
        JnlpError: The rows are not single texts with one label each, or there is no such embedder.
        MissingExtraError: accelerate or datasets is not installed.
    """
    if goal.problem is not ProblemType.SINGLE_LABEL or any(not isinstance(row.text, str) for row in sets.train):
        raise JnlpError("few-shot learns one label for each single text", hint="--method linear or finetune")
    least = np.bincount(goal.targets(sets.train).astype(np.int64), minlength=len(goal.labels)).min()
    if least < 2:
        raise JnlpError("few-shot needs two training rows of each label", hint="give more, or --method linear")
    if options.embedder == "none":
        raise JnlpError("few-shot tunes an embedder, and --embedder is none", hint="--embedder tiny-search")
    model = resolve(options.embedder, {spec.name: spec for spec in BUILTIN_SPECS})
    if Head.EMBEDDING not in model.spec.heads:
        raise JnlpError(f"{options.embedder} gives no vectors", hint="--embedder tiny-search, ruri-v3-130m …")
    if is_shared():
        raise JnlpError("few-shot runs in one process", hint="start it without torchrun, or --method finetune")
    if lacks() is not None:
        raise MissingExtraError("train", "few-shot training")
    return model


def fit_few_shot(sets: Sets, goal: Goal, options: ClassifierOptions, progress: Progress, device: str, /) -> Candidate:
    """Tune an embedder to the training rows, and fit a linear model to its vectors and n-grams.

    The errors are those of `check`.
    """
    began = time.monotonic()
    tuner = _Tuner.of(sets, goal, options, progress, device)
    rows = [*sets.train, *sets.valid, *sets.test]
    train = np.arange(len(sets.train))
    targets = goal.targets(sets.train)
    weights = class_weights(targets, goal) if options.class_weights == "balanced" else None
    folds = folds_of(sets.train, np.random.default_rng(options.seed), _FOLDS)
    others = [[sets.train[row] for row in np.setdiff1d(train, held)] for held in folds]
    dense = [tuner.features(seen, sets.train).dense for seen in others]
    features = tuner.features(sets.train, rows)
    found = search(features.take(train), sets.train, goal, seed=options.seed, weights=weights, tuned=(folds, dense))
    model = fit_linear(features.take(train), targets, goal, found, weights=weights)

    def write(part: Path) -> None:
        seen = rows if options.refit else sets.train
        with TemporaryDirectory() as place:
            again = tuner.features(seen, seen, Path(place) / "tuned")
            final = fit_linear(again, goal.targets(seen), goal, found, weights=weights)
            tuned = Path(place) / "tuned" if found.choice.vectors else None
            save_linear(part, final, goal.labels, goal.problem, temperature=found.temperature, embedder=tuned)

    logits = features.logits(model)
    start, end = len(sets.train), len(sets.train) + len(sets.valid)
    return Candidate(
        FEW_SHOT,
        valid=logits[start:end],
        test=logits[end:] if sets.test else None,
        temperature=found.temperature,
        seconds=time.monotonic() - began,
        facts=choice_facts(found, options, device, options.embedder)
        | {
            "cut": int((features.cut[:start] > 0).sum()),
            "refitted_on": len(rows) if options.refit else len(sets.train),
        },
        write=write,
        crossed=found.logits,
    )


@dataclass(frozen=True, slots=True)
class _Tuner:
    """Tunes an embedder to some rows and reads its vectors of others.

    Args:
        base: The embedder's folder.
        goal: The labels.
        how: The settings of each tuning.
        progress: Called with the steps.
        device: Where it runs.
    """

    base: Path
    goal: Goal
    how: Tuning
    progress: Progress
    device: str

    @classmethod
    def of(cls, sets: Sets, goal: Goal, options: ClassifierOptions, progress: Progress, device: str) -> _Tuner:
        seconds = 60 * (options.time_limit or AUTO_MINUTES) / (_FOLDS + 2)
        base = check(sets, goal, options).folder
        return cls(base, goal, Tuning(seconds=seconds, seed=options.seed), progress, device)

    def features(self, seen: Sequence[Example], rows: Sequence[Example], out: Path | None = None, /) -> Features:
        """Return the features of `rows`, with vectors of an embedder that is tuned to `seen`, and keep it in `out`."""
        with TemporaryDirectory() as scratch:
            folder = out or Path(scratch) / "tuned"
            place, _ = Runtime(device=self.device).place()
            tune(
                self.base,
                [str(row.text) for row in seen],
                self.goal.targets(seen).tolist(),
                folder,
                device=place,
                how=self.how,
                step=lambda done, total: self.progress(FEW_SHOT, done, total, {}),
            )
            embedder = load_embedder(folder, runtime=Runtime(device=self.device))
            texts = [row.text for row in rows]
            dense, cut = dense_features(texts, embedder, pairs=False)
        return Features([count(text) for text in texts], dense, False, cut)
