"""Trains a text classifier by the method that suits the rows, and reports honestly how good it is.

The parts: `targets` says what is to be learned, `splits` what is held out, `linear_candidate` and `finetuned` fit,
`candidates` chooses, `calibration` finds the temperature, `evaluation` scores, `card` writes it down. This module puts
them together; it is light to import.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp.strict_json import dumps
from jnlp.training.classifier.options import ClassifierOptions, Sets
from jnlp.training.launch import is_main, is_shared
from jnlp.types import TrainReport

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jnlp.training.classifier.candidates import Candidate
    from jnlp.training.classifier.targets import Goal
    from jnlp.types import Example, Models, Progress

__all__ = ["ClassifierOptions", "ClassifierTrainer", "Sets", "fit_classifier", "hold_out", "make_trainer"]

FINETUNE_ROWS = 200
"""Training rows from which `auto` fine-tunes: with fewer the linear model is the better one."""


class ClassifierTrainer:
    """The `Trainer` of `jnlp train classifier`."""

    def fit(
        self,
        train: Sequence[Example],
        valid: Sequence[Example] | None,
        options: ClassifierOptions,
        out: Path,
        /,
        *,
        models: Models,
        base: Path,
        device: str,
        progress: Progress,
    ) -> TrainReport:
        """Train by `options.method` and write a model folder; hold out what was not given.

        Raises:
            JnlpError: Too few examples or labels, a base that is not a ModernBERT, or an `out` that exists.
        """
        if options.head_only and options.method == "auto":  # it is a way to fine-tune
            options = replace(options, method="finetune")
        sets = hold_out(train, valid, options)
        methods = methods_of(sets, options)
        return fit_classifier(sets, options, out, base=base, progress=progress, device=device, methods=methods)


def make_trainer() -> ClassifierTrainer:
    """Return the trainer of classifiers."""
    return ClassifierTrainer()


def methods_of(sets: Sets, options: ClassifierOptions, /) -> tuple[str, ...]:
    """Return the methods to fit, the cheapest first: what `--method` names next to `linear`, or those that may win."""
    if options.method != "auto":
        return tuple(dict.fromkeys(("linear", options.method)))
    from jnlp.training.classifier.few_shot import is_few, lacks

    few = options.embedder != "none" and not is_shared() and lacks() is None and is_few(sets.train, options.problem)
    enough = len(sets.train) >= FINETUNE_ROWS
    return ("linear", *(["few-shot"] if few else []), *(["finetune"] if enough else []))


def hold_out(train: Sequence[Example], valid: Sequence[Example] | None, options: ClassifierOptions, /) -> Sets:
    """Divide examples into training, validation and test sets; rows whose text is validated on leave training."""
    from jnlp.training.splits import duplicate_key, split, take

    rows = list(train)
    share = 0.0
    if valid is None:
        share = options.valid_share
    else:
        held = {duplicate_key(example.text) for example in valid}
        rows = [example for example in rows if duplicate_key(example.text) not in held]
    if not rows:
        raise JnlpError("no example is left to train on", hint="the validation set holds all of them")
    if not share and not options.test_share:
        return Sets(rows, list(valid or ()), [])
    parts = split(rows, valid=share, test=options.test_share, seed=options.seed)
    chosen = take(rows, parts.valid) if valid is None else list(valid)
    return Sets(take(rows, parts.train), chosen, take(rows, parts.test))


def fit_classifier(
    sets: Sets,
    options: ClassifierOptions,
    out: Path,
    /,
    *,
    base: Path,
    progress: Progress,
    name: str | None = None,
    base_name: str | None = None,
    device: str = "auto",
    methods: Sequence[str] = ("finetune",),
) -> TrainReport:
    """Train a classifier on given sets and write `out`: config, weights, tokenizer, `metrics.json`, `README.md`.

    Args:
        sets: What is trained on, what chooses the epoch and temperature, what is scored.
        options: The options.
        out: The folder to make; written next to its place and renamed when complete.
        base: The folder of the model to start from.
        progress: Called with (phase, done, total, figures).
        name: For the card; the folder's name where none is given.
        base_name: The base's, likewise.
        device: `cpu`, `cuda` …; `auto` takes the GPU if there is one.
        methods: What is fitted, the cheapest first. The best on the validation rows is kept; with `--method linear` or
            `finetune` that one, and the others are there to compare.

    Raises:
        JnlpError: No or too few examples or labels, a base that is not a ModernBERT, or an `out` that exists.
    """
    from jnlp.encoder.files import digest_weights
    from jnlp.training.classifier.targets import goal as goal_of
    from jnlp.training.classifier.targets import problem_of, typed
    from jnlp.training.folder import checkpoint_of, read_config, resumable, whole_folder

    if tuple(methods) == ("finetune",):  # nothing to choose, and no time limit of its own
        options = replace(options, method="finetune")
    problem = problem_of(sets.train, options.problem)
    train, valid, test = (typed(rows, problem) for rows in (sets.train, sets.valid, sets.test))
    if not valid:
        raise JnlpError("there is no validation example", hint="give --valid or a --valid-share above 0")
    goal = goal_of(train, problem)
    typed_sets = Sets(train, valid, test)
    if options.method == "few-shot":
        from jnlp.training.classifier.few_shot import check

        check(typed_sets, goal, options)
    run: list[object] = [replace(options, resume=None), typed_sets]
    if "finetune" in methods:
        run += [read_config(base), digest_weights(base)]
    if not is_main():  # it takes its share of the steps; the main process writes
        if "finetune" in methods:
            shared = checkpoint_of(out, run) if options.resume is not False else None
            fit_method("finetune", typed_sets, goal, options, base, lambda *_: None, device, shared)
        return TrainReport(out, {}, {}, {})
    with whole_folder(out) as part, resumable(out, run, resume=options.resume) as checkpoint:
        fitted = [
            fit_method(method, typed_sets, goal, options, base, progress, device, checkpoint) for method in methods
        ]
        report, kept = _report(fitted, typed_sets, goal, options)
        kept.write(part)
        report["name"], report["base"] = name or out.name, base_name or base.name
        _write_report(part, goal, report)
        write_page(part, kept, fitted, typed_sets, goal, report)
    return _to_report(out, report)


def write_page(
    part: Path, kept: Candidate, fitted: Sequence[Candidate], sets: Sets, goal: Goal, report: dict[str, Any], /
) -> None:
    """Write `report.json` and `report.html` of what `metrics.json` says, with the rows that need a look."""
    import numpy as np

    from jnlp.encoder.windows import probabilities
    from jnlp.training.classifier.evaluation import all_cautions
    from jnlp.training.report.make import make_report
    from jnlp.training.report.page import write_report

    logits, examples = (kept.valid, sets.valid) if kept.test is None else (kept.test, sets.test)
    outside = next((one.out_of_fold for one in fitted if one.out_of_fold is not None), None)
    rows = [*sets.train, *sets.valid, *sets.test]
    made = make_report(
        report["name"],
        report["measured_on"],
        probabilities(logits / np.float32(kept.temperature), goal.problem),
        examples,
        goal,
        report["scores"],
        out_of_fold=None if outside is None else (outside, rows),
        methods=report["methods"],
        cautions=all_cautions(report),
        details={name: report[name] for name in ("base", "method", "why", "rows", "temperature")} | report["details"],
    )
    write_report(made, part)
    report["suspects"] = len(made.suspects)


def fit_method(
    method: str,
    sets: Sets,
    goal: Goal,
    options: ClassifierOptions,
    base: Path,
    progress: Progress,
    device: str,
    checkpoint: Path | None,
) -> Candidate:
    """Fit one method; a linear model that is there only to compare with fine-tuning reads n-grams alone."""
    if method == "few-shot":
        from jnlp.training.classifier.few_shot import fit_few_shot

        return fit_few_shot(sets, goal, options, progress, device)
    if method == "linear":
        from jnlp.training.classifier.linear_candidate import fit_linear_candidate

        compares = options.method == "finetune"
        chosen = replace(options, embedder="none") if compares else options
        return fit_linear_candidate(sets, goal, chosen, progress, device)
    from jnlp.training.classifier.finetuned import fit_finetuned

    return fit_finetuned(sets, goal, options, base, progress, device, checkpoint)


def _report(
    fitted: Sequence[Candidate], sets: Sets, goal: Goal, options: ClassifierOptions
) -> tuple[dict[str, Any], Candidate]:
    """Return what `metrics.json` says, and the model that is kept."""
    from jnlp.training.classifier.candidates import choose, compared
    from jnlp.training.classifier.evaluation import measure
    from jnlp.training.classifier.repeats import find_repeats, same_texts
    from jnlp.training.folder import versions

    targets = [goal.targets(rows) for rows in (sets.train, sets.valid, sets.test) if rows]
    asked = [one for one in fitted if options.method == "auto" or one.name == options.method] or list(fitted)
    kept, why = choose(asked, targets[1], goal, trained=targets[0])
    if options.method == "auto" and len(fitted) == 1 and kept.name == "linear":
        why = f"fewer than {FINETUNE_ROWS} training rows are too few to fine-tune (--method finetune does)"
        why += _without_few_shot(sets, options)
    facts = dict(kept.facts)
    scored = kept.valid if kept.test is None else kept.test
    repeats = find_repeats([*sets.train, *sets.valid, *sets.test])
    texts = same_texts(sets.test or sets.valid)
    return {
        "problem_type": goal.problem.value,
        "labels": list(goal.labels),
        "method": kept.name,
        "why": why,
        "methods": compared(fitted, targets, goal),
        "measured_on": "test" if sets.test else "validation",
        "rows": {"train": len(sets.train), "valid": len(sets.valid), "test": len(sets.test)},
        "repeats": repeats.report(),
        "row_cautions": repeats.cautions(),
        "temperature": kept.temperature,
        "scores": measure(scored, targets[-1], goal, kept.temperature, texts=texts),
        "valid_scores": measure(kept.valid, targets[1], goal, kept.temperature, draws=0)["metrics"],
        "details": {"options": facts.pop("options"), "device": facts.pop("device"), "versions": versions()},
        **facts,
    }, kept


def _without_few_shot(sets: Sets, options: ClassifierOptions) -> str:
    """Return what would let `auto` tune an embedder to these rows, where a package is all that it lacks."""
    from jnlp.training.classifier.few_shot import is_few, lacks

    if options.embedder == "none" or (lacking := lacks()) is None or not is_few(sets.train, options.problem):
        return ""
    return f"; few-shot needs {lacking} (pip install 'jnlp[train]')"


def _to_report(out: Path, report: dict[str, Any]) -> TrainReport:
    """Return the report of a run from what `metrics.json` says."""
    from jnlp.training.classifier.evaluation import all_cautions

    scores = {**report["scores"]["metrics"]}
    for score, (low, high) in report["scores"].get("intervals", {}).items():
        scores |= {f"{score}_low": low, f"{score}_high": high}
    if "majority_baseline" in report["scores"]:
        scores["majority_baseline"] = report["scores"]["majority_baseline"]
    details = report["details"] | {
        "suspects": report["suspects"],
        "measured_on": report["measured_on"],
        "method": report["method"],
    }
    return TrainReport(
        out,
        scores,
        report["rows"],
        details,
        "\n".join(all_cautions(report)) or None,
        methods={row["method"]: row["validation"] | {"seconds": row["seconds"]} for row in report["methods"]},
        chosen=(report["method"], report["why"]),
    )


def _write_report(part: Path, goal: Goal, report: dict[str, Any]) -> None:
    from jnlp.training.classifier.card import card

    text = dumps(report, indent=2)
    (part / "metrics.json").write_text(text + "\n", "utf-8")
    (part / "README.md").write_text(card(report["name"], report["base"], goal, report), "utf-8")
