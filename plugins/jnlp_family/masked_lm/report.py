"""All scores of one masked LM as JSON values: `scores.json`."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from jnlp_evaluate.masked import cloze
from jnlp_evaluate.masked.needle import TRIALS, needle
from jnlp_evaluate.masked.scores import masked_scores
from jnlp_family.masked_lm import guesses as baselines
from jnlp_family.masked_lm.ngram import ORDER, CharacterNGram
from jnlp_family.masked_lm.texts import read_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from jnlp.types import MaskedLM
    from jnlp_evaluate.masked.cloze import Answer
    from jnlp_family.masked_lm.texts import Texts
    from jnlp_pretrain.recipe import Recipe

HELD_OUT = 15_000
"""Characters of each source that a model is measured on."""

TRAINING = 40_000_000
"""Characters that the n-gram is trained on."""

COUNTED = 2_000_000
"""Characters that pieces are counted on, for the most frequent."""

MASKED, SPARSE = 7, 32
"""Every seventh token masked together for accuracy, about the 15 % of BERT; every 32nd for pseudo-perplexity."""

WEATHER = "おはようございます、今日の天気は<mask>です。"


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is measured; smaller is quicker and less exact.

    Args:
        held_out: Characters of each source that the model is scored on.
        training: Characters that the n-gram is trained on; 0 leaves the baselines out.
        sparse: Every how many tokens one is masked for pseudo-perplexity.
        trials: Of the needle test, for each length.
    """

    held_out: int = HELD_OUT
    training: int = TRAINING
    sparse: int = SPARSE
    trials: int = TRIALS


@dataclass(frozen=True, slots=True)
class Measured:
    """A model to measure.

    Args:
        model: As it is.
        far: The same model with its maximum length raised to `needle.LENGTHS`, beyond its training lengths.
    """

    model: MaskedLM
    far: MaskedLM


def measure(
    model: Measured,
    recipe: Recipe,
    data: Path,
    /,
    *,
    stages: Mapping[str, Measured] | None = None,
    amount: Amount | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure a masked LM and the baselines on held-out text, the cloze test and the needle test.

    Args:
        model: The model.
        recipe: The recipe that defines the held-out documents.
        data: The folder of its corpus.
        stages: Models of earlier stages by name, to show what each stage gained.
        amount: How much to measure.
        say: Called with a line for each step.
    """
    amount = amount or Amount()
    say("reading the corpus")
    texts = read_texts(recipe, data, held_out=amount.held_out, training=amount.training)
    report: dict[str, Any] = {"model": "masked-lm", "recipe": recipe.name, **_score(model, texts, amount, say)}
    report["length"] = model.model.max_length
    report["weather"] = _first_five(model.model)
    report["stages"] = {}
    for name, stage in (stages or {}).items():
        say(f"{name}:")
        report["stages"][name] = _score(stage, texts, amount, say)
    if amount.training:
        report["baselines"] = _baselines(model.model, texts, report, say)
    report["measured_with"] = {
        "jnlp": version("jnlp"),
        "torch": version("torch"),
        "python": platform.python_version(),
        "recipe": recipe.digest(),
        **asdict(amount),
    }
    return report


def _score(measured: Measured, texts: Texts, amount: Amount, say: Callable[[str], None]) -> dict[str, Any]:
    held_out = _score_texts(measured.model, texts, amount.sparse, say)
    say("cloze")
    answers = cloze.by_model(measured.model, cloze.read_items())
    say("needle")
    passages = [passage for passages in texts.passages.values() for passage in passages]
    found = needle(measured.far, passages, trials=amount.trials)
    return {"held_out": held_out, "cloze": {"model": cloze.table(answers)}, "needle": found}


def _score_texts(model: MaskedLM, texts: Texts, every: int, say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for kind, passages in sorted(texts.passages.items()):
        say(f"held-out {kind}")
        dense = masked_scores(model, passages, every=MASKED)
        sparse = masked_scores(model, passages, every=every)
        found[kind] = {
            "characters": dense.characters,
            "tokens": dense.tokens,
            "accuracy": dense.accuracy,
            "top5": dense.top5,
            "pseudo_perplexity": sparse.perplexity,
        }
    return found


def _baselines(model: MaskedLM, texts: Texts, report: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    say(f"{ORDER}-gram of {sum(map(len, texts.training)):,} characters")
    ngram = CharacterNGram.train(texts.training)
    for kind, passages in texts.passages.items():
        report["held_out"][kind]["ngram_perplexity"] = ngram.perplexity(passages)
    say("cloze of the baselines")
    items, tokenizer = cloze.read_items(), model.tokenizer
    counts = baselines.piece_counts(tokenizer, _sample(texts.training))
    for kind, passages in texts.passages.items():
        share = _first_piece_share(counts, baselines.piece_counts(tokenizer, passages))
        report["held_out"][kind]["frequent_accuracy"] = share
    guesses: dict[str, list[Answer]] = {
        "ngram": baselines.by_ngram(ngram, tokenizer, items),
        "frequent": baselines.by_frequency(counts, tokenizer, items, scripts=False),
        "frequent_by_script": baselines.by_frequency(counts, tokenizer, items, scripts=True),
    }
    report["cloze"] |= {name: cloze.table(answers) for name, answers in guesses.items()}
    return {"order": ORDER, "characters": ngram.characters, "alphabet": ngram.size}


def _sample(texts: Sequence[str]) -> list[str]:
    """Return an even choice of documents, `COUNTED` characters of them."""
    step = max(1, sum(map(len, texts)) // COUNTED)
    return [text[:10_000] for text in texts[::step]]


def _first_piece_share(counts: Any, held_out: Any) -> float:
    """Return the accuracy of always guessing the commonest piece."""
    return float(held_out[counts.argmax()] / max(1, held_out.sum()))


def _first_five(model: MaskedLM) -> list[str]:
    item = cloze.Item("example", True, WEATHER, ())
    return list(cloze.by_model(model, [item])[0].five)
