"""Fits the classifier behind `tiny-toxicity` to the rows of the decision, and scores training rows out of fold."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jnlp.errors import JnlpError
from jnlp.strict_json import dumps
from jnlp.training.classifier.trainer import ClassifierOptions, Sets, fit_classifier
from jnlp.training.metrics import roc_auc
from jnlp.types import Example
from jnlp_family.toxicity.rows import BOARD, JUDGED, TRAIN, VALID
from jnlp_toxicity.decision import log_odds
from jnlp_toxicity.logic import toxic_labels, worst_windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from jnlp.types import Progress
    from jnlp_family.toxicity.rows import Row

TOXIC, CLEAN = "toxic", "clean"
OPTIONS = ClassifierOptions(epochs=4, lr=1e-4, batch_size=32, max_length=192, weights="fp16", patience=0)
"""The options of `tiny-toxicity`'s training."""

FOLDS = 5
_EACH = 60  # plain validation texts of each corpus that choose the epoch
_TOGETHER = 256


def sets_of(rows: Sequence[Row], left_out: Iterable[int] = (), /) -> Sets:
    """Return training rows but those left out, and the validation rows that choose the epoch."""
    out = frozenset(left_out)
    seen: dict[str, int] = {}
    train, valid = [], []
    for number, row in enumerate(rows):
        if row.part == TRAIN and number not in out:
            train.append(_example(row))
        elif row.part == VALID:
            seen[row.source] = seen.get(row.source, 0) + 1
            if row.source in JUDGED or seen[row.source] <= _EACH:
                valid.append(_example(row))
    return Sets(train, valid, [])


def _example(row: Row) -> Example:
    return Example(row.text, TOXIC if row.toxic else CLEAN)


def fit_best(
    rows: Sequence[Row],
    base: Path,
    out: Path,
    seeds: Iterable[int],
    /,
    *,
    options: ClassifierOptions = OPTIONS,
    device: str = "auto",
    progress: Progress = lambda *_: None,
) -> dict[int, float]:
    """Write the model of the seed that parts toxic from clean board posts of the validation rows best.

    Args:
        rows: The rows; without board posts, all validation rows count.
        base: The folder of the masked LM to start from.
        out: The folder to make.
        seeds: The seeds.
        options: The options.
        device: `cpu`, `cuda` …
        progress: Called with (phase, done, total, figures).

    Returns:
        The AUC of each seed on those rows.
    """
    sets = sets_of(rows)
    asked = [row for row in rows if row.part == VALID]
    asked = [row for row in asked if row.source == BOARD] or asked
    truth = np.array([row.toxic for row in asked])
    tried: dict[int, float] = {}
    best = -1.0
    for seed in seeds:
        folder = out.with_name(f"{out.name}-{seed}")
        fit_classifier(
            sets, replace(options, seed=seed), folder, base=base, progress=progress, device=device, name="tiny-toxicity"
        )
        tried[seed] = roc_auc(np.array(scores([row.text for row in asked], folder)), truth)
        if tried[seed] > best:
            best = tried[seed]
            shutil.rmtree(out, ignore_errors=True)
            folder.rename(out)
        else:
            shutil.rmtree(folder)
    return tried


def out_of_fold(
    rows: Sequence[Row],
    base: Path,
    work: Path,
    /,
    *,
    options: ClassifierOptions = OPTIONS,
    device: str = "auto",
    progress: Progress = lambda *_: None,
) -> list[float | None]:
    """Return the log-odds of each training row by a model that was not trained on it, None for other rows."""
    train = [number for number, row in enumerate(rows) if row.part == TRAIN]
    found: list[float | None] = [None] * len(rows)
    for fold in range(FOLDS):
        numbers = train[fold::FOLDS]
        folder = work / f"fold-{fold}"
        fit_classifier(sets_of(rows, numbers), options, folder, base=base, progress=progress, device=device)
        for number, score in zip(numbers, scores([rows[n].text for n in numbers], folder), strict=True):
            found[number] = score
        shutil.rmtree(folder)
    return found


def write_scores(path: Path, rows: Sequence[Row], found: Sequence[float | None], /) -> None:
    """Write rows' log-odds for `read_scores`."""
    path.write_text(dumps({"rows": _digest(rows), "log_odds": list(found)}) + "\n", encoding="utf-8")


def read_scores(path: Path, rows: Sequence[Row], /) -> list[float | None]:
    """Return the log-odds that `write_scores` wrote.

    Raises:
        JnlpError: They are those of other rows.
    """
    saved = json.loads(path.read_text(encoding="utf-8"))
    if saved["rows"] != _digest(rows):
        raise JnlpError(f"{path} has the scores of other rows", hint="train tiny-toxicity again on this data")
    return [None if score is None else float(score) for score in saved["log_odds"]]


def _digest(rows: Sequence[Row]) -> str:
    return hashlib.sha256("\0".join(row.text for row in rows).encode()).hexdigest()[:16]


def scores(texts: Sequence[str], folder: Path, /) -> list[float]:
    """Return the log-odds of each text's most toxic window."""
    from jnlp.encoder.load import load_classifier

    classifier = load_classifier(folder)
    positive = toxic_labels(classifier.labels)
    found: list[float] = []
    for begin in range(0, len(texts), _TOGETHER):
        logits = classifier.logits(texts[begin : begin + _TOGETHER])
        found += [log_odds(chance) for chance, _ in worst_windows(logits, positive)]
    return found
