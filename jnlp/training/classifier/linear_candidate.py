"""A linear model on n-grams and frozen vectors: one of the methods of `jnlp train classifier`."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.encoder.linear_classifier import save_linear
from jnlp.errors import JnlpError
from jnlp.training.classifier.candidates import LINEAR, Candidate
from jnlp.training.classifier.finetune import class_weights
from jnlp.training.classifier.linear import fit_linear, out_of_fold, read_features, search
from jnlp.training.options import recorded
from jnlp.types import Head, ProblemType

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jnlp.encoder.linear_classifier import Linear, Vectorizer
    from jnlp.training.classifier.linear import Search
    from jnlp.training.classifier.options import ClassifierOptions, Sets
    from jnlp.training.classifier.targets import Goal
    from jnlp.types import Example, Progress

VECTOR_CHARACTERS = 400_000
"""Characters of all rows above which linear leaves the vectors out: on so much text n-grams alone do as well, and the
vectors would take minutes."""
REVIEWED = 20_000
"""Rows up to which the report names labels that are probably wrong; it takes five more fits."""


def fit_linear_candidate(
    sets: Sets, goal: Goal, options: ClassifierOptions, progress: Progress, device: str, /
) -> Candidate:
    """Fit a linear model, with the penalty and the weights of the blocks chosen by cross-validation.

    What is scored was chosen on the training rows, and what is saved, in the same way, on all rows.

    Raises:
        JnlpError: The embedder cannot be had.
    """
    began = time.monotonic()
    rows = [*sets.train, *sets.valid, *sets.test]
    source, embedder = _embedder(options.embedder, rows, device)
    progress(LINEAR, 0, 3, {})
    features = read_features(rows, embedder)
    progress(LINEAR, 1, 3, {})
    train, valid, test = _parts(sets)
    targets = goal.targets(sets.train)
    weights = class_weights(targets, goal) if options.class_weights == "balanced" and len(goal.labels) > 1 else None
    found = search(features.take(train), sets.train, goal, seed=options.seed, weights=weights)
    progress(LINEAR, 2, 3, {})
    model = fit_linear(features.take(train), targets, goal, found, weights=weights)
    last = search(features, rows, goal, seed=options.seed, weights=weights) if options.refit else found
    keeps_vectors = source is not None and last.choice.vectors > 0

    def write(part: Path) -> None:
        final = fit_linear(features, goal.targets(rows), goal, last, weights=weights) if options.refit else model
        temperature = 1.0 if goal.problem is ProblemType.REGRESSION else last.temperature
        save_linear(
            part,
            final if keeps_vectors or final.pairs else _without_vectors(final),
            goal.labels,
            goal.problem,
            temperature=temperature,
            embedder=source if keeps_vectors else None,
        )

    seconds = time.monotonic() - began
    outside = None
    if goal.problem is ProblemType.SINGLE_LABEL and len(rows) <= REVIEWED:
        outside = out_of_fold(features, rows, goal, found, seed=options.seed)
    progress(LINEAR, 3, 3, {})
    return Candidate(
        LINEAR,
        valid=features.take(valid).logits(model),
        test=features.take(test).logits(model) if test else None,
        temperature=1.0 if goal.problem is ProblemType.REGRESSION else found.temperature,
        seconds=seconds,
        facts=choice_facts(last, options, device, "left out" if source is None else options.embedder)
        | {"cut": int((features.take(train).cut > 0).sum()), "refitted_on": len(rows) if options.refit else len(train)},
        write=write,
        out_of_fold=outside,
        crossed=found.logits,
    )


def _embedder(name: str, rows: Sequence[Example], device: str) -> tuple[Path | None, Vectorizer | None]:
    """Return the folder of the embedder and the embedder; nothing if there is none, or too much to read."""
    from jnlp.encoder.load import load_embedder
    from jnlp.encoder.runtime import Runtime
    from jnlp.models.resolve import resolve
    from jnlp.models.specs import BUILTIN_SPECS

    length = sum(len(row.text) if isinstance(row.text, str) else sum(map(len, row.text)) for row in rows)
    if name == "none" or length > VECTOR_CHARACTERS:
        return None, None
    model = resolve(name, {spec.name: spec for spec in BUILTIN_SPECS})
    if Head.EMBEDDING not in model.spec.heads:
        raise JnlpError(f"{name} gives no vectors", hint="--embedder tiny-search, ruri-v3-130m … or none")
    return model.folder, load_embedder(model, runtime=Runtime(device=device))


def _parts(sets: Sets) -> tuple[list[int], list[int], list[int]]:
    """Return the places of the training, validation and test rows among all."""
    ends = np.cumsum([0, len(sets.train), len(sets.valid), len(sets.test)]).tolist()
    first, second, third = (list(range(start, end)) for start, end in pairwise(ends))
    return first, second, third


def _without_vectors(model: Linear) -> Linear:
    return replace(model, dense=np.zeros((0, len(model.bias)), np.float32))


def choice_facts(found: Search, options: ClassifierOptions, device: str, vectors: str, /) -> dict[str, Any]:
    """Return what a report says of a choice, the name of the vectors' model, and the run."""
    choice = found.choice
    return {
        "choice": {
            "ngrams": choice.ngrams,
            "vectors": choice.vectors,
            "overlap": choice.overlap,
            "cosine": choice.cosine,
            "strength": choice.strength,
            "cross_validated_loss": found.loss,
        },
        "vectors": vectors,
        "options": recorded(options),
        "device": device,
    }
