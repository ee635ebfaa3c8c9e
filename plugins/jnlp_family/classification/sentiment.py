"""Makes `tiny-sentiment`: `python -m jnlp_family.classification.sentiment DATA` fits it and measures it.

It is a linear model on character n-grams and the vectors of the built-in `tiny-search`, which it names and does not
copy: make it again when `tiny-search` has changed. The rows are what visitors of Fukui wrote, with the satisfaction
that they ticked; equal texts are one row, with the label that most of them have.
"""

from __future__ import annotations

import argparse
import json
import lzma
import shutil
import sys
import tempfile
import unicodedata
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from jnlp.encoder.files import digest_weights
from jnlp.encoder.linear_classifier import save_linear
from jnlp.encoder.load import load_embedder, load_head
from jnlp.encoder.runtime import Runtime
from jnlp.encoder.windows import mean_logits
from jnlp.errors import JnlpError, status_of
from jnlp.models.folder import BUILTIN, read_folder
from jnlp.strict_json import dumps
from jnlp.training.calibration import fit_temperature
from jnlp.training.classifier.candidates import majority
from jnlp.training.classifier.evaluation import measure
from jnlp.training.classifier.linear import Choice, Search, fit_linear, read_features
from jnlp.training.classifier.targets import Goal
from jnlp.types import Example, Head, ProblemType
from jnlp_family.classification.methods import baseline
from jnlp_family.classification.products import PRODUCTS
from jnlp_pretrain.corpus import fraction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.encoder.linear_classifier import Linear
    from jnlp.training.classifier.linear import Features
    from jnlp.types import FloatArray

NAME, EMBEDDER = "tiny-sentiment", "tiny-search"
LABELS = ("不満", "普通", "満足")
"""Of a satisfaction of 1 or 2, of 3, and of 4 or 5."""

SHARE = 0.1
"""The share of texts, by hash, that selects the settings; another such share is measured on."""

MOST_EACH = 10_000
"""Training rows of a label: most visitors are content."""

NUMBERS = 180_000
"""Weights of n-grams: with their codes and IDF, under 2 MB."""

GRID = tuple(product((0.5, 1.0), (1.0, 3.0), (0.1, 0.3, 1.0)))
"""What is tried: the power of a class's rarity in its weight, the weight of the vectors, the strength."""

_GOAL = Goal(LABELS, ProblemType.SINGLE_LABEL)


def rows(data: Path, /) -> dict[str, list[Example]]:
    """Return the rows of `train`, `valid` and `test`.

    Raises:
        JnlpError: The data is missing.
    """
    path = data / "tasks/satisfaction/train.jsonl.xz"
    if not path.is_file():
        raise JnlpError(f"{path} is not there", hint="give the folder of the data listed in the cards")
    texts: dict[str, tuple[str, list[str]]] = {}
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            label = LABELS[(row["label"] > 2) + (row["label"] > 3)]
            key = "".join(unicodedata.normalize("NFKC", row["text"]).split())
            texts.setdefault(key, (row["text"], []))[1].append(label)
    parts: dict[str, list[Example]] = defaultdict(list)
    for key, (text, labels) in texts.items():
        (label, most), *others = Counter(labels).most_common()
        if others and others[0][1] == most:
            continue  # as many say one thing as another
        place = fraction(key, "sentiment")
        parts["test" if place < SHARE else "valid" if place < 2 * SHARE else "train"].append(Example(text, label))
    kept: Counter[str] = Counter()
    train = []
    for row in sorted(parts["train"], key=lambda row: fraction(str(row.text), "order")):
        kept[str(row.target)] += 1
        if kept[str(row.target)] <= MOST_EACH:
            train.append(row)
    return {"train": train, "valid": parts["valid"], "test": parts["test"]}


def main(data: Path, embedder: Path, out: Path, /, *, most: int = 0) -> dict[str, Any]:
    """Fit the model, replace `out` by it, and return its scores.

    Args:
        data: The data folder.
        embedder: The folder of `tiny-search`, which is next to `out`, or ships.
        out: The folder to write.
        most: Rows of each part, for a trial; 0: all.
    """
    sets = {name: part[:most] if most else part for name, part in rows(data).items()}
    read = load_embedder(embedder, runtime=Runtime(device="cpu"))
    train, valid = (read_features(sets[name], read) for name in ("train", "valid"))
    model, chosen, temperature = _best(train, valid, sets)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as work:
        made = Path(work) / NAME
        made.mkdir()
        save_linear(made, model, LABELS, _GOAL.problem, temperature=temperature, embedder=embedder, named=True)
        shutil.rmtree(out, ignore_errors=True)
        made.rename(out)
    found = scores(out, sets) | {"chosen": chosen, "rows": {name: len(part) for name, part in sets.items()}}
    (out / "scores.json").write_text(dumps(found, indent=2) + "\n", encoding="utf-8")
    (out / "training.json").write_text(dumps(_training(chosen, sets), indent=2) + "\n", encoding="utf-8")
    return found


def _best(train: Features, valid: Features, sets: dict[str, list[Example]]) -> tuple[Linear, dict[str, float], float]:
    """Return the model with the best macro F1 on the validation rows, its settings and its temperature."""
    targets, truth = (_GOAL.targets(sets[name]) for name in ("train", "valid"))
    counts = np.bincount(targets.astype(np.int64), minlength=len(LABELS))
    tried: list[tuple[float, Linear, dict[str, float]]] = []
    for power, vectors, strength in GRID:
        weights = (counts.mean() / np.maximum(counts, 1)) ** power
        search = Search(Choice(1.0, vectors, 0.0, strength), 0.0, 1.0, {})
        model = fit_linear(
            train, targets, _GOAL, search, weights=(weights / weights.mean()).astype(np.float32), most=NUMBERS
        )
        figures: Any = measure(valid.logits(model), truth, _GOAL, draws=0)["metrics"]
        settings = {"rarity": power, "vectors": vectors, "strength": strength, "valid_macro_f1": figures["macro_f1"]}
        tried.append((figures["macro_f1"], model, settings))
        click.echo(f"{settings}", err=True)
    _, model, settings = max(tried, key=lambda one: one[0])
    logits, even = valid.logits(model), _even(truth.astype(np.int64))
    return model, settings, fit_temperature(logits[even], truth[even], _GOAL.problem)


def _even(truth: Any) -> Any:
    """Return as many rows of each label: a calibration on all of them would hold for content visitors alone."""
    least = np.bincount(truth, minlength=len(LABELS)).min()
    return np.concatenate([np.flatnonzero(truth == label)[:least] for label in range(len(LABELS))])


def scores(folder: Path, sets: dict[str, list[Example]], /) -> dict[str, Any]:
    """Return `scores.json`: of the loaded model, of a guess and of TF-IDF on the test rows, and on products."""
    truth = _GOAL.targets(sets["test"])
    guess = majority(_GOAL.targets(sets["train"]), len(truth), _GOAL)
    return {
        "model": "sentiment",
        "weights": digest_weights(folder),
        "test": {
            NAME: _measured(_logits(folder, sets["test"]), truth),
            "TF-IDF, logistic regression": _measured(baseline(sets["train"], sets["test"], _GOAL), truth),
            "the commonest label": _measured(guess, truth),
        },
        "products": _measured(_logits(folder, PRODUCTS), _GOAL.targets(PRODUCTS)),
        "date": datetime.now(UTC).date().isoformat(),
        "command": "python -m jnlp_family.classification.sentiment DATA",
    }


def _logits(folder: Path, examples: Sequence[Example]) -> FloatArray:
    model: Any = load_head(Head.CLASSIFIER, read_folder(folder), runtime=Runtime(device="cpu"))
    return mean_logits(model.logits([row.text for row in examples]))


def _measured(logits: FloatArray, truth: Any) -> dict[str, Any]:
    found: Any = measure(logits, truth, _GOAL)
    return {name: found[name] for name in ("metrics", "intervals", "per_class", "confusion", "rows") if name in found}


def _training(chosen: dict[str, float], sets: dict[str, list[Example]]) -> dict[str, Any]:
    shown = ", ".join(f"{name} {value:.3g}" for name, value in chosen.items() if name != "valid_macro_f1")
    labels = Counter(str(row.target) for row in sets["train"])
    return {
        "text": f"`python -m jnlp_family.classification.sentiment DATA`: logistic regression on TF-IDF of character"
        f" 1–3-grams and the vectors of `{EMBEDDER}`. Of {len(GRID)} settings, the best macro F1 on"
        f" {len(sets['valid']):,} validation rows: {shown} (macro F1 {chosen['valid_macro_f1']:.3f}).",
        "figures": {f"training rows {label}": labels[label] for label in LABELS},
        "data": {"satisfaction": f"{len(sets['train']):,} of the texts"},
    }


def _run(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make tiny-sentiment.")
    parser.add_argument("data", type=Path, help="the folder of the data listed in the cards")
    parser.add_argument("--embedder", type=Path, default=BUILTIN / EMBEDDER, help="the folder of tiny-search")
    parser.add_argument("--out", type=Path, default=BUILTIN / NAME)
    parser.add_argument("--rows", type=int, default=0, help="of each part, for a trial")
    args = parser.parse_args(arguments)
    return status_of(lambda: main(args.data, args.embedder, args.out, most=args.rows) and None)


if __name__ == "__main__":
    sys.exit(_run())
