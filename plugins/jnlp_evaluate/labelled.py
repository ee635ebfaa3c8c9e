"""Scores any classifier on a labelled file: `jnlp evaluate file`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jnlp.encoder.windows import mean_logits, probabilities
from jnlp.errors import JnlpError
from jnlp.training.classifier.evaluation import cautions, measure
from jnlp.training.classifier.repeats import find_repeats, same_texts
from jnlp.training.classifier.targets import Goal, names, typed
from jnlp.training.report.make import make_report
from jnlp.types import ProblemType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.training.report.value import ClassificationReport
    from jnlp.types import Classifier, Example

_BATCH = 256


def score_file(
    classifier: Classifier, examples: Sequence[Example], title: str, measured_on: str, /
) -> ClassificationReport:
    """Return the report of a classifier on labelled rows.

    Args:
        classifier: The model.
        examples: The rows.
        title: What messages call the model.
        measured_on: The name of the file.

    Raises:
        JnlpError: A label that the model does not have.
    """
    rows = typed(examples, classifier.problem_type)
    goal = Goal(classifier.labels, classifier.problem_type)
    if classifier.problem_type is not ProblemType.REGRESSION:
        known = set(classifier.labels)
        for row in rows:
            if unknown := next((label for label in names(row) if label not in known), None):
                raise JnlpError(
                    f"{row.place}: the label '{unknown}' is none of the model's: {', '.join(classifier.labels)}",
                    hint="name the column of its labels with --label, or another model",
                )
    logits = np.concatenate(
        [
            mean_logits(classifier.logits([row.text for row in rows[start : start + _BATCH]]))
            for start in range(0, len(rows), _BATCH)
        ]
    )
    scores = measure(logits, goal.targets(rows), goal, texts=same_texts(rows))
    repeats = find_repeats(rows)
    said = [*repeats.cautions(), *cautions(scores, measured_on)]
    probable = probabilities(logits, goal.problem)
    return make_report(title, measured_on, probable, rows, goal, scores, cautions=said)
