"""Trains a reranker: a cross-encoder that reads query and document together and scores the relevance.

It is a classifier of pairs with one label and a sigmoid, like a CrossEncoder of sentence-transformers.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated

from jnlp.errors import JnlpError
from jnlp.training.options import PairOptions, TrainingOptions
from jnlp.types import Example, Option

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jnlp.training.embedder.pairs import Pair
    from jnlp.types import Models, Progress, TrainReport

RELEVANT = "relevant"
"""The one label."""


@dataclass(frozen=True, slots=True)
class RerankerOptions(PairOptions):
    """How a reranker is trained."""

    patience: Annotated[int, Option("Epochs without a better score before it stops; 0: never.", ge=0)] = 0
    sampled: Annotated[
        int, Option("Negatives per query; those that the rows do not give are other rows' documents.", ge=1)
    ] = 3


class RerankerTrainer:
    """The `Trainer` of `jnlp train reranker`."""

    def fit(
        self,
        train: Sequence[Example],
        valid: Sequence[Example] | None,
        options: RerankerOptions,
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
            JnlpError: Rows that are not pairs or have grades, too few of them, or an `out` that exists.
        """
        from jnlp.training.classifier.trainer import ClassifierOptions, Sets, fit_classifier
        from jnlp.training.embedder.pairs import hold_out, key_of

        rows, held = _pairs(train), _pairs(valid) if valid is not None else None
        if held is None:
            rows, held = hold_out(rows, options.valid_share, options.seed)
        else:
            seen = {key_of(pair) for pair in held}
            rows = [pair for pair in rows if key_of(pair) not in seen]
        if not rows:
            raise JnlpError("all pairs to train on are among those of --valid", hint="give others")
        shared = {entry.name: getattr(options, entry.name) for entry in fields(TrainingOptions)}
        chosen = ClassifierOptions(**shared, problem="multi", test_share=0.0)
        sets = Sets(judge(rows, options.sampled, options.seed), judge(held, options.sampled, options.seed), [])
        return fit_classifier(sets, chosen, out, base=base, progress=progress, device=device)


def make_trainer() -> RerankerTrainer:
    """Return the trainer of rerankers."""
    return RerankerTrainer()


def judge(pairs: Sequence[Pair], count: int, seed: int, /) -> list[Example]:
    """Return every pair as relevant, plus `count` irrelevant ones: its own negatives, then other documents.

    Raises:
        JnlpError: There is no document to be a negative.
    """
    rng = random.Random(seed)
    documents = list(dict.fromkeys(pair.document for pair in pairs))
    right: dict[str, set[str]] = {}
    for pair in pairs:
        right.setdefault(pair.query, set()).add(pair.document)
    rows: list[Example] = []
    for pair in pairs:
        wrong = [text for text in dict.fromkeys(pair.negatives) if text not in right[pair.query]][:count]
        others = rng.sample(documents, min(len(documents), count + len(right[pair.query]) + len(wrong)))
        wrong += [text for text in others if text not in right[pair.query] and text not in wrong][: count - len(wrong)]
        rows.append(Example((pair.query, pair.document), (RELEVANT,), pair.group))
        rows += [Example((pair.query, text), (), pair.group) for text in wrong]
    if all(row.target for row in rows):
        raise JnlpError("there is no document that does not answer", hint="give --negatives, or more documents")
    return rows


def _pairs(examples: Sequence[Example]) -> list[Pair]:
    from jnlp.training.embedder.pairs import sets_of

    sets, graded = sets_of(examples)
    if graded or not sets:
        raise JnlpError("a reranker learns from pairs that belong together", hint="leave --label out")
    return [pair for one in sets for pair in one.pairs]
