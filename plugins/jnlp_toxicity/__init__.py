"""Detects toxic Japanese text by word lists and a classifier, with a score, a verdict, spans and reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.hookspecs import hookimpl

if TYPE_CHECKING:
    from jnlp.hookspecs import Register

jnlp_api = 1


@hookimpl
def register_tasks(register: Register) -> None:
    """Register `jnlp toxicity`."""
    register(
        "toxicity", "jnlp_toxicity.spec:TOXICITY", summary="Score, flag or drop toxic text, with spans and reasons."
    )


@hookimpl
def register_trainers(register: Register) -> None:
    """Register `jnlp train toxicity`."""
    register(
        "toxicity",
        "jnlp_toxicity.trainers:TOXICITY_TRAINER",
        summary="Fit the decision of `jnlp toxicity` to your own rows.",
    )
