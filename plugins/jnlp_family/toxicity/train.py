"""Makes `tiny-toxicity`: `python -m jnlp_family.toxicity.train DATA` fine-tunes the built-in `tiny` on RTP-LX.

RTP-LX (Microsoft, MIT) has prompts rated by three people, toxic completions written by a language model, and benign
completions written by people. The benign ones are easy to recognise, so scores are also reported for prompts alone, and
for the word lists. Plain sentences are added to the training set as clean, to avoid false alarms on ordinary text.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import platform
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.errors import JnlpError, status_of
from jnlp.strict_json import dumps
from jnlp.training import metrics
from jnlp.training.classifier.trainer import ClassifierOptions, Sets, fit_classifier
from jnlp.types import Example
from jnlp_toxicity.decision import by_category
from jnlp_toxicity.lexicon import load, noisy_or
from jnlp_toxicity.logic import MODEL, screen
from jnlp_toxicity.matcher import find
from jnlp_toxicity.spec import ToxicityOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from jnlp.types import Progress

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

TOXIC, CLEAN = "toxic", "clean"
OPTIONS = ClassifierOptions(epochs=6, lr=1e-4, batch_size=32, max_length=192, weights="fp16", patience=2)
"""The options of `tiny-toxicity`'s training."""

SEEDS = 3
"""Number of trainings with different seeds; the best on the validation rows is kept."""

PLAIN_EACH = 250
"""Plain texts from each source that are added to the training set."""

THRESHOLD = 0.5
"""Where F1 and false alarms are measured."""

_UNSEEN = ("dialogue", "fiction", "encyclopedia")
_DIALOGUES = "corpus/personachat-000.jsonl.xz"


@dataclass(frozen=True, slots=True)
class Row:
    """One rated text of RTP-LX, or a plain text (its kind is its source)."""

    text: str
    toxic: bool
    kind: str
    group: str

    @property
    def example(self) -> Example:
        """The row as a training example."""
        return Example(self.text, TOXIC if self.toxic else CLEAN, self.group)


def read_rows(path: Path, /) -> list[Row]:
    """Return the rated rows of an RTP-LX file, without those between toxic and clean (label null)."""
    rows = []
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["label"] is not None:
            rows.append(Row(row["text"], row["label"] == 1, row["kind"], row["id"].partition("-")[0]))
    return rows


def plain_rows(data: Path, each: int, /) -> list[Row]:
    """Return plain texts of several kinds without any listed word; the same texts every time."""
    lexicon = load()
    rows: list[Row] = []
    for source, texts in _plain_sources(data).items():
        clean = (text for text in texts if not find(text, lexicon))
        rows += [Row(text, False, source, text) for text in _sample(clean, each)]
    return rows


def split_plain(rows: Sequence[Row], /) -> tuple[list[Row], list[Row]]:
    """Split plain rows into training rows and validation rows, every tenth of each source."""
    return [row for number, row in enumerate(rows) if number % 10], list(rows[::10])


def _plain_sources(data: Path) -> dict[str, Iterator[str]]:
    news = (_opening(row["text"]) for row in _jsonl(data / "corpus/wikinews-000.jsonl.xz"))
    examples = (line for row in _jsonl(data / "corpus/tanaka-000.jsonl.xz") for line in row["text"].splitlines()[:3])
    doings = (row["sentence"] for row in _jsonl(data / "tasks/commonsense_moral/train.jsonl"))
    talk = (_turns(row["text"]) for row in _jsonl(data / _DIALOGUES) if not _is_held_out(row["text"]))
    fiction = (_middle(row["text"]) for row in _jsonl(data / "corpus/aozora-002.jsonl.xz"))
    return {"wikinews": news, "tanaka": examples, "commonsense_moral": doings, "personachat": talk, "aozora": fiction}


def _jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _opening(text: str) -> str:
    return "".join(part + "。" for part in text.replace("\n", "").split("。")[:2] if part)[:200]


def unseen_texts(data: Path, count: int = 500, /) -> dict[str, list[str]]:
    """Return plain texts that were not trained on: other dialogues, other fiction, and encyclopedia articles."""
    talk = (_turns(row["text"]) for row in _jsonl(data / _DIALOGUES) if _is_held_out(row["text"]))
    fiction = (_middle(row["text"]) for row in _jsonl(data / "corpus/aozora-003.jsonl.xz"))
    articles = (_middle(row["text"]) for row in _jsonl(data / "corpus/jaquad-000.jsonl.xz"))
    return {name: _sample(texts, count) for name, texts in zip(_UNSEEN, (talk, fiction, articles), strict=True)}


def _sample(texts: Iterable[str], count: int) -> list[str]:
    return sorted(set(texts), key=_digest)[:count]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _is_held_out(text: str) -> bool:
    return _digest(text)[0] < 64


def _turns(text: str) -> str:
    return "\n".join(text.splitlines()[2:6])


def _middle(text: str) -> str:
    paragraphs = text.splitlines()
    return paragraphs[len(paragraphs) // 2][:300]


def main(
    data: Path,
    base: Path,
    out: Path,
    /,
    *,
    options: ClassifierOptions = OPTIONS,
    plain: int = PLAIN_EACH,
    seeds: int = SEEDS,
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Train with several seeds, write the model that is best on the validation rows, and return its scores.

    Args:
        data: The data folder: `tasks/rtplx_toxicity` and the sources of plain sentences.
        base: The model to start from.
        out: The folder to write; an existing one is replaced.
        options: The trainer's options.
        plain: Plain texts from each source to add to the training set; 0 trains on RTP-LX alone.
        seeds: Number of trainings; seeds count up from the options' seed.
        progress: Called with (phase, done, total, figures).

    Raises:
        JnlpError: The data is missing, or `base` is not a ModernBERT.
    """
    folder = data / "tasks/rtplx_toxicity"
    if not folder.is_dir():
        raise JnlpError(f"there is not a folder {folder}", hint="give the data folder")
    if seeds < 1:
        raise JnlpError(f"--seeds must be at least 1, not {seeds}")
    train, valid, test = (read_rows(folder / f"{name}.jsonl") for name in ("train", "valid", "test"))
    added = plain_rows(data, plain) if plain else []
    kept, held = split_plain(added)
    sets = Sets(_examples([*train, *kept]), _examples([*valid, *held]), _examples(test))
    began = time.monotonic()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as work:  # `out` stays until all is done
        made = Path(work) / "best"
        tried = _best_of_seeds(sets, options, range(options.seed, options.seed + seeds), made, base, progress)
        scores = evaluate(made, valid, test, unseen_texts(data))
        report = json.loads((made / "metrics.json").read_text("utf-8")) | {"toxicity": scores, "seeds": tried}
        report |= {"seconds": round(time.monotonic() - began), "machine": platform.machine()}
        (made / "metrics.json").write_text(dumps(report, indent=2) + "\n", "utf-8")
        (made / "README.md").write_text(card(report), "utf-8")
        shutil.rmtree(out, ignore_errors=True)
        made.rename(out)
    return scores


def _best_of_seeds(
    sets: Sets, options: ClassifierOptions, seeds: Iterable[int], made: Path, base: Path, progress: Progress
) -> dict[int, float]:
    """Write the model with the best macro F1 on the validation rows to `made`; return the F1 of each seed."""
    tried: dict[int, float] = {}
    for seed in seeds:
        folder, chosen = made.with_name(f"seed-{seed}"), replace(options, seed=seed)
        fit_classifier(sets, chosen, folder, base=base, progress=progress, name="tiny-toxicity", base_name=base.name)
        tried[seed] = json.loads((folder / "metrics.json").read_text("utf-8"))["valid_scores"]["macro_f1"]
    made.with_name(f"seed-{max(tried, key=lambda seed: tried[seed])}").rename(made)
    return tried


def _examples(rows: Iterable[Row]) -> list[Example]:
    return [row.example for row in rows]


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
        "model": np.array([result.categories[MODEL] for result in results]),
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
        "test": f"{rows['test']:,}",
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
    parser.add_argument("--head-only", action="store_true", help="train the head alone")
    parser.add_argument("--plain", type=int, default=PLAIN_EACH, help="plain sentences from each source")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="number of trainings; validation selects one")
    return parser.parse_args()


def _print(phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
    if done == total or phase == "epoch":
        sys.stderr.write(f"{phase} {done}/{total} {dumps(figures)}\n")


def _run() -> None:
    args = _parse_arguments()
    asked = replace(OPTIONS, head_only=True, epochs=60, patience=10) if args.head_only else OPTIONS
    made = main(args.data, args.base, args.out, options=asked, plain=args.plain, seeds=args.seeds, progress=_print)
    sys.stdout.write(dumps(made, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(status_of(_run))
