"""Trains a reranker: a cross-encoder that reads query and document together and says how relevant the document is.

It is a classifier of pairs with one label through a sigmoid: what sentence-transformers calls a CrossEncoder.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from jnlp.errors import JnlpError
from jnlp.types import Example, Option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from jnlp.training.embedder.pairs import Pair
    from jnlp.types import Models, TrainReport

    Progress = Callable[[str, int, int, Mapping[str, float]], None]

RELEVANT = "relevant"
"""The one label."""


@dataclass(frozen=True, slots=True)
class RerankerOptions:
    """How a reranker is trained."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    negatives: Annotated[
        str | None, Option("Column of texts that do not answer: one text or a list.", metavar="COLUMN")
    ] = None
    group: Annotated[
        str | None, Option("Column of what is held out together: an article, an author.", metavar="COLUMN")
    ] = None
    drawn: Annotated[
        int, Option("Negatives a query; those that the rows do not give are other rows' documents.", ge=1)
    ] = 3
    epochs: Annotated[int, Option("Passes over the training pairs; the best is kept.", ge=1)] = 3
    lr: Annotated[float | None, Option("Peak learning rate; by the model's width where none is given.", gt=0)] = None
    batch_size: Annotated[int, Option("Pairs a step.", ge=1)] = 16
    max_length: Annotated[int, Option("Longest pair in tokens; the rest of it is cut.", ge=8)] = 512
    valid_share: Annotated[
        float, Option("Share of the pairs that chooses the epoch, where --valid gives none.", gt=0, lt=0.5)
    ] = 0.1
    weights: Annotated[str, Option("Number format of the saved weights.", choices=("fp32", "bf16", "fp16"))] = "fp32"
    seed: Annotated[int, Option("Decides the split, the negatives and the order of rows.", ge=0)] = 0


class RerankerTrainer:
    """Fits a reranker to pairs: the `Trainer` behind `jnlp train reranker`."""

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
            JnlpError: Rows that are no pairs or have grades, too few of them, or an `out` that exists.
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
        chosen = ClassifierOptions(
            epochs=options.epochs,
            lr=options.lr,
            batch_size=options.batch_size,
            max_length=options.max_length,
            problem="multi",
            test_share=0.0,
            patience=0,
            weights=options.weights,
            seed=options.seed,
        )
        sets = Sets(judged(rows, options.drawn, options.seed), judged(held, options.drawn, options.seed), [])
        return fit_classifier(sets, chosen, out, base=base, progress=progress, device=device)


def make_trainer() -> RerankerTrainer:
    """Return the trainer of rerankers."""
    return RerankerTrainer()


def judged(pairs: Sequence[Pair], count: int, seed: int, /) -> list[Example]:
    """Return every pair as relevant, and with it `count` that are not: its own negatives, then other documents.

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
