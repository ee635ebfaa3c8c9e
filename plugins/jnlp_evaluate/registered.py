"""The registered evaluations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.registry import Kind

if TYPE_CHECKING:
    from jnlp.engine import Engine
    from jnlp.types import Evaluation


def evaluations(engine: Engine, /) -> dict[str, Evaluation]:
    """Return the registered evaluations by name."""
    registry = engine.plugins.registry
    return {entry.name: registry.get(Kind.EVALUATION, entry.name) for entry in registry.entries(Kind.EVALUATION)}
