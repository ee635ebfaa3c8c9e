"""Protocols: which learning rates, epochs, folds and seeds a model is trained with, and how a score is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.errors import JnlpError
from jnlp.types import Evaluation, Split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDS = 5
SEEDS = 5
HELD_OUT = 0.1


@dataclass(frozen=True, slots=True)
class Protocol:
    """A way to measure a model on a task by fine-tuning.

    Args:
        name: What a user types.
        rates: Learning rates.
        epochs: Numbers of epochs on small sets; `epochs_large` on large ones.
        runs: How many of the folds (or seeds) are run.
        rows: Rows to train on at most, and to score, and a fifth of it to choose by; None: all.
        tokens: Tokens to train on at most in an epoch; None: all.
    """

    name: str
    rates: tuple[float, ...]
    epochs: tuple[int, ...]
    epochs_large: tuple[int, ...]
    runs: int
    rows: int | None = None
    tokens: int | None = None


PROTOCOLS = {
    "card": Protocol("card", (5e-6, 1e-5, 2e-5, 3e-5, 5e-5, 1e-4), (3, 5, 10), (1, 2), FOLDS),
    "quick": Protocol("quick", (3e-5, 1e-4, 3e-4), (3,), (1,), 1, rows=4000, tokens=100_000),
}
"""`card`: the model card's. `quick`: three rates, one number of epochs, one fold, and a part of large sets."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One training run: a rate, a number of epochs, and a fold or seed."""

    rate: float
    epochs: int
    run: int

    @property
    def name(self) -> str:
        """The name of the cell's record."""
        return f"lr{self.rate:g}-epochs{self.epochs}-run{self.run}"


@dataclass(frozen=True, slots=True)
class Rows:
    """Row numbers of one run, in the list of all rows: train, valid, test."""

    train: tuple[int, ...]
    valid: tuple[int, ...]
    test: tuple[int, ...]


def cells(protocol: Protocol, evaluation: Evaluation, /) -> list[Cell]:
    """Return all training runs of a protocol.

    Example:
        >>> from jnlp_evaluate.tasks import JCOLA
        >>> len(cells(PROTOCOLS["card"], JCOLA)), len(cells(PROTOCOLS["quick"], JCOLA))
        (90, 3)
    """
    epochs = protocol.epochs_large if evaluation.large else protocol.epochs
    return [Cell(rate, count, run) for rate in protocol.rates for count in epochs for run in range(protocol.runs)]


def divide(
    evaluation: Evaluation,
    parts: Mapping[str, Sequence[Any]],
    run: int,
    limit: int | None,
    /,
    *,
    most: int | None = None,
) -> tuple[list[Any], Rows]:
    """Return all rows, and which of them a run trains on, chooses by, and is scored on.

    Args:
        evaluation: Its split policy decides.
        parts: The rows by part.
        run: The number of the fold, or the seed.
        limit: Rows to train on at most, a fifth of it to choose by and to be scored on; None: all.
        most: The protocol's own number of rows to train on at most, and to be scored on; a fifth of it to choose by.

    Raises:
        JnlpError: A part that the policy needs is missing.

    Example:
        >>> from jnlp_evaluate.tasks import JCOLA
        >>> rows, chosen = divide(JCOLA, {"train": list(range(10)), "valid": [10, 11]}, 0, None)
        >>> len(chosen.train), len(chosen.valid), [rows[n] for n in chosen.test]
        (8, 2, [10, 11])
    """
    rows: list[Any] = []
    at: dict[str, list[int]] = {}
    for part, examples in parts.items():
        at[part] = list(range(len(rows), len(rows) + len(examples)))
        rows.extend(examples)
    train = at.get("train", [])
    if not train:
        raise JnlpError(f"the data of {evaluation.name} has no training rows", hint="jnlp evaluate data")
    if evaluation.split is Split.GIVEN and at.get("valid") and at.get("test"):
        chosen = np.random.default_rng(run).permutation(train).tolist()
        return rows, _limited(chosen, at["valid"], at["test"], limit, most)
    shuffled = np.random.default_rng(0).permutation(train).tolist()
    if evaluation.split is Split.HOLD_OUT and not at.get("test"):
        count = max(1, round(HELD_OUT * len(shuffled)))
        test, shuffled = shuffled[:count], shuffled[count:]
    else:
        test = at.get("valid") or at.get("test") or []
        if evaluation.split is Split.HOLD_OUT:
            test = at["test"]
    if not test:
        raise JnlpError(f"the data of {evaluation.name} has no test rows", hint="jnlp evaluate data")
    fold = shuffled[run::FOLDS]
    held = set(fold)
    rest = [row for row in shuffled if row not in held]
    return rows, _limited(rest, fold, test, limit, most)


def _limited(train: list[int], valid: list[int], test: list[int], limit: int | None, most: int | None) -> Rows:
    if limit is not None:
        fewer = max(20, limit // 5)
        train, valid, test = train[:limit], valid[:fewer], test[:fewer]
    if most is not None:
        train, valid, test = train[:most], valid[: most // 5], test[:most]
    return Rows(tuple(train), tuple(valid), tuple(test))


@dataclass(frozen=True, slots=True)
class Chosen:
    """The choice of a grid: the rate and epochs with the best mean validation score, and the mean test score there."""

    rate: float
    epochs: int
    valid: float
    test: float
    runs: int


def choose(records: Sequence[Mapping[str, Any]], /) -> Chosen:
    """Return the best rate and number of epochs by the mean validation score, with the mean test score.

    Example:
        >>> one = {"rate": 1e-5, "epochs": 1, "valid": 0.5, "test": 0.6}
        >>> choose([one, one | {"rate": 3e-5, "valid": 0.7, "test": 0.5}]).test
        0.5
    """
    grid: dict[tuple[float, int], list[Mapping[str, Any]]] = {}
    for record in records:
        grid.setdefault((record["rate"], record["epochs"]), []).append(record)
    best = max(grid, key=lambda key: float(np.mean([record["valid"] for record in grid[key]])))
    valid, test = (float(np.mean([record[part] for record in grid[best]])) for part in ("valid", "test"))
    return Chosen(best[0], best[1], valid, test, len(grid[best]))
