"""Measurements of a model's masked-LM head as it is, without training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jnlp.errors import JnlpError
from jnlp_evaluate.masked import cloze
from jnlp_evaluate.masked.needle import TRIALS, needle
from jnlp_evaluate.masked.passages import cut
from jnlp_evaluate.masked.scores import masked_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Example, Models

PASSAGES = 50
"""Passages that are read for a pseudo-perplexity without `--limit`: each is read many times."""

MASKED, SPARSE = 7, 32
"""Every seventh token masked together for accuracy, about the 15 % of BERT; every 32nd for pseudo-perplexity."""


def cloze_test(models: Models, examples: Sequence[Example], limit: int | None, /) -> dict[str, float]:
    """Return how often the first guess, and one of five, is right: of all items, and of each kind."""
    items = cloze.read_items()[:limit]
    table = cloze.table(cloze.by_model(models.masked_lm(None), items))
    kinds = {f"{name}_{kind}": row[name] for kind, row in table.items() for name in ("top1", "top5")}
    return table["all"] | {name.replace(" ", "_"): value for name, value in kinds.items() if "_all" not in name}


def perplexity(models: Models, examples: Sequence[Example], limit: int | None, /) -> dict[str, float]:
    """Return the pseudo-perplexity per character, and the masked accuracy, of passages of the texts."""
    model = models.masked_lm(None)
    passages = [passage for example in examples for passage in cut(str(example.text))]
    if not passages:
        raise JnlpError("no text has 50 characters or more", hint="give longer texts in perplexity/test.jsonl")
    most = min(limit or PASSAGES, len(passages))
    chosen = [passages[number] for number in np.linspace(0, len(passages) - 1, most).astype(int).tolist()]
    dense, sparse = (masked_scores(model, chosen, every=every) for every in (MASKED, SPARSE))
    return {
        "pseudo_perplexity": sparse.perplexity,
        "accuracy": dense.accuracy,
        "top5": dense.top5,
        "characters": float(dense.characters),
        "tokens": float(dense.tokens),
    }


def needle_test(models: Models, examples: Sequence[Example], limit: int | None, /) -> dict[str, float]:
    """Return how often a word said once is recalled: the mean over lengths that the model reads, and of each length.

    `unsaid` scores are of the same texts without the word: what a guess is worth.
    """
    texts = [str(example.text) for example in examples]
    found = needle(models.masked_lm(None), texts, trials=min(limit or TRIALS, TRIALS))
    if not found:
        raise JnlpError("the texts together have less than 128 tokens", hint="give more in perplexity/test.jsonl")
    by_length = {f"{name}@{length}": row[name] for length, row in found.items() for name in ("top1", "unsaid_top1")}
    means = {name: float(np.mean([row[name] for row in found.values()])) for name in ("top1", "top5")}
    return means | by_length | {"lengths": float(len(found))}
