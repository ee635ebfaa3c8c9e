"""A ModernBERT with a new classification head, fine-tuned: one of the methods of `jnlp train classifier`."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from jnlp.encoder.config import TEMPERATURE, ModernBertConfig
from jnlp.encoder.modernbert import ModernBertForSequenceClassification
from jnlp.errors import JnlpError
from jnlp.training.calibration import fit_temperature
from jnlp.training.classifier.candidates import Candidate
from jnlp.training.classifier.finetune import (
    ClassifierObjective,
    FullModel,
    HeadOnly,
    class_weights,
    pooled_states,
    predict,
)
from jnlp.training.epochs import Pace, fit
from jnlp.training.folder import encode, read_config, read_states, write_model
from jnlp.training.options import recorded
from jnlp.training.team import assemble

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jnlp.training.classifier.options import ClassifierOptions, Sets
    from jnlp.training.classifier.targets import Goal
    from jnlp.types import Example, Progress

MOST_WINDOWS = 8
"""Windows of a text that are trained on at once; validation and test rows are read whole."""

_ALL = 1_000_000

AUTO_MINUTES = 3.0
"""The time limit of fine-tuning with `--method auto`, where none is given."""


def fit_finetuned(
    sets: Sets,
    goal: Goal,
    options: ClassifierOptions,
    base: Path,
    progress: Progress,
    device: str,
    checkpoint: Path | None,
    /,
) -> Candidate:
    """Fine-tune `base` and return the model of its best epoch."""
    began = time.monotonic()
    team = assemble(device)
    place = team.device
    config = classifier_config(read_config(base), goal, options)
    model = build_model(config, base, options).to(place)
    length = min(options.max_length, int(config.get("max_position_embeddings", 8192)))
    texts = [[example.text for example in rows] for rows in _rows(sets)]
    limits = (MOST_WINDOWS, *([_ALL] * (len(texts) - 1)))
    sequences, cuts = zip(*(encode(base, t, length, most=m) for t, m in zip(texts, limits, strict=True)), strict=True)
    rate = options.lr or _default_rate(int(config["hidden_size"]), options.head_only)
    if options.head_only:
        learners: list[Any] = [HeadOnly(model, pooled_states(model, s, place, progress), s) for s in sequences]
    else:
        learners = [FullModel(model, s, place) for s in sequences]
    targets = [goal.targets(rows) for rows in _rows(sets)]
    weights = class_weights(targets[0], goal) if options.class_weights == "balanced" and len(goal.labels) > 1 else None
    objective = ClassifierObjective(
        learners[0],
        targets[0],
        learners[1],
        targets[1],
        goal,
        batch_size=options.batch_size,
        weights=weights,
        share=(team.rank, team.size),
    )
    several = any(len(text.windows) > 1 for rows in sequences for text in rows)
    window = length if several and length < int(config.get("max_position_embeddings", 8192)) else None
    minutes = options.time_limit or (AUTO_MINUTES if options.method == "auto" else None)
    pace = replace(Pace.of(options, rate, hours=minutes / 60 if minutes else None), layer_decay=options.layer_decay)
    fitted = fit(objective, pace, progress, checkpoint=checkpoint, team=team)
    chosen = predict(learners[1], len(targets[1]))
    config[TEMPERATURE] = temperature = fit_temperature(chosen, targets[1], goal.problem)
    return Candidate(
        "finetune",
        valid=chosen,
        test=predict(learners[2], len(targets[2])) if sets.test else None,
        temperature=temperature,
        seconds=time.monotonic() - began,
        facts={
            "cut": cuts[0],
            "best_epoch": fitted.best + 1,
            "epochs": list(fitted.epochs),
            "options": recorded(options, lr=rate),
            "device": place.type,
        },
        write=lambda part: write_model(part, base, config, _states(model, options.weights), window=window),
    )


def _rows(sets: Sets) -> tuple[list[Example], ...]:
    return (sets.train, sets.valid, sets.test) if sets.test else (sets.train, sets.valid)


def classifier_config(config: dict[str, Any], goal: Goal, options: ClassifierOptions) -> dict[str, Any]:
    """Return the base's config with what makes it a classifier's."""
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


def build_model(
    config: Mapping[str, Any], base: Path, options: ClassifierOptions
) -> ModernBertForSequenceClassification:
    """Return the model with the base's encoder; the last layer is new."""
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
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[weights]
    return {name: tensor.detach().to(dtype) for name, tensor in model.state_dict().items()}
