"""Fits the toxicity decision: `python -m jnlp_family.toxicity.decision DATA` writes the n-grams and `decision.json`.

The n-grams and the weights of vectors are fitted on training rows; the decision on their scores out of fold, with those
of validation rows, so that it does not trust them too much; so are the model's scores of its own training rows. The
thresholds of the levels are the scores that at most 3, 1 and 0.2 % of the plain texts of any corpus reach, and the
constant puts the second at .5.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from jnlp.errors import status_of
from jnlp.strict_json import dumps
from jnlp.training.metrics import roc_auc
from jnlp_family.script import say
from jnlp_family.toxicity.model import read_scores, scores
from jnlp_family.toxicity.rows import BOARD, JUDGED, MADE, RTPLX, TEST, TRAIN, Row, all_rows, chosen_rows
from jnlp_toxicity import decision, grams
from jnlp_toxicity.context import Use, use_of
from jnlp_toxicity.fitting import (
    FOLDS,
    feature_table,
    fit_decision,
    fit_grams,
    fit_vectors,
    levels_of,
    stored,
)
from jnlp_toxicity.lexicon import load
from jnlp_toxicity.matcher import find

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Vectors = NDArray[np.float32]

T = TypeVar("T")

PRUNED = {
    "lists": ("list", "severe", "words", "several", "disguised", "passed", "addressed", "length"),
    "n-grams": ("grams", "length"),
    "vectors": ("vectors", "length"),
    "model": ("model", "length"),
    "lists and n-grams": ("list", "severe", "words", "several", "disguised", "passed", "addressed", "length", "grams"),
    "lists and model": ("list", "severe", "words", "several", "disguised", "passed", "addressed", "length", "model"),
}
"""Pieces of evidence alone, for the ablation: features by the beginning of their names."""


def linear_scores(
    rows: Sequence[Row], model: grams.Grams, found: Sequence[NDArray[np.int64]], vectors: Vectors, /
) -> tuple[list[float], list[float]]:
    """Return the log-odds of rows by n-grams and by vectors, of training rows out of fold."""
    by_grams, by_vectors = [0.0] * len(rows), [0.0] * len(rows)
    train = [number for number, row in enumerate(rows) if row.part == TRAIN]

    def score(numbers: Iterable[int], other: grams.Grams) -> None:
        for number in numbers:
            by_grams[number] = other.worst(rows[number].text)[0]
            by_vectors[number] = other.by_vector(vectors[number]) or 0.0

    score((number for number, row in enumerate(rows) if row.part != TRAIN), model)
    for fold in range(FOLDS):
        kept = [number for place, number in enumerate(train) if place % FOLDS != fold]
        score(train[fold::FOLDS], fit_linear(rows, found, vectors, kept))
        say(f"linear models, fold {fold + 1} of {FOLDS}")
    return by_grams, by_vectors


def fit_linear(
    rows: Sequence[Row], found: Sequence[NDArray[np.int64]], vectors: Vectors, numbers: Sequence[int], /
) -> grams.Grams:
    """Return the n-gram model and the vectors' weights that some of the rows give."""
    truth = np.array([float(rows[n].toxic) for n in numbers])
    model = fit_grams([found[n] for n in numbers], truth)
    weight = np.array([1.0 if rows[n].source in _WRITTEN else _ELSEWHERE for n in numbers])
    direction, offset = fit_vectors(np.stack([vectors[n] for n in numbers]), truth, None, weight)
    return replace(model, direction=direction, offset=offset)


_WRITTEN = (BOARD, *RTPLX)
_ELSEWHERE = 0.1
"""The weight of plain texts and made sentences in the fit of vectors; see docs/log.md."""


def row_vectors(rows: Sequence[Row], folder: Path, /) -> Vectors:
    """Return each row's vector by the embedder in a folder."""
    from jnlp.encoder.load import load_embedder

    embedder = load_embedder(folder)
    parts = []
    for begin in range(0, len(rows), 256):
        parts.append(embedder.embed([row.text for row in rows[begin : begin + 256]]).vectors)
        say(f"vectors {begin}/{len(rows)}")
    return np.concatenate(parts)


def model_scores(rows: Sequence[Row], folder: Path, out_of_fold: Path | None, /) -> list[float | None]:
    """Return each row's log-odds by the model; of the rows that it was trained on those out of fold, else None."""
    found: list[float | None] = [None] * len(rows) if out_of_fold is None else read_scores(out_of_fold, rows)
    asked = [number for number, row in enumerate(rows) if row.part != TRAIN]
    for number, score in zip(asked, scores([rows[n].text for n in asked], folder), strict=True):
        found[number] = score
    return found


def evidence(
    rows: Sequence[Row], gram: Sequence[float], model: Sequence[float | None], vectors: Sequence[float], /
) -> list[dict[str, float]]:
    """Return the features of rows."""
    lexicon = load()
    found = []
    for row, by_grams, by_model, by_vector in zip(rows, gram, model, vectors, strict=True):
        matches = [match for match in find(row.text, lexicon) if match.entry.category not in decision.SIGNS]
        meant = [match for match in matches if use_of(row.text, match) is Use.MEANT]
        found.append(decision.features(row.text, meant, len(matches) - len(meant), by_grams, by_model, by_vector))
    return found


def fit(
    rows: Sequence[Row], features: Sequence[Mapping[str, float]], /, *starts: str
) -> tuple[tuple[str, ...], Floats]:
    """Return the decision over the features whose names begin with one of `starts`, or over all."""
    truth = np.array([float(row.toxic) for row in rows])
    return fit_decision(features, truth, np.array([_WEIGHT.get(row.source, 0.5) for row in rows]), starts)


_WEIGHT = {BOARD: 1.0, MADE: 1.0, RTPLX[0]: 1.0, RTPLX[1]: 0.5}


def thresholds(rows: Sequence[Row], logits: Floats, /) -> dict[str, float]:
    """Return for each level the log-odds that no more than its budget of any corpus' plain texts reach."""
    sources = np.array([row.source for row in rows])
    return levels_of(logits[sources == name] for name in sorted(set(sources).difference(JUDGED)))


def measure(rows: Sequence[Row], logits: Floats, levels: Mapping[str, float], /) -> dict[str, Any]:
    """Return the AUC of judged sources, and the shares that each level calls toxic, by source and truth."""
    sources = np.array([row.source for row in rows])
    truth = np.array([row.toxic for row in rows])
    report: dict[str, Any] = {}
    for source in sorted(set(sources)):
        here = sources == source
        figures: dict[str, Any] = {"rows": int(here.sum())}
        if len(set(truth[here])) == 2:
            figures["auc"] = round(roc_auc(logits[here], truth[here]), 4)
        for level, limit in levels.items():
            for name, kind in (("toxic", truth), ("clean", ~truth)):
                if (here & kind).any():
                    figures[f"{name} called toxic, {level}"] = round(float((logits[here & kind] >= limit).mean()), 4)
        report[source] = figures
    return report


def main(
    data: Path, out: Path, model: Path, embedder: Path, out_of_fold: Path | None = None, most: int | None = None, /
) -> dict[str, Any]:
    """Fit the linear models and the decision, write both, and return their scores on the rows kept to measure on."""
    rows = chosen_rows(all_rows(data), most)
    return fit_all(rows, model_scores(rows, model, out_of_fold), row_vectors(rows, embedder), out)


def fit_all(rows: Sequence[Row], scores: Sequence[float | None], vectors: Vectors, out: Path, /) -> dict[str, Any]:
    """Fit everything to rows with their log-odds by the model and their vectors; see `main`."""
    found = [grams.buckets(row.text) for row in rows]
    linear = fit_linear(rows, found, vectors, [number for number, row in enumerate(rows) if row.part == TRAIN])
    (out / grams.SHIPPED).write_bytes(grams.dump(linear))
    by_grams, by_vectors = linear_scores(rows, linear, found, vectors)
    read = [number for number, score in enumerate(scores) if score is not None]
    kept = [rows[n] for n in read]
    features = evidence(kept, [by_grams[n] for n in read], [scores[n] for n in read], [by_vectors[n] for n in read])
    fitting = np.array([row.part != TEST for row in kept])
    report: dict[str, Any] = {"ablation": {}}
    for name, starts in {"all": (), **PRUNED}.items():
        names, weights = fit(_of(kept, fitting), _of(features, fitting), *starts)
        logits = feature_table(features, names) @ weights
        levels = thresholds(_of(kept, fitting), logits[fitting])
        measured = measure(_of(kept, ~fitting), logits[~fitting], levels)
        if name == "all":
            report["test"] = measured
            text = dumps(stored(names, weights, levels, measured), indent=2) + "\n"
            (out / decision.SHIPPED).write_text(text, "utf-8")
        else:
            report["ablation"][name] = measured
    return report


def _of(items: Sequence[T], where: NDArray[np.bool_]) -> list[T]:
    return [item for item, chosen in zip(items, where, strict=True) if chosen]


def _run() -> None:
    root = Path(__file__).resolve().parents[3]
    parser = argparse.ArgumentParser(description="Fit the toxicity decision.")
    parser.add_argument("data", type=Path, help="the folder of the shared data")
    parser.add_argument("--out", type=Path, default=root / "plugins/jnlp_toxicity")
    parser.add_argument("--model", type=Path, default=root / "jnlp/models/builtin/tiny-toxicity")
    parser.add_argument("--embedder", type=Path, default=root / "jnlp/models/builtin/tiny-search")
    parser.add_argument(
        "--out-of-fold",
        type=Path,
        help="scores of training rows that the model's training wrote; without them, the rows"
        " take no part in the decision",
    )
    parser.add_argument("--most", type=int, help="rows of each part of a source, at most: for trials")
    given = parser.parse_args()
    made = main(given.data, given.out, given.model, given.embedder, given.out_of_fold, given.most)
    sys.stdout.write(dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(status_of(_run))
