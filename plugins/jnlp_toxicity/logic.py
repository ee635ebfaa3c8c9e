"""Scores texts by word lists and a classifier, and says where and why.

score = 1 - ∏(1 - c) over the categories' c: a list's category has c = 1 - ∏(1 - severity) over its distinct words, and
`model` has the classifier's probability for the worst window: each sign alone can convict, none can acquit.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp_toxicity.context import Use, use_of
from jnlp_toxicity.lexicon import load, noisy_or
from jnlp_toxicity.matcher import find
from jnlp_toxicity.spec import Span, Toxicity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Apply, Classifier, Logits, Models, ModelSpec, Text
    from jnlp_toxicity.lexicon import Lexicon
    from jnlp_toxicity.matcher import Match
    from jnlp_toxicity.spec import ToxicityOptions

MODEL = "model"
_TOXIC = frozenset({"toxic", "有害", "offensive", "hate", "abusive", "insult", "1", "label_1"})
_CLEAN = frozenset({"clean", "benign", "neutral", "normal", "none", "無害", "non-toxic", "not toxic", "0"})
_WIDTH = 60


def make(models: Models, options: ToxicityOptions, /) -> Apply[Toxicity]:
    """Return the function that scores texts.

    Raises:
        JnlpError: A list that cannot be read, or a classifier whose labels do not say which is toxic.
    """
    lexicon = load(options.lists, options.allow)
    if options.rules_only:
        return lambda texts: [judge(text, meant(text, lexicon), None, options) for text in map(_plain, texts)]
    return screen(models.classifier(None), lexicon, options)


def screen(classifier: Classifier, lexicon: Lexicon, options: ToxicityOptions, /) -> Apply[Toxicity]:
    """Return the function that scores texts by a classifier and a lexicon.

    Raises:
        JnlpError: The classifier's labels do not say which is toxic.
    """
    positive = toxic_labels(classifier.labels)

    def apply(texts: Sequence[Text], /) -> list[Toxicity]:
        plain = [_plain(text) for text in texts]
        worst = worst_windows(classifier.logits(plain), positive)
        return [
            judge(text, find(text, lexicon), window if _speaks(text) else None, options)
            for text, window in zip(plain, worst, strict=True)
        ]

    return apply


def meant(text: str, lexicon: Lexicon, /) -> list[Match]:
    """Return the matches that are meant where they stand."""
    return [match for match in find(text, lexicon) if use_of(text, match) is Use.MEANT]


def worst_windows(logits: Logits, positive: Sequence[int], /) -> list[tuple[float, Span]]:
    """Return each text's highest toxic probability among its windows and labels, and the window that has it."""
    from jnlp.encoder.windows import max_positive

    scores, windows = max_positive(logits)
    found = []
    for row, window in zip(scores, windows, strict=True):
        label = max(positive, key=lambda index: row[index])
        start, end = logits.spans[window[label]].tolist()
        found.append((float(row[label]), Span(start, end, MODEL)))
    return found


def judge(
    text: str, matches: Sequence[Match], window: tuple[float, Span] | None, options: ToxicityOptions, /
) -> Toxicity:
    """Return the verdict on one text from the words found and the model's worst window."""
    categories = by_category(matches)
    spans = [Span(match.start, match.end, match.entry.category) for match in matches]
    if window is not None:
        categories[MODEL], span = window
        if window[0] >= options.threshold and span.end > span.start:
            spans.append(span)
    score = noisy_or(categories.values())
    ordered = sorted(spans, key=lambda span: (span.start, span.end))
    return Toxicity(score >= options.threshold, score, categories, tuple(ordered))


def by_category(matches: Sequence[Match], /) -> dict[str, float]:
    """Return 1 - ∏(1 - severity) over the distinct words of each category."""
    words: dict[str, dict[str, float]] = defaultdict(dict)
    for match in matches:
        words[match.entry.category][match.entry.word] = match.entry.severity
    return {category: noisy_or(found.values()) for category, found in sorted(words.items())}


def toxic_labels(labels: Sequence[str], /) -> list[int]:
    """Return which labels of a classifier mean toxic: all but those named clean, else those named toxic.

    An only label is taken for it.

    Raises:
        JnlpError: The labels do not say.
    """
    names = [label.lower() for label in labels]
    if len(names) == 1:
        return [0]
    found = [index for index, name in enumerate(names) if name not in _CLEAN]
    if len(found) == len(names):
        found = [index for index, name in enumerate(names) if name in _TOXIC]
    if not found:
        raise JnlpError(
            f"the model's labels do not say which is toxic: {', '.join(labels)}",
            hint="train with the labels 'clean' and 'toxic', or use --rules-only",
        )
    return found


def drop(result: Toxicity, options: ToxicityOptions, /) -> str | None:
    """Return why `--drop` leaves a text out, or None to keep it."""
    if not (options.drop and result.toxic):
        return None
    reasons = sorted(result.categories, key=lambda name: -result.categories[name])
    return f"toxic {result.score:.3f}: {', '.join(reasons)}"


def keys(options: ToxicityOptions, _model: ModelSpec, /) -> dict[str, tuple[str, ...]]:
    """Return the categories that a text can have, which are columns of a table."""
    found = load(options.lists, options.allow).categories
    return {"categories": found if options.rules_only else (*found, MODEL)}


def rows(text: Text, result: Toxicity, /) -> list[dict[str, object]]:
    """Return the table row of one text: the verdict, the score and what was found."""
    text = _plain(text)
    found = [f"{text[span.start : span.end]} ({span.reason})" for span in result.spans if span.reason != MODEL]
    if MODEL in result.categories:
        found.append(f"model {result.categories[MODEL]:.2f}")
    row: dict[str, object] = {
        "text": text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…",
        "toxic": "yes" if result.toxic else "no",
        "score": f"{result.score:.3f}",
        "why": "  ".join(found),
    }
    return [row]


def _speaks(text: str) -> bool:
    """Return whether a text has a letter or a number: of emoji and marks alone a model of words knows nothing."""
    return any(character.isalnum() for character in text)


def _plain(text: Text) -> str:
    return text if isinstance(text, str) else "\n".join(text)
