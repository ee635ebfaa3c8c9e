"""Makes `tiny-toxicity`: `python -m jnlp_family.toxicity.train DATA` fine-tunes a smaller form of the built-in `tiny`.

It is trained on the training rows of the decision (`rows.py`): posts of a message board, RTP-LX, plain texts, and
sentences made of listed words. RTP-LX (Microsoft, MIT) has prompts rated by three people, toxic completions written by
a language model, and benign completions written by people. The benign ones are easy to recognise, so scores are also
reported for prompts alone, and for the word lists. `--out-of-fold FILE` writes the scores of training rows by models
that were not trained on them, which the decision is fitted to.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.errors import JnlpError, status_of
from jnlp.strict_json import dumps
from jnlp.training import metrics
from jnlp_family.reduced import reduce_model
from jnlp_family.toxicity.model import OPTIONS, fit_best, out_of_fold, write_scores
from jnlp_family.toxicity.rows import TEST, all_rows, chosen_rows, plain_rows
from jnlp_toxicity.decision import by_category
from jnlp_toxicity.lexicon import load, noisy_or
from jnlp_toxicity.logic import MODEL, screen
from jnlp_toxicity.matcher import find
from jnlp_toxicity.spec import ToxicityOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jnlp.training.classifier.trainer import ClassifierOptions
    from jnlp.types import Progress

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

SEEDS = 3
"""Number of trainings with different seeds; the best on the validation rows is kept."""

LAYERS, PIECES = 3, 10_000
"""The size of the model: the first layers of `tiny`, and the pieces of its vocabulary that the rows use most."""

THRESHOLD = 0.5
"""Where F1 and false alarms are measured."""

_EVERYDAY = ("news", "encyclopaedia", "fiction", "dialogue", "documentation")


@dataclass(frozen=True, slots=True)
class Row:
    """One rated text of RTP-LX."""

    text: str
    toxic: bool
    kind: str


def read_rows(path: Path, /) -> list[Row]:
    """Return the rated rows of an RTP-LX file, without those between toxic and clean (label null)."""
    rows = []
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["label"] is not None:
            rows.append(Row(row["text"], row["label"] == 1, row["kind"]))
    return rows


def unseen_texts(data: Path, count: int = 300, /) -> dict[str, list[str]]:
    """Return plain texts of some corpora that no fit has seen, at most `count` of each."""
    found: dict[str, list[str]] = {}
    for row in plain_rows(data, 3 * count):
        if row.part == TEST and row.source in _EVERYDAY:
            found.setdefault(row.source, []).append(row.text)
    return found


def main(
    data: Path,
    base: Path,
    out: Path,
    /,
    *,
    options: ClassifierOptions = OPTIONS,
    most: int | None = None,
    seeds: int = SEEDS,
    folds_to: Path | None = None,
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Train with several seeds, write the model that is best on the validation rows, and return its scores.

    Args:
        data: The data folder: the rows of the decision, and the sources of plain text.
        base: The masked LM to start from.
        out: The folder to write; an existing one is replaced.
        options: The trainer's options.
        most: Rows of each part of a source, at most.
        seeds: Number of trainings; seeds count up from the options' seed.
        folds_to: A file for the scores of training rows out of fold.
        progress: Called with (phase, done, total, figures).

    Raises:
        JnlpError: The data is missing, or `base` is not a ModernBERT.
    """
    folder = data / "tasks/rtplx_toxicity"
    if not folder.is_dir():
        raise JnlpError(f"there is not a folder {folder}", hint="give the data folder")
    if seeds < 1:
        raise JnlpError(f"--seeds must be at least 1, not {seeds}")
    rows = chosen_rows(all_rows(data), most)
    began = time.monotonic()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as work:  # `out` stays until all is done
        smaller, made = Path(work) / base.name, Path(work) / "best"
        texts = [row.text for row in rows if row.part != TEST]
        reduce_model(base, smaller, layers=LAYERS, pieces=PIECES, texts=texts)
        numbers = range(options.seed, options.seed + seeds)
        tried = fit_best(rows, smaller, made, numbers, options=options, progress=progress)
        if folds_to is not None:
            folds = out_of_fold(rows, smaller, Path(work), options=options, progress=progress)
            write_scores(folds_to, rows, folds)
        finish(made, data, tried, round(time.monotonic() - began), platform.machine())
        scores: dict[str, Any] = json.loads((made / "metrics.json").read_text("utf-8"))["toxicity"]
        shutil.rmtree(out, ignore_errors=True)
        made.rename(out)
    return scores


def finish(made: Path, data: Path, tried: Mapping[int, float], seconds: int, machine: str, /) -> None:
    """Measure a model that is trained, and write that into its `metrics.json` and its card.

    Args:
        made: The model's folder.
        data: The data folder.
        tried: The score of each seed on the validation rows.
        seconds: How long training took.
        machine: Where it was trained.
    """
    valid, test = (read_rows(data / f"tasks/rtplx_toxicity/{name}.jsonl") for name in ("valid", "test"))
    report = json.loads((made / "metrics.json").read_text("utf-8"))
    report |= {"toxicity": evaluate(made, valid, test, unseen_texts(data)), "seeds": dict(tried)}
    report |= {"seconds": seconds, "machine": machine}
    (made / "metrics.json").write_text(dumps(report, indent=2) + "\n", "utf-8")
    (made / "README.md").write_text(card(report), "utf-8")


def evaluate(
    model: Path, valid: Sequence[Row], test: Sequence[Row], everyday: Mapping[str, Sequence[str]], /
) -> dict[str, Any]:
    """Return AUC and F1 of the word lists, the model and both, by kind of text, and their false alarms on plain text.

    F1 and false alarms are those at the task's threshold of 0.5.
    """
    scored = {"valid": _scores(model, [row.text for row in valid]), "test": _scores(model, [row.text for row in test])}
    report: dict[str, Any] = {}
    for name, rows in (("valid", valid), ("test", test)):
        report[name] = {method: _by_kind(rows, scores) for method, scores in scored[name].items()}
    report["false_alarms"] = {
        kind: {method: float((scores >= THRESHOLD).mean()) for method, scores in _scores(model, texts).items()}
        for kind, texts in everyday.items()
    }
    return report


def _scores(model: Path, texts: Sequence[str]) -> dict[str, Floats]:
    from jnlp.encoder.load import load_classifier
    from jnlp.encoder.runtime import Runtime
    from jnlp.models.folder import inspect

    lexicon = load()
    apply = screen(load_classifier(model, inspect(model), runtime=Runtime()), lexicon, ToxicityOptions())
    results = apply(texts)
    lists = [noisy_or(by_category(find(text, lexicon)).values()) for text in texts]
    return {
        "word lists": np.array(lists),
        "model": np.array([result.categories.get(MODEL, 0.0) for result in results]),
        "both": np.array([result.score for result in results]),
    }


def _by_kind(rows: Sequence[Row], scores: Floats) -> dict[str, dict[str, float]]:
    truth = np.array([row.toxic for row in rows])
    kinds = np.array([row.kind for row in rows])
    parts = {"all": np.ones(len(rows), dtype=bool), "prompts": kinds == "prompt", "completions": kinds != "prompt"}
    return {name: _figures(scores[chosen], truth[chosen]) for name, chosen in parts.items()}


def _figures(scores: Floats, truth: Bools) -> dict[str, float]:
    low, high = metrics.bootstrap(lambda rows: metrics.roc_auc(scores[rows], truth[rows]), len(truth), draws=500)
    return {
        "rows": len(truth),
        "auc": metrics.roc_auc(scores, truth),
        "f1": metrics.binary_f1(scores >= THRESHOLD, truth),
        "low": low,
        "high": high,
    }


def card(report: Mapping[str, Any], /) -> str:
    """Return the model card: what the model is, its training, its scores and its limits."""
    scores, rows = report["toxicity"], report["rows"]
    lines = ["| test rows | method | AUC (95 %) | F1 at 0.5 |", "|---|---|---|---|"]
    for kind in ("all", "prompts", "completions"):
        for method, kinds in scores["test"].items():
            figures = kinds[kind]
            interval = f"{figures['auc']:.3f} ({figures['low']:.3f}–{figures['high']:.3f})"
            lines.append(f"| {kind} ({figures['rows']}) | {method} | {interval} | {figures['f1']:.3f} |")
    alarms = ["| plain texts | word lists | model | both |", "|---|---|---|---|"]
    for kind, shares in scores["false_alarms"].items():
        alarms.append(f"| {kind} | {' | '.join(f'{share:.1%}' for share in shares.values())} |")
    values = {
        "name": report["name"],
        "base": report["base"],
        "temperature": f"{report['temperature']:.3f}",
        "train": f"{rows['train']:,}",
        "valid": f"{rows['valid']:,}",
        "test": f"{scores['test']['model']['all']['rows']:,}",
        "scores": "\n".join(lines),
        "alarms": "\n".join(alarms),
        "best_epoch": report["best_epoch"],
        "epochs": len(report["epochs"]),
        "seed": report["details"]["options"]["seed"],
        "seeds": ", ".join(f"{score:.3f}" for score in report["seeds"].values()),
        "minutes": f"{report['seconds'] / 60:.0f}",
        "machine": report["machine"],
        "versions": ", ".join(f"{name} {version}" for name, version in report["details"]["versions"].items()),
    }
    text = files("jnlp_family.toxicity").joinpath("card.md").read_text("utf-8")
    return Template(text).substitute(values)


def _parse_arguments() -> argparse.Namespace:
    root = Path(__file__).resolve().parents[3]
    parser = argparse.ArgumentParser(description="Train tiny-toxicity from tiny.")
    parser.add_argument("data", type=Path, help="the data folder")
    parser.add_argument("--base", type=Path, default=root / "jnlp/models/builtin/tiny")
    parser.add_argument("--out", type=Path, default=root / "jnlp/models/builtin/tiny-toxicity")
    parser.add_argument("--most", type=int, help="rows of each part of a source, at most: for trials")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="number of trainings; validation selects one")
    parser.add_argument("--out-of-fold", type=Path, help="a file for the scores of training rows out of fold")
    return parser.parse_args()


def _print(phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
    if done == total or phase == "epoch":
        sys.stderr.write(f"{phase} {done}/{total} {dumps(figures)}\n")


def _run() -> None:
    args = _parse_arguments()
    made = main(
        args.data,
        args.base,
        args.out,
        most=args.most,
        seeds=args.seeds,
        folds_to=args.out_of_fold,
        progress=_print,
    )
    sys.stdout.write(dumps(made, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(status_of(_run))
