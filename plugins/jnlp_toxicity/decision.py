"""One calibrated decision: the log-odds that a text is toxic from words, n-grams, vector and model.

logit p = b + Σ w·x over the features below; weights and thresholds are in `decision.json`, fitted on held-out rows by
`jnlp_family.toxicity.decision` for the built-in model.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp_toxicity.context import ADDRESS
from jnlp_toxicity.lexicon import noisy_or
from jnlp_toxicity.views import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jnlp_toxicity.matcher import Match

CATEGORIES = ("insult", "discrimination", "sexual", "violence", "harassment")
SIGNS = frozenset({"self-harm"})
"""Categories that are flagged, and make no text toxic unless `--thresholds` names them: signs that help is needed."""

LEVELS = ("strict", "normal", "lenient")
SHIPPED, TRAINED = "decision.json", "toxicity.json"
"""The decision that ships, and what `jnlp train toxicity` writes into a model folder."""

_SEVERE = 0.9
_ENOUGH = 16
"""Characters from which the model's word counts in full: of a word or two it knows little."""

_SHORT = 60
"""Characters of a text that is not short: in a long one a severe word may be a line of a story."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The constant, the weight of each feature, and the score from which each level calls a text toxic."""

    bias: float
    features: Mapping[str, float]
    levels: Mapping[str, float]

    def logit(self, features: Mapping[str, float], /) -> float:
        """Return the log-odds of features; those without a weight count for nothing."""
        return self.bias + sum(self.features.get(name, 0.0) * value for name, value in features.items())


def by_category(matches: Sequence[Match], /) -> dict[str, float]:
    """Return 1 - ∏(1 - severity) over the distinct words of each category."""
    if not matches:
        return {}
    words: dict[str, dict[str, float]] = {}
    for match in matches:
        words.setdefault(match.entry.category, {})[match.entry.word] = match.entry.severity
    return {category: noisy_or(found.values()) for category, found in sorted(words.items())}


def features(
    text: str,
    meant: Sequence[Match],
    passed: int,
    grams: float,
    model: float | None = None,
    vectors: float | None = None,
    /,
) -> dict[str, float]:
    """Return the features of a text.

    Args:
        text: The text.
        meant: The words found that are meant.
        passed: How many more were found that are not.
        grams: The log-odds of the n-grams.
        model: The log-odds of the model, if one was asked.
        vectors: The log-odds by the text's vector, if it was made.
    """
    categories = by_category(meant)
    words = {match.entry.word for match in meant}
    found = {f"list {name}": categories.get(name, 0.0) for name in CATEGORIES}
    found["severe"] = float(any(match.entry.severity >= _SEVERE for match in meant))
    short = max(0.0, 1.0 - len(text) / _SHORT)
    found["severe in short"] = short * found["severe"]
    found["words in short"] = short * bool(meant)
    found["several"] = min(2.0, max(0, len(words) - 1))
    found["disguised"] = float(any(match.kind is not Kind.PLAIN or match.entry.disguised for match in meant))
    found["passed"] = float(passed > 0)
    found["addressed"] = float(ADDRESS.search(text) is not None)
    found["grams"] = _clipped(grams)
    found["grams and words"] = _clipped(grams) * bool(meant)
    found["grams doubt words"] = min(0.0, _clipped(grams)) * bool(meant)
    found["length"] = math.log2(1 + len(text) / 40)
    if model is not None:
        found["model"] = _clipped(model) * min(1.0, len(text) / _ENOUGH)
        found["model and words"] = found["model"] * bool(meant)
    if vectors is not None:
        found["vectors"] = _clipped(vectors)
        found["vectors and words"] = _clipped(vectors) * bool(meant)
    return found


@cache
def load(folder: Path | None = None, /) -> Decision:
    """Return the decision of a model folder, or the one that ships.

    Raises:
        JnlpError: The folder's is damaged.
    """
    path = Path(__file__).parent / SHIPPED if folder is None else folder / TRAINED
    try:
        stored = json.loads(path.read_text("utf-8"))
        return Decision(stored["bias"], stored["features"], {name: stored["levels"][name] for name in LEVELS})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JnlpError(f"{path} is damaged ({error})", hint="train it again: jnlp train toxicity") from error


def probability(logit: float, /) -> float:
    """Return the probability of log-odds."""
    return 1.0 / (1.0 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1.0 + math.exp(logit))


def log_odds(chance: float, /) -> float:
    """Return the log-odds of a probability, within ±20."""
    chance = min(max(chance, 2e-9), 1 - 2e-9)
    return math.log(chance / (1 - chance))


def _clipped(value: float) -> float:
    return max(-6.0, min(6.0, value))
