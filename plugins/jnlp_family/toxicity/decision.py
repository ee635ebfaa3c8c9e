"""Fits the toxicity decision: `python -m jnlp_family.toxicity.decision DATA` writes the n-grams and `decision.json`.

The n-grams are fitted on training rows; the decision on their scores out of fold, with those of validation rows, so
that it does not trust them too much. The model's own training rows take no part in it. The thresholds of the levels are
the scores that at most 3, 1 and 0.2 % of the plain texts of any corpus reach, and the constant puts the second at .5.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.errors import status_of
from jnlp.strict_json import dumps
from jnlp.training.metrics import roc_auc
from jnlp_family.toxicity.rows import BOARD, MADE, RTPLX, TEST, TRAIN, Row, all_rows
from jnlp_toxicity import decision, grams
from jnlp_toxicity.context import Use, use_of
from jnlp_toxicity.lexicon import load
from jnlp_toxicity.logic import toxic_labels, worst_windows
from jnlp_toxicity.matcher import find

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FOLDS = 5
STRENGTH = 10.0
"""Inverse of the penalty on the n-grams' weights; 3 was worse on the board's validation rows."""

BUDGETS = {"strict": 0.03, "normal": 0.01, "lenient": 0.002}
"""The share of plain text of each corpus that a level may call toxic."""

PRUNED = {
    "lists": ("list", "severe", "words", "several", "disguised", "passed", "addressed", "length"),
    "n-grams": ("grams", "length"),
    "model": ("model", "length"),
    "lists and n-grams": ("list", "severe", "words", "several", "disguised", "passed", "addressed", "length", "grams"),
    "lists and model": ("list", "severe", "words", "several", "disguised", "passed", "addressed", "length", "model"),
}
"""Pieces of evidence alone, for the ablation: features by the beginning of their names."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A decision: the names of its features, their weights, the constant last."""

    names: tuple[str, ...]
    weights: Floats

    def logits(self, features: Sequence[Mapping[str, float]], /) -> Floats:
        """Return the log-odds of rows."""
        return _table(features, self.names) @ self.weights


def fit_logistic(
    table: Any,
    truth: Floats,
    weight: Floats,
    strength: float,
    bounds: Sequence[tuple[float | None, float | None]] | None = None,
    /,
) -> Floats:
    """Return the weights of a logistic regression whose last column is the constant, which is not penalised."""
    from scipy.optimize import minimize

    signs = 2 * truth - 1
    free = np.ones(table.shape[1])
    free[-1] = 0

    def loss(values: Floats) -> tuple[float, Floats]:
        margins = signs * (table @ values)
        slope = -signs * weight / (1 + np.exp(margins))
        penalty = float((free * values) @ values) / (2 * strength)
        return float((weight * np.logaddexp(0, -margins)).sum()) + penalty, table.T @ slope + free * values / strength

    begin = np.zeros(table.shape[1])
    found: Floats = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 300}).x
    return found


def fit_grams(found: Sequence[NDArray[np.int64]], truth: Floats, /) -> grams.Grams:
    """Return the n-gram model of texts given by their buckets."""
    seen = np.zeros(grams.BUCKETS)
    for buckets in found:
        seen[buckets] += 1
    idf = (np.log((1 + len(found)) / (1 + seen)) + 1).astype(np.float32)
    weights = fit_logistic(_sparse(found, idf), truth, np.ones(len(found)), STRENGTH)
    return grams.Grams(weights[:-1].astype(np.float32), idf, float(weights[-1]))


def _sparse(found: Sequence[NDArray[np.int64]], idf: NDArray[np.float32]) -> Any:
    """Return the rows' n-grams scaled to length 1, with a last column of ones."""
    from scipy.sparse import csr_matrix, hstack

    sizes = np.array([len(buckets) for buckets in found])
    columns = np.concatenate(found)
    values = idf[columns].astype(np.float64)
    owner = np.repeat(np.arange(len(found)), sizes)
    norms = np.sqrt(np.bincount(owner, values**2, len(found)))
    scaled = values / np.maximum(norms[owner], 1e-9)
    table = csr_matrix((scaled, (owner, columns)), shape=(len(found), grams.BUCKETS))
    return hstack([table, np.ones((len(found), 1))]).tocsr()


def _table(features: Sequence[Mapping[str, float]], names: Sequence[str]) -> Floats:
    return np.array([[*(row.get(name, 0.0) for name in names), 1.0] for row in features])


def gram_scores(
    rows: Sequence[Row], model: grams.Grams, found: Sequence[NDArray[np.int64]], read: AbstractSet[int], /
) -> dict[int, float]:
    """Return the log-odds of the rows `read` by the n-grams, of training rows out of fold."""
    scores = {number: model.worst(rows[number].text)[0] for number in read if rows[number].part != TRAIN}
    train = [number for number, row in enumerate(rows) if row.part == TRAIN]
    for fold in range(FOLDS):
        kept = [number for place, number in enumerate(train) if place % FOLDS != fold]
        other = fit_grams([found[n] for n in kept], np.array([float(rows[n].toxic) for n in kept]))
        for number in read & set(train[fold::FOLDS]):
            scores[number] = other.worst(rows[number].text)[0]
        _say(f"n-grams, fold {fold + 1} of {FOLDS}")
    return scores


def model_scores(rows: Sequence[Row], folder: Path, /) -> list[float | None]:
    """Return each row's log-odds by the model, None for rows that are training rows of RTP-LX or surplus plain text."""
    from jnlp.encoder.load import load_classifier

    seen: dict[tuple[str, str], int] = {}
    chosen = []
    for number, row in enumerate(rows):
        kind = (row.source, row.part)
        seen[kind] = seen.get(kind, 0) + 1
        if row.source in RTPLX and row.part == TRAIN:
            continue
        if row.source in (BOARD, MADE, *RTPLX) or seen[kind] <= _BY_MODEL.get(row.source, 170):
            chosen.append(number)
    classifier = load_classifier(folder)
    positive = toxic_labels(classifier.labels)
    scores: list[float | None] = [None] * len(rows)
    for begin in range(0, len(chosen), 256):
        part = chosen[begin : begin + 256]
        worst = worst_windows(classifier.logits([rows[number].text for number in part]), positive)
        for number, (chance, _) in zip(part, worst, strict=True):
            scores[number] = decision.log_odds(chance)
        _say(f"model {begin + len(part)}/{len(chosen)}")
    return scores


_BY_MODEL = {"fiction": 400, "translated fiction": 400}
"""Plain texts of each part of a corpus that the model reads; fiction has the most false alarms."""


def evidence(rows: Sequence[Row], gram: Sequence[float], model: Sequence[float | None], /) -> list[dict[str, float]]:
    """Return the features of rows."""
    lexicon = load()
    found = []
    for row, by_grams, by_model in zip(rows, gram, model, strict=True):
        matches = find(row.text, lexicon)
        meant = [match for match in matches if use_of(row.text, match) is Use.MEANT]
        found.append(decision.features(row.text, meant, len(matches) - len(meant), by_grams, by_model))
    return found


def fit(rows: Sequence[Row], features: Sequence[Mapping[str, float]], /, *starts: str) -> Fitted:
    """Return the decision over the features whose names begin with one of `starts`, or over all."""
    names = tuple(sorted({name for row in features for name in row if not starts or name.startswith(starts)}))
    truth = np.array([float(row.toxic) for row in rows])
    weight = np.array([_WEIGHT.get(row.source, 0.5) for row in rows])
    bounds = [_BOUNDS.get(name.split()[0], _BOUNDS.get(name, (None, None))) for name in names]
    return Fitted(names, fit_logistic(_table(features, names), truth, weight, 100.0, [*bounds, (None, None)]))


_MORE, _LESS = (0.0, None), (None, 0.0)
_BOUNDS = {
    "list": _MORE,
    "severe": _MORE,
    "words": _MORE,
    "several": _MORE,
    "disguised": _MORE,
    "passed": _LESS,
    "grams doubt words": _LESS,
}
"""Evidence that may only accuse or only acquit, whatever the rows say: a word that is meant, one that is not."""


_WEIGHT = {BOARD: 1.0, MADE: 1.0, RTPLX[0]: 1.0, RTPLX[1]: 0.5}


def thresholds(rows: Sequence[Row], logits: Floats, /) -> dict[str, float]:
    """Return for each level the log-odds that no more than its budget of any corpus' plain texts reach."""
    corpora = sorted({row.source for row in rows} - {BOARD, MADE, *RTPLX})
    sources = np.array([row.source for row in rows])
    return {
        level: max(float(np.quantile(logits[sources == corpus], 1 - budget, method="higher")) for corpus in corpora)
        for level, budget in BUDGETS.items()
    }


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


def main(data: Path, out: Path, model: Path, /) -> dict[str, Any]:
    """Fit the n-grams and the decision, write both, and return their scores on the rows kept to measure on."""
    rows = all_rows(data)
    found = [grams.buckets(row.text) for row in rows]
    _say(f"{len(rows)} rows")
    train = [number for number, row in enumerate(rows) if row.part == TRAIN]
    by_grams = fit_grams([found[n] for n in train], np.array([float(rows[n].toxic) for n in train]))
    write_grams(by_grams, out / "grams.safetensors")
    scores = model_scores(rows, model)
    read = [number for number, score in enumerate(scores) if score is not None]
    gram = gram_scores(rows, by_grams, found, set(read))
    features = evidence([rows[n] for n in read], [gram[n] for n in read], [scores[n] for n in read])
    kept = [rows[n] for n in read]
    fitting = [number for number, row in enumerate(kept) if row.part != TEST]
    final = fit([kept[n] for n in fitting], [features[n] for n in fitting])
    logits = final.logits(features)
    levels = thresholds([kept[n] for n in fitting], logits[fitting])
    test = [number for number, row in enumerate(kept) if row.part == TEST]
    report = {"test": measure([kept[n] for n in test], logits[test], levels), "ablation": {}}
    for name, starts in PRUNED.items():
        part = fit([kept[n] for n in fitting], [features[n] for n in fitting], *starts)
        values = part.logits(features)
        limits = thresholds([kept[n] for n in fitting], values[fitting])
        report["ablation"][name] = measure([kept[n] for n in test], values[test], limits)
    write_decision(final, levels, report, out / "decision.json")
    return report


def write_grams(model: grams.Grams, path: Path, /) -> None:
    """Write the n-grams in half precision."""
    from safetensors.numpy import save

    stored: dict[str, NDArray[Any]] = {
        "weights": model.weights.astype(np.float16),
        "idf": model.idf.astype(np.float16),
        "bias": np.array([model.bias], np.float32),
    }
    path.write_bytes(save(stored))


def write_decision(fitted: Fitted, levels: Mapping[str, float], report: Mapping[str, Any], path: Path, /) -> None:
    """Write the weights, with the constant that puts the normal level at log-odds 0, and the levels' probabilities."""
    middle = levels["normal"]
    values = {
        "features": {name: round(float(w), 4) for name, w in zip(fitted.names, fitted.weights, strict=False)},
        "bias": round(float(fitted.weights[-1]) - middle, 4),
        "levels": {level: round(decision.probability(limit - middle), 4) for level, limit in levels.items()},
        "test": report["test"],
    }
    path.write_text(dumps(values, indent=2) + "\n", "utf-8")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _run() -> None:
    root = Path(__file__).resolve().parents[3]
    parser = argparse.ArgumentParser(description="Fit the toxicity decision.")
    parser.add_argument("data", type=Path, help="the folder of the shared data")
    parser.add_argument("--out", type=Path, default=root / "plugins/jnlp_toxicity")
    parser.add_argument("--model", type=Path, default=root / "jnlp/models/builtin/tiny-toxicity")
    given = parser.parse_args()
    sys.stdout.write(dumps(main(given.data, given.out, given.model), indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(status_of(_run))
