"""Scores texts by word lists, n-grams and a classifier, and says where and why.

With the built-in model the score is the decision over all evidence (`decision.py`). With another classifier, or the
lists alone, score = 1 - ∏(1 - c) over the categories' c: a list's category has c = 1 - ∏(1 - severity) over its
distinct words, and `model` has the classifier's probability for the worst window.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError, UsageError
from jnlp.terminal import listed
from jnlp_toxicity import decision
from jnlp_toxicity.context import Use, use_of
from jnlp_toxicity.decision import SIGNS, by_category
from jnlp_toxicity.lexicon import load, noisy_or
from jnlp_toxicity.masking import mask_spans
from jnlp_toxicity.matcher import find
from jnlp_toxicity.spec import Level, MaskedToxicity, Span, Toxicity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from jnlp.types import Apply, Classifier, Embedder, Logits, Models, ModelSpec, Text
    from jnlp_toxicity.lexicon import Lexicon
    from jnlp_toxicity.matcher import Match
    from jnlp_toxicity.spec import ToxicityOptions

MODEL, GRAMS, VECTORS = "model", "n-grams", "vectors"
VECTORS_BY = "tiny-search"
BUILTIN = "tiny-toxicity"
_LEVELS = {Level.STRICT: 0.25, Level.NORMAL: 0.5, Level.LENIENT: 0.85}
"""The thresholds of the lists alone and of models of one's own."""

TOXIC = frozenset({"toxic", "有害", "offensive", "hate", "abusive", "insult", "1", "label_1"})
CLEAN = frozenset({"clean", "benign", "neutral", "normal", "none", "無害", "non-toxic", "not toxic", "0"})
_WIDTH = 60


def make(models: Models, options: ToxicityOptions, /) -> Apply[Toxicity]:
    """Return the function that scores texts.

    Raises:
        JnlpError: A list that cannot be read, or a classifier whose labels do not say which is toxic.
        UsageError: Options that exclude each other, or a threshold of no category.
    """
    check(options)
    lexicon = load(options.words, options.allow)
    limits = category_thresholds(options, lexicon)
    if options.rules_only:
        return lambda texts: [
            judge(text, split_matches(text, lexicon, limits)[0], None, options) for text in map(_plain, texts)
        ]
    classifier = models.classifier(None)
    return screen(classifier, lexicon, options, models.embedder(VECTORS_BY) if decides(classifier) else None)


def check(options: ToxicityOptions, /) -> None:
    """Raise UsageError where options exclude each other."""
    chosen = [f"--{name}" for name in ("flag", "drop", "mask") if getattr(options, name)]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} exclude each other", hint="give one of them")
    if not options.mask_with:
        raise UsageError("--mask-with is empty", hint="give a character, or a text such as [削除]")


def decides(classifier: Classifier, /) -> bool:
    """Return whether a classifier has a decision: the built-in one, and those that `jnlp train toxicity` made."""
    return getattr(classifier, "builtin", "") == BUILTIN or trained_folder(classifier) is not None


def trained_folder(classifier: Classifier, /) -> Path | None:
    """Return the folder of a classifier that `jnlp train toxicity` made, or None."""
    folder: Path | None = getattr(classifier, "folder", None)
    return folder if folder is not None and (folder / decision.TRAINED).is_file() else None


def screen(
    classifier: Classifier, lexicon: Lexicon, options: ToxicityOptions, embedder: Embedder | None = None, /
) -> Apply[Toxicity]:
    """Return the function that scores texts by a classifier and a lexicon.

    Args:
        classifier: It may have a decision; without one its probability is joined with the lists by noisy-or.
        lexicon: The lists.
        options: The options.
        embedder: Makes the vectors for the decision; None: it does without.

    Raises:
        JnlpError: The classifier's labels do not say which is toxic, or its decision is damaged.
    """
    positive = toxic_labels(classifier.labels)
    limits = category_thresholds(options, lexicon)
    whole, folder = decides(classifier), trained_folder(classifier)

    def apply(texts: Sequence[Text], /) -> list[Toxicity]:
        plain = [_plain(text) for text in texts]
        worst = worst_windows(classifier.logits(plain), positive)
        vectors = embedder.embed(plain).vectors if whole and embedder is not None else [None] * len(plain)
        found = []
        for text, window, vector in zip(plain, worst, vectors, strict=True):
            meant, passed = split_matches(text, lexicon, limits)
            if whole and _speaks(text):
                found.append(decide(text, meant, passed, window, options, vector, folder))
            else:
                found.append(judge(text, meant, window if _speaks(text) else None, options))
        return _with_clauses(plain, found, classifier, positive, options) if whole else found

    return apply


def split_matches(text: str, lexicon: Lexicon, limits: Mapping[str, float] | None = None, /) -> tuple[list[Match], int]:
    """Return the words found that are meant and of a category that counts, and how many more are not meant."""
    matches = find(text, lexicon)
    meant = [match for match in matches if use_of(text, match) is Use.MEANT]
    passed = len(matches) - len(meant)
    if limits:
        strengths = by_category(meant)
        meant = [m for m in meant if strengths[m.entry.category] >= limits.get(m.entry.category, 0.0)]
    return meant, passed


def category_thresholds(options: ToxicityOptions, lexicon: Lexicon, /) -> dict[str, float]:
    """Return the strength from which each named category counts; over 1 where it is off.

    Raises:
        UsageError: What is no `CATEGORY=NUMBER`, or no category of the lists.
    """
    found = {}
    for item in options.thresholds:
        name, _, value = (part.strip() for part in item.partition("="))
        if name not in lexicon.categories:
            raise UsageError(f"no category {name!r}", hint=f"categories are {', '.join(lexicon.categories)}")
        try:
            found[name] = 2.0 if value == "off" else float(value)
        except ValueError:
            raise UsageError(f"--thresholds {item}: not a number", hint="insult=0.5, or insult=off") from None
    return found


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
    """Return the verdict on one text from the words found and the model's worst window, joined by noisy-or."""
    counting, signs = _apart(matches, options)
    categories = by_category(counting)
    limit = _LEVELS[options.level] if options.threshold is None else options.threshold
    spans = [Span(match.start, match.end, match.entry.category) for match in matches]
    if window is not None:
        categories[MODEL], span = window
        if window[0] >= limit and span.end > span.start:
            spans.append(span)
    score = noisy_or(categories.values())
    grade = sum(score >= reached for reached in _LEVELS.values())
    return _verdict(text, (score, limit, grade), {**categories, **by_category(signs)}, spans, options)


def _apart(matches: Sequence[Match], options: ToxicityOptions) -> tuple[list[Match], list[Match]]:
    """Return the matches that count, and those that are only signs (self-harm)."""
    if not matches:
        return [], []
    named = {item.partition("=")[0].strip() for item in options.thresholds}
    signs = [match for match in matches if match.entry.category in SIGNS - named]
    return [match for match in matches if match.entry.category not in SIGNS - named], signs


def decide(
    text: str,
    meant: Sequence[Match],
    passed: int,
    window: tuple[float, Span],
    options: ToxicityOptions,
    vector: NDArray[np.float32] | None = None,
    folder: Path | None = None,
    /,
) -> Toxicity:
    """Return the verdict on one text from all evidence, by the decision of a folder or the one that ships."""
    from jnlp_toxicity import grams

    fitted, model = decision.load(folder), grams.load(folder)
    by_grams, start, end = model.worst(text)
    by_vector = None if vector is None else model.by_vector(vector)
    counting, _ = _apart(meant, options)
    evidence = decision.features(text, counting, passed, by_grams, decision.log_odds(window[0]), by_vector)
    own = {name: c for name, c in by_category(counting).items() if name not in decision.CATEGORIES}
    score = noisy_or([decision.probability(fitted.logit(evidence)), *own.values()])
    limit = fitted.levels[options.level.value] if options.threshold is None else options.threshold
    categories = {**by_category(meant), GRAMS: decision.probability(by_grams), MODEL: window[0]}
    if by_vector is not None:
        categories[VECTORS] = decision.probability(by_vector)
    spans = [Span(match.start, match.end, match.entry.category) for match in meant]
    if score >= limit:
        signs = [(by_grams, Span(start, end, GRAMS)), (decision.log_odds(window[0]), window[1])]
        carry = [sign for sign in signs if sign[0] > 0 and sign[1].end > sign[1].start]
        spans += [span for _, span in carry or ([] if counting else [max(signs, key=lambda sign: sign[0])])]
    grade = sum(score >= reached for reached in fitted.levels.values())
    return _verdict(text, (score, limit, grade), categories, spans, options)


def _verdict(
    text: str,
    reached: tuple[float, float, int],
    categories: Mapping[str, float],
    spans: Sequence[Span],
    options: ToxicityOptions,
) -> Toxicity:
    score, limit, grade = reached
    toxic = score >= limit
    ordered = tuple(sorted(spans, key=lambda span: (span.start, span.end)))
    if not options.mask:
        return Toxicity(toxic, score, grade, limit, categories, ordered)
    return MaskedToxicity(toxic, score, grade, limit, categories, ordered, _masked(text, toxic, ordered, options))


def _masked(text: str, toxic: bool, spans: Sequence[Span], options: ToxicityOptions) -> str:
    """Return the text with its words masked if it is toxic, and where no word was found the part that carries it."""
    if not toxic:
        return text
    words = [span for span in spans if span.reason not in (MODEL, GRAMS, *SIGNS)]
    return mask_spans(
        text, [(span.start, span.end) for span in words or spans if span.reason not in SIGNS], options.mask_with
    )


def _with_clauses(
    texts: Sequence[str],
    results: list[Toxicity],
    classifier: Classifier,
    positive: Sequence[int],
    options: ToxicityOptions,
) -> list[Toxicity]:
    """Narrow the model's spans to the sentence that it finds worst."""
    from jnlp_toxicity import grams

    asked: list[tuple[int, Span, tuple[int, int]]] = []
    for number, result in enumerate(results):
        for span in result.spans:
            parts = grams.pieces(texts[number][span.start : span.end]) if span.reason == MODEL else []
            asked += [(number, span, (span.start + a, span.start + b)) for a, b in parts if len(parts) > 1]
    if not asked:
        return results
    chances = worst_windows(classifier.logits([texts[n][a:b] for n, _, (a, b) in asked]), positive)
    best: dict[tuple[int, Span], tuple[float, Span]] = {}
    for (number, span, (start, end)), (chance, _) in zip(asked, chances, strict=True):
        best[number, span] = max(best.get((number, span), (-1.0, span)), (chance, Span(start, end, MODEL)), key=_first)
    for number in {number for number, *_ in asked}:
        old = results[number]
        spans = [best[number, span][1] if (number, span) in best else span for span in old.spans]
        results[number] = _verdict(texts[number], (old.score, old.threshold, old.grade), old.categories, spans, options)
    return results


def _first(item: tuple[float, Span]) -> float:
    return item[0]


def toxic_labels(labels: Sequence[str], /) -> list[int]:
    """Return which labels of a classifier mean toxic: all but those named clean, else those named toxic.

    An only label is taken for it.

    Raises:
        JnlpError: The labels do not say.
    """
    names = [label.lower() for label in labels]
    if len(names) == 1:
        return [0]
    found = [index for index, name in enumerate(names) if name not in CLEAN]
    if len(found) == len(names):
        found = [index for index, name in enumerate(names) if name in TOXIC]
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


def keys(options: ToxicityOptions, model: ModelSpec, /) -> dict[str, tuple[str, ...]]:
    """Return the categories that a text can have, which are columns of a table."""
    found = load(options.words, options.allow).categories
    if options.rules_only:
        return {"categories": found}
    whole = model.builtin == BUILTIN or (Path(model.name) / decision.TRAINED).is_file()
    return {"categories": (*found, GRAMS, MODEL, VECTORS) if whole else (*found, MODEL)}


def rows(text: Text, result: Toxicity, /) -> list[dict[str, object]]:
    """Return the table row of one text: the verdict, the score and what was found."""
    text = _plain(text)
    words = [span for span in result.spans if span.reason not in (MODEL, GRAMS)]
    masked = isinstance(result, MaskedToxicity)  # then the words themselves are not printed
    found = [span.reason if masked else f"{text[span.start : span.end]} ({span.reason})" for span in words]
    found += [f"{name} {result.categories[name]:.2f}" for name in (GRAMS, MODEL, VECTORS) if name in result.categories]
    shown = result.masked if isinstance(result, MaskedToxicity) else text
    row: dict[str, object] = {
        "id": "",
        "masked" if masked else "text": shown if len(shown) <= _WIDTH else shown[: _WIDTH - 1] + "…",
        "toxic": "yes" if result.toxic else "no",
        "score": f"{result.score:.3f}",
        "threshold": f"{result.threshold:.3f}",
        "grade": str(result.grade),
        "why": listed(found),
    }
    return [row]


def _speaks(text: str) -> bool:
    """Return whether a text has a letter or a number: of emoji and marks alone a model of words knows nothing."""
    return any(character.isalnum() for character in text)


def _plain(text: Text) -> str:
    return text if isinstance(text, str) else "\n".join(text)
