"""Classifies Japanese text: with a fine-tuned model, or by labels alone; and trains such models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.hookspecs import hookimpl

if TYPE_CHECKING:
    from jnlp.hookspecs import Register

jnlp_api = 1


@hookimpl
def register_tasks(register: Register) -> None:
    """Register `jnlp classify`."""
    register(
        "classify", "jnlp_classify.spec:CLASSIFY", summary="Label texts with a fine-tuned model, or by labels alone."
    )


@hookimpl
def register_commands(register: Register) -> None:
    """Register `jnlp suggest`."""
    register("suggest", "jnlp_classify.cli:suggest", summary="Name the texts that are most worth labelling next.")


@hookimpl
def register_trainers(register: Register) -> None:
    """Register `jnlp train classifier`."""
    register("classifier", "jnlp_classify.spec:CLASSIFIER", summary="Train a text classifier from labelled rows.")
