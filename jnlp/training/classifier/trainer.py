"""Fine-tunes a ModernBERT into a text classifier and reports honestly how good it is.

The parts: `targets` says what is to be learned, `splits` what is held out, `finetune` fits, `calibration` finds the
temperature, `evaluation` scores, `card` writes it down. This module puts them together; it is light to import.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from jnlp.errors import JnlpError
from jnlp.strict_json import dumps
from jnlp.training.options import TrainingOptions, recorded
from jnlp.types import Option, TrainReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import torch

    from jnlp.encoder.modernbert import ModernBertForSequenceClassification
    from jnlp.training.classifier.targets import Goal
    from jnlp.training.epochs import Fitted
    from jnlp.types import Example, Models, Progress

PROBLEMS = ("auto", "single", "multi", "regression")


@dataclass(frozen=True, slots=True)
class ClassifierOptions(TrainingOptions):
    """How a classifier is trained."""

    epochs: Annotated[int, Option("Passes over the training rows; the best is kept.", ge=1)] = 10
    head_only: Annotated[
        bool, Option("Leave the encoder as it is and train the head alone: fast, and less accurate.")
    ] = False
    problem: Annotated[str, Option("One label a text, several, or a number.", choices=PROBLEMS)] = "auto"
    class_weights: Annotated[
        str, Option("Let rare labels count as much as common ones.", choices=("none", "balanced"))
    ] = "none"
    dropout: Annotated[float, Option("Dropout before the last layer.", ge=0, lt=1)] = 0.1
    test_share: Annotated[
        float, Option("Share of the rows held out for the scores; 0: report the validation scores.", ge=0, lt=0.5)
    ] = 0.1
    pooling: Annotated[str, Option("What the head reads: all tokens or the first.", choices=("mean", "cls"))] = "mean"


@dataclass(frozen=True, slots=True)
class Sets:
    """What is trained on, what chooses, what is scored; without `test`, the scores are those of `valid`."""

    train: list[Example]
    valid: list[Example]
    test: list[Example]


class ClassifierTrainer:
    """Fits a classifier to examples: the `Trainer` behind `jnlp train classifier`."""

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
        """Train on top of `base` and write a model folder; hold out what was not given.

        Raises:
            JnlpError: Too few examples or labels, a base that is no ModernBERT, or an `out` that exists.
        """
        return fit_classifier(
            hold_out(train, valid, options), options, out, base=base, progress=progress, device=device
        )


def make_trainer() -> ClassifierTrainer:
    """Return the trainer of classifiers."""
    return ClassifierTrainer()


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
        device: `cpu`, `cuda` …; `auto` takes the GPU where there is one.

    Raises:
        JnlpError: No or too few examples or labels, a base that is no ModernBERT, or an `out` that exists.
    """
    from jnlp.encoder.files import digest_weights
    from jnlp.training.classifier.evaluation import cautions
    from jnlp.training.classifier.targets import goal as goal_of
    from jnlp.training.classifier.targets import problem_of, typed
    from jnlp.training.folder import read_config, resumable, whole_folder

    problem = problem_of(sets.train, options.problem)
    train, valid, test = (typed(rows, problem) for rows in (sets.train, sets.valid, sets.test))
    if not valid:
        raise JnlpError("there is no validation example", hint="give --valid or a --valid-share above 0")
    goal = goal_of(train, problem)
    typed_sets = Sets(train, valid, test)
    run = [replace(options, resume=None), read_config(base), digest_weights(base), typed_sets]
    with whole_folder(out) as part, resumable(out, run, resume=options.resume) as checkpoint:
        report = _run(typed_sets, goal, options, part, base, progress, device, checkpoint)
        report["name"], report["base"] = name or out.name, base_name or base.name
        _write_report(part, goal, report)
    scores = {**report["scores"]["metrics"]}
    for score, (low, high) in report["scores"].get("intervals", {}).items():
        scores |= {f"{score}_low": low, f"{score}_high": high}
    if "majority_baseline" in report["scores"]:
        scores["majority_baseline"] = report["scores"]["majority_baseline"]
    measured_on = report["measured_on"]
    return TrainReport(
        out,
        scores,
        report["rows"],
        report["details"] | {"measured_on": measured_on},
        "\n".join(cautions(report["scores"], measured_on)) or None,
    )


def _run(
    sets: Sets,
    goal: Goal,
    options: ClassifierOptions,
    part: Path,
    base: Path,
    progress: Progress,
    device: str,
    checkpoint: Path,
) -> dict[str, Any]:
    """Train, calibrate, measure and write the model; return what `metrics.json` says."""
    from jnlp.encoder.config import TEMPERATURE
    from jnlp.encoder.runtime import Runtime
    from jnlp.training.calibration import fit_temperature
    from jnlp.training.classifier.evaluation import measure
    from jnlp.training.classifier.finetune import (
        ClassifierObjective,
        FullModel,
        HeadOnly,
        class_weights,
        pooled_states,
        predict,
    )
    from jnlp.training.epochs import Pace, fit
    from jnlp.training.folder import encode, read_config, versions, write_model

    place, _ = Runtime(device=device).place()
    config = _config(read_config(base), goal, options)
    model = _build(config, base, options).to(place)
    length = min(options.max_length, int(config.get("max_position_embeddings", 8192)))
    sequences, cuts = zip(*(encode(base, [e.text for e in rows], length) for rows in _rows(sets)), strict=True)
    rate = options.lr or _default_rate(int(config["hidden_size"]), options.head_only)
    if options.head_only:
        learners: list[Any] = [HeadOnly(model, pooled_states(model, s, place, progress)) for s in sequences]
    else:
        learners = [FullModel(model, s, place) for s in sequences]
    targets = [goal.targets(rows) for rows in _rows(sets)]
    weights = class_weights(targets[0], goal) if options.class_weights == "balanced" and len(goal.labels) > 1 else None
    objective = ClassifierObjective(
        learners[0], targets[0], learners[1], targets[1], goal, batch_size=options.batch_size, weights=weights
    )
    fitted: Fitted = fit(objective, Pace.of(options, rate), progress, checkpoint=checkpoint)
    chosen = predict(learners[1], len(targets[1]))
    config[TEMPERATURE] = temperature = fit_temperature(chosen, targets[1], goal.problem)
    scored = predict(learners[2], len(targets[2])) if sets.test else chosen
    write_model(part, base, config, _states(model, options.weights))
    return {
        "problem_type": goal.problem.value,
        "labels": list(goal.labels),
        "measured_on": "test" if sets.test else "validation",
        "rows": {"train": len(sets.train), "valid": len(sets.valid), "test": len(sets.test)},
        "cut": cuts[0],
        "temperature": temperature,
        "best_epoch": fitted.best + 1,
        "epochs": list(fitted.epochs),
        "scores": measure(scored, targets[-1] if sets.test else targets[1], goal, temperature),
        "valid_scores": measure(chosen, targets[1], goal, temperature, draws=0)["metrics"],
        "details": {"options": recorded(options, lr=rate), "device": place.type, "versions": versions()},
    }


def _rows(sets: Sets) -> tuple[list[Example], ...]:
    return (sets.train, sets.valid, sets.test) if sets.test else (sets.train, sets.valid)


def _config(config: dict[str, Any], goal: Goal, options: ClassifierOptions) -> dict[str, Any]:
    """Return the base's config with what makes it a classifier's."""
    from jnlp.encoder.config import TEMPERATURE

    kept = {key: value for key, value in config.items() if key not in ("num_labels", TEMPERATURE)}
    return kept | {
        "architectures": ["ModernBertForSequenceClassification"],
        "id2label": {str(index): label for index, label in enumerate(goal.labels)},
        "label2id": {label: index for index, label in enumerate(goal.labels)},
        "problem_type": goal.problem.value,
        "classifier_pooling": options.pooling,
        "classifier_dropout": options.dropout,
        "dtype": {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}[options.weights],
    }


def _build(config: Mapping[str, Any], base: Path, options: ClassifierOptions) -> ModernBertForSequenceClassification:
    """Return the model with the base's encoder; the last layer is new."""
    import torch

    from jnlp.encoder.config import ModernBertConfig
    from jnlp.encoder.modernbert import ModernBertForSequenceClassification
    from jnlp.training.folder import read_states

    torch.manual_seed(options.seed)
    model = ModernBertForSequenceClassification(ModernBertConfig.from_dict(config))
    wanted = model.state_dict()
    states = {n: t for n, t in read_states(base).items() if n in wanted and not n.startswith("classifier.")}
    lacking = [name for name in wanted if name.startswith("model.") and name not in states]
    if lacking:
        raise JnlpError(f"{base} lacks the weights {lacking[0]}", hint="give a whole model folder")
    model.load_state_dict(states, strict=False)
    return model


def _default_rate(hidden: int, head_only: bool) -> float:
    """Return 1e-3 for a head alone; else 2e-4 at width 256 (docs/log.md), falling with the width as 1/d."""
    return 1e-3 if head_only else 0.0512 / hidden


def _states(model: ModernBertForSequenceClassification, weights: str) -> dict[str, torch.Tensor]:
    import torch

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[weights]
    return {name: tensor.detach().to(dtype) for name, tensor in model.state_dict().items()}


def _write_report(part: Path, goal: Goal, report: dict[str, Any]) -> None:
    from jnlp.training.classifier.card import card

    text = dumps(report, indent=2)
    (part / "metrics.json").write_text(text + "\n", "utf-8")
    (part / "README.md").write_text(card(report["name"], report["base"], goal, report), "utf-8")
