"""A model as a value: its name, where it comes from, what it can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Purpose(StrEnum):
    """The purpose of an embedding; the model's spec has the prefix for it.

    Example:
        >>> nlp.specs()["ruri-v3-130m"].prefixes[jnlp.Purpose.QUERY]
        '検索クエリ: '
    """

    QUERY = "query"
    DOCUMENT = "document"
    TOPIC = "topic"
    SIMILARITY = "similarity"


class Overflow(StrEnum):
    """What to do with a text longer than the model: read overlapping windows, cut and count, or raise an error.

    Example:
        >>> jnlp.load(on_overflow="truncate").settings.on_overflow is jnlp.Overflow.TRUNCATE
        True
    """

    WINDOW = "window"
    TRUNCATE = "truncate"
    ERROR = "error"


class Pooling(StrEnum):
    """How token states become one vector: the mean over all tokens, prefix included, or the first token's state.

    Example:
        >>> nlp.specs()["ruri-v3-130m"].pooling is jnlp.Pooling.MEAN
        True
    """

    MEAN = "mean"
    CLS = "cls"


class Head(StrEnum):
    """A head of a checkpoint.

    Example:
        >>> jnlp.Head.MASKED_LM in nlp.resolve("tiny").spec.heads
        True
    """

    EMBEDDING = "embedding"
    MASKED_LM = "masked-lm"
    CLASSIFIER = "classifier"


class ProblemType(StrEnum):
    """How a classifier's logits become probabilities: softmax, sigmoid per label, or the value itself.

    Example:
        >>> nlp.resolve("tiny-toxicity").spec.problem_type is jnlp.ProblemType.SINGLE_LABEL
        True
    """

    SINGLE_LABEL = "single_label_classification"
    MULTI_LABEL = "multi_label_classification"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True)
class SearchScores:
    """An embedder's scores in search together with full text, measured on held-out questions: `search.json`.

    Args:
        dense_weight: The share of its cosines in a hybrid ranking that ranks best, from 0 to 1.
        hybrid, dense: The weights of the logistic function that turns a hit of this retriever into the share of
            questions for which such a hit was right, in the order of `jnlp_search.query.scores.FEATURES`: those for an
            index of one passage, then those for a thousand; or once, for any size.
        int8: Passages embedded in int8 rank as well as in full precision.
    """

    dense_weight: float
    hybrid: tuple[float, ...] = ()
    dense: tuple[float, ...] = ()
    int8: bool = False


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model by name: where it comes from, what it can do, how its embeddings are made.

    Args:
        name: The name that users type.
        summary: One line for `jnlp models`.
        repo: The Hugging Face hub id; None for a model that is a folder.
        revision: The hub revision to load.
        architecture: `modernbert` runs on jnlp's encoder, anything else through transformers.
        heads: The heads of the checkpoint.
        pooling: How its embeddings are pooled.
        prefixes: The prefix of a text, by purpose.
        max_length: The longest input in tokens, special tokens included.
        licence: SPDX identifier of the weights.
        parameters: The number of weights.
        size: Bytes to download.
        labels: A classifier's labels in the order of its logits.
        problem_type: How a classifier's logits are read.
        builtin: The folder below `jnlp/models/builtin` when the model ships with jnlp.
        larger: For a built-in model, the name of a larger model for the same work.
        search: How well it searches, where that was measured.

    Example:
        >>> spec = nlp.specs()["130m"]
        >>> spec.repo, spec.max_length
        ('sbintuitions/modernbert-ja-130m', 8192)
    """

    name: str
    summary: str = ""
    repo: str | None = None
    revision: str | None = None
    architecture: str = "modernbert"
    heads: tuple[Head, ...] = (Head.EMBEDDING,)
    pooling: Pooling = Pooling.MEAN
    prefixes: Mapping[Purpose, str] = field(default_factory=dict)
    max_length: int = 8192
    licence: str | None = None
    parameters: int | None = None
    size: int | None = None
    labels: tuple[str, ...] = ()
    problem_type: ProblemType | None = None
    builtin: str | None = None
    larger: str | None = None
    search: SearchScores | None = None
