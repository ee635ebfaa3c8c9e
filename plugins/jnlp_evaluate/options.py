"""The options of `jnlp evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from jnlp.types import Option


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """How models are measured."""

    protocol: Annotated[
        str,
        Option(
            "card: the model card's grid, five folds or seeds. quick: three rates, one fold, at most 4,000 rows.",
            choices=("quick", "card"),
        ),
    ] = "quick"
    limit: Annotated[int | None, Option("Rows to train on at most, a fifth of it to score (default: all).", ge=20)] = (
        None
    )
    jobs: Annotated[int, Option("Cells of the grid that run at the same time.", ge=1)] = 1
