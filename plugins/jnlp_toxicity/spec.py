"""The spec of the toxicity task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from jnlp.types import Option, TaskSpec


@dataclass(frozen=True, slots=True)
class ToxicityOptions:
    """How toxic text is found and what happens to it."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    threshold: Annotated[float, Option("Scores from here on are toxic.", ge=0.0, le=1.0)] = 0.5
    drop: Annotated[bool, Option("Leave toxic records out of the output; --rejects FILE names them and why.")] = False
    lists: Annotated[
        tuple[str, ...], Option("Files of further words, one per line, comma separated.", metavar="FILES")
    ] = ()
    allow: Annotated[
        tuple[str, ...], Option("Expressions in which no word is meant (馬鹿正直), comma separated.", metavar="WORDS")
    ] = ()
    rules_only: Annotated[bool, Option("Use the word lists alone, without a model.")] = False


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `[start, end)` of the text, and why they count: a category of the word lists, or `model`."""

    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class Toxicity:
    """How toxic a text is.

    Args:
        toxic: Whether the score reaches the threshold.
        score: Between 0 and 1: 1 - ∏(1 - c) over `categories`.
        categories: By category of the word lists 1 - ∏(1 - severity) over its distinct words, and under `model` the
            classifier's probability for the window that it finds worst.
        spans: What was found, in order; the model's window only where its probability alone reaches the threshold.
    """

    toxic: bool
    score: float
    categories: Mapping[str, float] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()


TOXICITY: TaskSpec[ToxicityOptions, Toxicity] = TaskSpec(
    "toxicity",
    "Score, flag or drop toxic text, with spans and reasons.",
    ToxicityOptions,
    "jnlp_toxicity.logic:make",
    Toxicity,
    model="tiny-toxicity",
    rows="jnlp_toxicity.logic:rows",
    drop="jnlp_toxicity.logic:drop",
    keys="jnlp_toxicity.logic:keys",
)
