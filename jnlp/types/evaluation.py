"""Evaluations: what is measured, on which data, by which split, and who is to be credited."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Split(StrEnum):
    """How the rows of a data set become training, validation and test rows.

    Example:
        >>> jnlp.Split("hold out")
        <Split.HOLD_OUT: 'hold out'>
    """

    VALID_IS_TEST = "valid is test"
    """Train and valid are public: valid is the test set; train is cut into five folds."""
    HOLD_OUT = "hold out"
    """There is no test set: a tenth is held out first; the rest is cut into five folds."""
    GIVEN = "given"
    """All three are given: five seeds."""


class Measured(StrEnum):
    """What a model is asked for.

    Example:
        >>> jnlp.Measured("choice")
        <Measured.CHOICE: 'choice'>
    """

    CLASSIFY = "classify"
    REGRESSION = "regression"
    CHOICE = "choice"
    """One of several answers to each question."""
    DIRECT = "direct"
    """No training: the evaluation's own function measures the model as it is."""


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where a data set comes from.

    Args:
        repository: The repository, as people find it.
        licence: Its licence.
        credit: Whom to name.
        revision: The tag or commit that is fetched; empty: nothing can be fetched by a command.
        files: The files to fetch, by the address below the repository's raw files.
        note: Where to get data that cannot be fetched, and how it is to be laid out.
        bundled: True if the data ships with the plugin: no folder is needed.

    Example:
        >>> jnlp.DataSource("https://example.org/reviews", "CC BY 4.0", "花子").licence
        'CC BY 4.0'
    """

    repository: str
    licence: str
    credit: str
    revision: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    bundled: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A question with several answers, one of which is right.

    Args:
        question: The question.
        answers: The answers.
        right: The place of the right one, from 0.

    Example:
        >>> jnlp.Choice("日本の首都は?", ("京都", "東京"), 1).right
        1
    """

    question: str
    answers: tuple[str, ...]
    right: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A measurement of models on one data set.

    Args:
        name: What a user types.
        summary: What it measures, in one line.
        metric: The score: `accuracy`, `macro_f1`, `spearman`, or a name that `measure` returns.
        measured: What a model is asked for.
        source: Where the data comes from.
        read: `"package.module:function"`; called with the data folder, it returns examples by part (`train`, `valid`,
            `test`; `Example`, or `Choice` where one of several answers is asked for).
        split: How parts become training, validation and test rows.
        large: True for a large set, trained on for fewer epochs.
        max_length: The longest text in tokens.
        measure: For `Measured.DIRECT`, `"package.module:function"`: called with the models, the examples and a
            limit of rows (or None), it returns scores by name.
        labels: The labels that rows may have; empty: any.
        percent: Whether tables show the score times 100; False for scores that are no share.

    Example:
        >>> source = jnlp.DataSource("https://example.org/reviews", "CC BY 4.0", "花子")
        >>> jnlp.Evaluation("stars", "Stars.", "accuracy", jnlp.Measured.CLASSIFY, source, "mine:read").split
        <Split.VALID_IS_TEST: 'valid is test'>
    """

    name: str
    summary: str
    metric: str
    measured: Measured
    source: DataSource
    read: str
    split: Split = Split.VALID_IS_TEST
    large: bool = False
    max_length: int = 512
    measure: str = ""
    labels: tuple[str, ...] = ()
    percent: bool = True
