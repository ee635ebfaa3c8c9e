"""The targets of a classifier: labels, problem type, and the target array."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jnlp.errors import JnlpError, UsageError
from jnlp.patterns import deferred
from jnlp.types import ProblemType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from jnlp.types import Example

_PROBLEMS = {
    "single": ProblemType.SINGLE_LABEL,
    "multi": ProblemType.MULTI_LABEL,
    "regression": ProblemType.REGRESSION,
}
SCORE_LABEL = "score"
"""The one label of a regression."""


@dataclass(frozen=True, slots=True)
class Goal:
    """The labels in the order of the logits, and the problem type."""

    labels: tuple[str, ...]
    problem: ProblemType

    def targets(self, examples: Sequence[Example], /) -> NDArray[np.generic]:
        """Return int64 `[n]` classes, float32 `[n, k]` of 0 and 1, or float32 `[n, 1]` numbers.

        Raises:
            JnlpError: A label that the training set does not have, or a target that is not a number in a regression.
        """
        if self.problem is ProblemType.REGRESSION:
            return np.array([[_number(example)] for example in examples], dtype=np.float32).reshape(-1, 1)
        place = {label: index for index, label in enumerate(self.labels)}
        for example in examples:
            for label in names(example):
                if label not in place:
                    raise JnlpError(
                        f"the label '{label}' is in the held-out examples but not in the training set",
                        hint="give training examples of every label",
                    )
        if self.problem is ProblemType.SINGLE_LABEL:
            return np.array([place[names(example)[0]] for example in examples], dtype=np.int64)
        rows = np.zeros((len(examples), len(self.labels)), dtype=np.float32)
        for row, example in enumerate(examples):
            rows[row, [place[label] for label in names(example)]] = 1.0
        return rows


_NUMBER = deferred(r"\s*[+-]?(\d+|\d*\.\d+)(e[+-]?\d+)?\s*", re.IGNORECASE)


def problem_of(examples: Sequence[Example], asked: str, /) -> ProblemType:
    """Return the requested problem. With `auto`: multi-label for tuples, regression for decimals, else single-label.

    The same values are the same problem in every format: "4.5" in a csv file is a number like 4.5 in JSON, and 0.0 and
    1.0 alone are two classes.

    Raises:
        UsageError: With `auto`, a label contains a comma: one label or several?
    """
    if asked in _PROBLEMS:
        return _PROBLEMS[asked]
    if any(isinstance(row.target, tuple) for row in examples):
        return ProblemType.MULTI_LABEL
    if _are_decimal([row.target for row in examples]):
        values = {float(row.target) for row in examples if not isinstance(row.target, tuple)}
        return ProblemType.SINGLE_LABEL if values <= {0.0, 1.0} else ProblemType.REGRESSION
    unclear = next((str(row.target) for row in examples if "," in str(row.target)), None)
    if unclear is not None:
        raise UsageError(
            f"is '{unclear:.60}' in the label column one label, or several with a comma between them?",
            hint="--problem single for one, --problem multi for several",
        )
    return ProblemType.SINGLE_LABEL


def _are_decimal(targets: Sequence[str | tuple[str, ...] | float], /) -> bool:
    """Return whether all targets are numbers, and one at least is written with a decimal point."""
    written = [target if isinstance(target, str) else repr(target) for target in targets]
    return all(map(_NUMBER.fullmatch, written)) and any("." in text for text in written)


def typed(examples: Iterable[Example], problem: ProblemType, /) -> list[Example]:
    """Return the examples with targets of the problem's type; for multi-label, texts are split at commas.

    Raises:
        JnlpError: An empty label, several where one is wanted, or a target that is not a number in a regression.
    """
    if problem is ProblemType.REGRESSION:
        return [replace(row, target=_number(row)) for row in examples]
    if problem is ProblemType.MULTI_LABEL:
        return [replace(row, target=_several(row)) for row in examples]
    return [replace(row, target=_one(row, number)) for number, row in enumerate(examples, 1)]


def goal(train: Sequence[Example], problem: ProblemType, /) -> Goal:
    """Return the goal of the training examples: their labels, sorted (as numbers if all are).

    Raises:
        JnlpError: Fewer than two labels.
    """
    if problem is ProblemType.REGRESSION:
        return Goal((SCORE_LABEL,), problem)
    found = {label for example in train for label in names(example)}
    if len(found) < 2 and problem is ProblemType.SINGLE_LABEL:
        raise JnlpError(
            f"the training set has {len(found)} label(s): {', '.join(sorted(found)) or 'none'}",
            hint="a classifier needs at least two; check the column given with --label",
        )
    if not found:
        raise JnlpError("no training example has a label", hint="check the column given with --label")
    numeric = all(label.lstrip("-").isdecimal() for label in found)
    return Goal(tuple(sorted(found, key=(lambda label: (int(label), label)) if numeric else None)), problem)


def names(example: Example, /) -> tuple[str, ...]:
    """Return the labels of an example as strings."""
    return example.target if isinstance(example.target, tuple) else (str(example.target),)


def _one(row: Example, number: int) -> str:
    if isinstance(row.target, tuple):
        raise JnlpError(f"example {number} has several labels", hint="ask for --problem multi")
    label = str(row.target).strip()
    if not label:
        raise JnlpError(f"example {number} has an empty label", hint="fill it or remove the row")
    return label


def _several(row: Example) -> tuple[str, ...]:
    parts = row.target if isinstance(row.target, tuple) else str(row.target).split(",")
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _number(example: Example) -> float:
    try:
        value = float(example.target)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise JnlpError(f"a regression needs numbers, not {example.target!r}", hint="check --label") from error
    if not math.isfinite(value):
        raise JnlpError(f"a regression needs finite numbers, not {example.target!r}", hint="check --label")
    return value
