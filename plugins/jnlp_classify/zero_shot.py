"""Labels texts without training: by entailment if the model supports it, else by the embeddings of the labels.

By embeddings: with e(·) the embedding for topics at unit length and u(·) the scaling to unit length, a label l is
p(l) = u(Σ_t e(t(l))) over its templates t. All embeddings of a model share a large common component without
information. So texts are centred on the mean m of a few neutral sentences, labels on their own mean c, and

    score(l | x) = softmax_l( cos(e(x) - m, p(l) - c) / temperature )

A single label has nothing to be compared with, so it is put among common topics, and

    score(l | x) = sigmoid( (cos(l) - mean of the three largest cos(topic)) / temperature )

By entailment: softmax over the labels of the logit that the text entails "これはlに関する文章です。"; with one label
the model's own probability of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jnlp.encoder.vectors import unit
from jnlp.encoder.windows import mean_logits, probabilities
from jnlp.errors import JnlpError, UsageError
from jnlp.types import ProblemType, Purpose
from jnlp_classify.ranking import entailment_label, rank_labels
from jnlp_classify.spec import TEMPLATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Apply, Classifier, Embedder, FloatArray, Models, Text
    from jnlp_classify.spec import Classified, ClassifyOptions

NEUTRAL = (
    "これは文章です。",
    "今日はこのことについて書きます。",
    "次のように述べている。",
    "それはそうかもしれません。",
    "いくつかの点を説明する。",
    "詳しくは以下のとおりです。",
    "そして、しばらく時間がたった。",
    "皆さんはどう思いますか。",
)
"""Neutral sentences, for the common component of all texts."""

TOPICS = (
    "経済",
    "政治",
    "スポーツ",
    "料理",
    "天気",
    "音楽",
    "旅行",
    "健康",
    "教育",
    "技術",
    "家族",
    "法律",
    "買い物",
    "動物",
    "仕事",
    "歴史",
)
"""What a single label is compared with."""

_NEAREST = 3  # topics
_SEPARATORS = ",、， \t\u3000"


def make_zero_shot(models: Models, options: ClassifyOptions, /) -> Apply[Classified]:
    """Return the function that labels texts by `options.labels` alone.

    Raises:
        UsageError: A label twice or without a text, or a template without `{label}`.
    """
    if any(not label.strip(_SEPARATORS) for label in options.labels):
        raise UsageError("--labels names no label", hint="--labels 経済,スポーツ,芸能")
    if len(set(options.labels)) < len(options.labels):
        raise UsageError(f"a label is repeated in {','.join(options.labels)}", hint="name each label once")
    if options.template is not None and "{label}" not in options.template:
        raise UsageError(f"the template '{options.template}' has no {{label}}", hint="e.g. これは{label}の話です。")
    judge = entailment_judge(models)
    if judge is not None:
        return lambda texts: by_entailment(*judge, texts, options)
    return ByEmbedding(models.embedder(None), options)


def entailment_judge(models: Models, /) -> tuple[Classifier, int] | None:
    """Return the model as a judge of entailment, with the place of that label; None if it is no such model."""
    try:
        classifier = models.classifier(None)
    except JnlpError:  # it has no classifier, so its embeddings are asked for; what else is wrong shows there
        return None
    place = entailment_label(classifier.labels)
    return None if place is None else (classifier, place)


def by_entailment(
    classifier: Classifier, place: int, texts: Sequence[Text], options: ClassifyOptions, /
) -> list[Classified]:
    """Label texts by how much each entails the hypothesis that it is about the label."""
    template = options.template or TEMPLATES[1]
    # Premise first, as NLI models are trained; of a text over half the model's length the encoder counts what is cut.
    pairs: list[Text] = [(_plain(text), _apply_template(template, label)) for text in texts for label in options.labels]
    judged = mean_logits(classifier.logits(pairs))
    if len(options.labels) == 1:
        scores = probabilities(judged, classifier.problem_type)[:, [place]]
    else:
        entailed = judged[:, place].reshape(len(texts), len(options.labels))
        scores = probabilities(entailed, ProblemType.SINGLE_LABEL)
    return [rank_labels(options.labels, row, options.top) for row in scores]


class ByEmbedding:
    """Labels texts by the cosine between their embeddings and those of the labels."""

    def __init__(self, embedder: Embedder, options: ClassifyOptions, /) -> None:
        self.embedder = embedder
        self.options = options
        self.common = self._embed(NEUTRAL).mean(axis=0)
        templates = (options.template,) if options.template else TEMPLATES
        alone = len(options.labels) == 1
        labels = (
            [*options.labels, *(topic for topic in TOPICS if topic not in options.labels)] if alone else options.labels
        )
        prompts = [_apply_template(template, label) for label in labels for template in templates]
        means = unit(self._embed(prompts).reshape(len(labels), len(templates), -1).mean(axis=1))
        self.labels = unit(means - means.mean(axis=0))

    def __call__(self, texts: Sequence[Text], /) -> list[Classified]:
        """Label texts; the scores of one do not depend on the others."""
        cosines = unit(self._embed([_plain(text) for text in texts]) - self.common) @ self.labels.T
        if len(self.options.labels) == 1:
            nearest = np.sort(cosines[:, 1:], axis=1)[:, -_NEAREST:].mean(axis=1, keepdims=True)
            cosines = cosines[:, :1] - nearest
        scaled = (cosines / self.options.temperature).astype(np.float32)
        scores = probabilities(scaled, ProblemType.SINGLE_LABEL)
        return [rank_labels(self.options.labels, row, self.options.top) for row in scores]

    def _embed(self, texts: Sequence[str]) -> FloatArray:
        return unit(self.embedder.embed(texts, purpose=Purpose.TOPIC).vectors)


def _apply_template(template: str, label: str) -> str:
    """Put a label into a template, in which other braces are text."""
    return template.replace("{label}", label)


def _plain(text: Text) -> str:
    return text if isinstance(text, str) else "\n".join(text)
