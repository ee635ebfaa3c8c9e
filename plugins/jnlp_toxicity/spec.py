"""The spec of the toxicity task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar

from jnlp.types import Option, TaskSpec


class Level(StrEnum):
    """How much clean text may be called toxic for more toxic text to be found."""

    STRICT = "strict"
    NORMAL = "normal"
    LENIENT = "lenient"


@dataclass(frozen=True, slots=True)
class ToxicityOptions:
    """How toxic text is found and what happens to it."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    level: Annotated[
        Level, Option("strict finds more, lenient spares more; normal calls at most 1 % of clean text toxic.")
    ] = Level.NORMAL
    threshold: Annotated[
        float | None,
        Option("Scores of at least this are toxic; overrides --level.", ge=0.0, le=1.0, none="level"),
    ] = None
    thresholds: Annotated[
        tuple[str, ...],
        Option(
            "The strength from which the words of a category count, or off: insult=0.5,sexual=off.",
            metavar="CATEGORY=N",
        ),
    ] = ()
    flag: Annotated[bool, Option("Write every record with its verdict; the default.")] = False
    drop: Annotated[bool, Option("Leave toxic records out of the output; --rejects FILE names them and why.")] = False
    mask: Annotated[bool, Option("Write the text with what makes it toxic masked, as `masked`.")] = False
    mask_with: Annotated[
        str, Option("What masks: one character for each one masked, or a longer text for the whole.", metavar="TEXT")
    ] = "＊"
    words: Annotated[
        tuple[str, ...],
        Option(
            "Files of further words, one per line, comma separated.",
            flags=("--words", "--lists"),
            metavar="FILES",
            local=True,
        ),
    ] = ()
    allow: Annotated[
        tuple[str, ...],
        Option(
            "Expressions in which no word is meant (馬鹿正直), or files of them, comma separated.",
            metavar="WORDS",
            local=True,
        ),
    ] = ()
    review: Annotated[int, Option("List the N most doubtful records at the end.", ge=0, metavar="N")] = 0
    rules_only: Annotated[bool, Option("Use the word lists alone, without a model.")] = False


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `[start, end)` of the text and the reason: a category of the word lists, `n-grams` or `model`."""

    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class Toxicity:
    """How toxic a text is.

    Args:
        toxic: Whether the score reaches the threshold.
        score: Between 0 and 1. With the built-in model, the decision over all evidence, in which 0.5 is the level
            `normal`; with another model or the lists alone 1 - ∏(1 - c) over `categories`.
        grade: 0 clean, 1 doubtful, 2 toxic, 3 surely toxic: how many of the levels strict, normal and lenient the score
            reaches; the options do not change it.
        threshold: The score from which it is toxic.
        categories: By category of the word lists 1 - ∏(1 - severity) over its distinct words that are meant; under
            `n-grams` and `model` the probability for the part of the text that each finds worst; under `vectors` that
            by the vector of the text.
            `self-harm` (死にたい) is a sign that someone needs help: it is flagged here and in `spans`, and makes no
            text toxic unless `--thresholds` names it.
        spans: What was found, in order; parts of `n-grams` and `model` only where they carry the verdict.
    """

    toxic: bool
    score: float
    grade: int = 0
    threshold: float = 0.5
    categories: Mapping[str, float] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class MaskedToxicity(Toxicity):
    """How toxic a text is, and the text with its spans masked if it is."""

    masked: str = ""


TOXICITY: TaskSpec[ToxicityOptions, Toxicity] = TaskSpec(
    "toxicity",
    "Score, flag, mask or drop toxic text, with spans and reasons.",
    ToxicityOptions,
    "jnlp_toxicity.logic:make",
    Toxicity,
    model="tiny-toxicity",
    rows="jnlp_toxicity.logic:rows",
    drop="jnlp_toxicity.logic:drop",
    keys="jnlp_toxicity.logic:keys",
    tally="jnlp_toxicity.tally:Tally",
)
