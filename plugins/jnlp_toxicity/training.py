"""Fits the decision of `jnlp toxicity` to one's own rows, near what ships, and reports before and after.

The word lists and the classifier stay as they are. The n-grams and the weights of vectors are fitted again, then the
decision on their scores out of fold; all stay near the shipped weights, so that few rows change little. Levels are set
on clean text that ships, whose other half measures false alarms.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from jnlp.errors import JnlpError
from jnlp.io.durable import replacing
from jnlp.strict_json import dumps
from jnlp.training.metrics import roc_auc
from jnlp.types import TrainReport
from jnlp_toxicity import decision, grams
from jnlp_toxicity.context import Use, use_of
from jnlp_toxicity.fitting import FOLDS, feature_table, fit_decision, fit_grams, fit_vectors, levels_of, stored
from jnlp_toxicity.lexicon import load
from jnlp_toxicity.logic import CLEAN, TOXIC, VECTORS_BY, decides, toxic_labels, trained_folder, worst_windows
from jnlp_toxicity.matcher import find

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from jnlp.types import Classifier, Embedder, Example, Models, Progress
    from jnlp_toxicity.matcher import Match
    from jnlp_toxicity.trainers import ToxicityTrainingOptions

    Floats = NDArray[np.float64]

_LEAST = 10
"""Rows of each kind without which nothing is fitted."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Texts with what does not change while fitting: their truth, words, model scores, vectors and buckets."""

    texts: list[str]
    truth: Floats
    matches: list[tuple[list[Match], int]]
    model: list[float]
    vectors: NDArray[np.float32]
    buckets: list[NDArray[np.int64]]

    def features(self, by_grams: Sequence[float], by_vectors: Sequence[float | None], /) -> list[dict[str, float]]:
        return [
            decision.features(text, *found, grams_, model, vector)
            for text, found, grams_, model, vector in zip(
                self.texts, self.matches, by_grams, self.model, by_vectors, strict=True
            )
        ]

    def scored(self, linear: grams.Grams, /) -> list[dict[str, float]]:
        return self.features(
            [linear.worst(text)[0] for text in self.texts], [linear.by_vector(vector) for vector in self.vectors]
        )


class ToxicityTrainer:
    """The `Trainer` of `jnlp train toxicity`."""

    def fit(
        self,
        train: Sequence[Example],
        valid: Sequence[Example] | None,
        options: ToxicityTrainingOptions,
        out: Path,
        /,
        *,
        models: Models,
        base: Path,
        device: str,
        progress: Progress,
    ) -> TrainReport:
        """Fit the decision and write a folder for `jnlp toxicity --model`, with the classifier in it.

        Raises:
            JnlpError: Labels that do not say which is toxic, too few rows, or an `out` that exists.
        """
        from jnlp.training.folder import refuse_taken

        refuse_taken(out)
        rows, held = _parts(_labelled(train, options), _labelled(valid or (), options), options)
        classifier, embedder = models.classifier(None), models.embedder(VECTORS_BY)
        before = _Fitted.of(classifier)
        texts = (*rows, *held, *_clean())
        read = _read([text for text, _ in texts], [toxic for _, toxic in texts], classifier, embedder, progress)
        training, testing, clean = _cut(read, len(rows), len(held))
        plain, judged = _cut(clean, len(clean.texts) // 2, None)[:2]
        after = _fit(training, plain, before, progress)
        methods = {name: one.measure(testing, judged) for name, one in (("before", before), ("after", after))}
        _write(out, base, after, methods, options)
        gain = methods["after"]["auc"] - methods["before"]["auc"]
        return TrainReport(
            out,
            methods["after"],
            {"train": len(rows), "valid": len(held), "clean": len(judged.texts)},
            {"options": asdict(options), "measured_on": "valid"},
            _caution(gain, held),
            methods,
            (
                "after",
                f"AUC on the rows held out {gain:+.4f}; clean_called_toxic: of {len(judged.texts)} clean texts",
            ),
        )


def make_trainer() -> ToxicityTrainer:
    """Return the trainer."""
    return ToxicityTrainer()


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A decision with its linear models."""

    whole: decision.Decision
    linear: grams.Grams

    @classmethod
    def of(cls, classifier: Classifier, /) -> _Fitted:
        folder = trained_folder(classifier) if decides(classifier) else None
        return cls(decision.load(folder), grams.load(folder))

    def logits(self, rows: _Rows, /) -> Floats:
        return np.array([self.whole.logit(row) for row in rows.scored(self.linear)])

    def measure(self, rows: _Rows, clean: _Rows, /) -> dict[str, float]:
        limit = decision.log_odds(self.whole.levels["normal"])
        logits, toxic = self.logits(rows), rows.truth == 1
        return {
            "auc": roc_auc(logits, toxic),
            "toxic_found": float((logits[toxic] >= limit).mean()),
            "harmless_called_toxic": float((logits[~toxic] >= limit).mean()),
            "clean_called_toxic": float((self.logits(clean) >= limit).mean()),
        }


def _fit(rows: _Rows, plain: _Rows, before: _Fitted, progress: Progress) -> _Fitted:
    """Return everything fitted to rows, near what was before; the levels are those of the plain texts."""
    everything = np.arange(len(rows.texts))
    linear = _linear(rows, everything, before.linear)
    by_grams, by_vectors = [0.0] * len(everything), [0.0] * len(everything)
    for fold in range(FOLDS):
        progress("fit", fold, FOLDS, {})
        other = _linear(rows, everything[everything % FOLDS != fold], before.linear)
        for number in everything[fold::FOLDS]:
            by_grams[number] = other.worst(rows.texts[number])[0]
            by_vectors[number] = other.by_vector(rows.vectors[number]) or 0.0
    progress("fit", FOLDS, FOLDS, {})
    features = [*rows.features(by_grams, by_vectors), *plain.scored(linear)]
    truth = np.concatenate([rows.truth, plain.truth])
    names, weights = fit_decision(features, truth, np.ones(len(truth)), (), before.whole)
    logits = feature_table(plain.scored(linear), names) @ weights
    values = stored(names, weights, levels_of([logits]), {})
    return _Fitted(decision.Decision(values["bias"], values["features"], values["levels"]), linear)


def _linear(rows: _Rows, numbers: NDArray[np.int64], base: grams.Grams) -> grams.Grams:
    model = fit_grams([rows.buckets[n] for n in numbers], rows.truth[numbers], base)
    direction, offset = fit_vectors(rows.vectors[numbers], rows.truth[numbers], base)
    return replace(model, direction=direction, offset=offset)


def _labelled(examples: Sequence[Example], options: ToxicityTrainingOptions) -> list[tuple[str, bool]]:
    """Return texts with whether they are toxic; each text once.

    Raises:
        JnlpError: A label that does not say, or one text with both.
    """
    toxic = {name.lower() for name in options.toxic} or TOXIC
    found: dict[str, bool] = {}
    for example in examples:
        text = example.text if isinstance(example.text, str) else "\n".join(example.text)
        labels = example.target if isinstance(example.target, tuple) else (example.target,)
        names = {str(int(name) if isinstance(name, float) and name.is_integer() else name).lower() for name in labels}
        if not options.toxic and not names <= TOXIC | CLEAN:
            unknown = ", ".join(sorted(names - TOXIC - CLEAN))
            raise JnlpError(f"the label {unknown} does not say whether a text is toxic", hint="--toxic LABEL")
        if found.setdefault(text, bool(names & toxic)) is not bool(names & toxic):
            raise JnlpError(f"{text[:40]!r} is labelled toxic and not toxic", hint="correct one of the rows")
    return list(found.items())


def _parts(
    rows: list[tuple[str, bool]], held: list[tuple[str, bool]], options: ToxicityTrainingOptions
) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Return the rows to fit and those to measure on: the ones given, or a share of each kind, the same every time."""
    if held:
        kept = {text for text, _ in held}
        rows = [row for row in rows if row[0] not in kept]
    else:
        order = sorted(rows, key=lambda row: hashlib.sha256(f"{options.seed} {row[0]}".encode()).digest())
        for kind in (True, False):
            same = [row for row in order if row[1] is kind]
            held += same[: max(1, round(len(same) * options.test_share))]
        kept = {text for text, _ in held}
        rows = [row for row in rows if row[0] not in kept]
    for part in (rows, held):
        counts = Counter(toxic for _, toxic in part)
        least = _LEAST if part is rows else 1
        if min(counts[True], counts[False]) < least:
            raise JnlpError(
                f"{counts[True]} toxic and {counts[False]} other texts are too few to fit and measure",
                hint=f"give at least {_LEAST + 1} of each, with more to measure on",
            )
    return rows, held


def _clean() -> list[tuple[str, bool]]:
    """Return the clean texts that ship, in two halves of the same kinds."""
    lines = files("jnlp_toxicity").joinpath("clean.txt").read_text("utf-8").splitlines()
    texts = [line.partition("\t")[2] for line in lines if not line.startswith("#")]
    return [(text, False) for text in (*texts[::2], *texts[1::2])]


def _read(texts: list[str], toxic: list[bool], classifier: Classifier, embedder: Embedder, progress: Progress) -> _Rows:
    lexicon, positive = load(), toxic_labels(classifier.labels)
    matches, model, vectors = [], [], []
    for begin in range(0, len(texts), 128):
        progress("read", begin, len(texts), {})
        part = texts[begin : begin + 128]
        model += [decision.log_odds(chance) for chance, _ in worst_windows(classifier.logits(part), positive)]
        vectors.append(embedder.embed(part).vectors)
    for text in texts:
        found = [match for match in find(text, lexicon) if match.entry.category not in decision.SIGNS]
        meant = [match for match in found if use_of(text, match) is Use.MEANT]
        matches.append((meant, len(found) - len(meant)))
    buckets = [grams.buckets(text) for text in texts]
    return _Rows(texts, np.array(toxic, np.float64), matches, model, np.concatenate(vectors), buckets)


def _cut(rows: _Rows, first: int, second: int | None) -> tuple[_Rows, _Rows, _Rows]:
    """Return three consecutive parts: `first` rows, `second` (None: all others), and the rest."""
    middle = len(rows.texts) if second is None else first + second
    parts = (slice(0, first), slice(first, middle), slice(middle, None))
    return tuple(
        _Rows(rows.texts[p], rows.truth[p], rows.matches[p], rows.model[p], rows.vectors[p], rows.buckets[p])
        for p in parts
    )  # type: ignore[return-value]


def _write(
    out: Path, base: Path, fitted: _Fitted, methods: dict[str, dict[str, float]], options: ToxicityTrainingOptions
) -> None:
    """Write a copy of the classifier's folder with the decision and its linear models."""
    from jnlp.training.folder import versions, whole_folder

    whole = {"features": dict(fitted.whole.features), "bias": fitted.whole.bias, "levels": dict(fitted.whole.levels)}
    with whole_folder(out) as folder:
        shutil.copytree(base, folder, dirs_exist_ok=True)
        for name, content in (
            (decision.TRAINED, dumps(whole, indent=2).encode()),
            (grams.TRAINED, grams.dump(fitted.linear)),
            ("training.json", dumps({"methods": methods, "options": asdict(options), **versions()}, indent=2).encode()),
            ("README.md", _card(methods).encode()),
        ):
            with replacing(folder / name) as file:
                file.write(content)


def _card(methods: dict[str, dict[str, float]]) -> str:
    names = list(methods["after"])
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    lines += [f"| {name} | {' | '.join(f'{scores[n]:.4f}' for n in names)} |" for name, scores in methods.items()]
    table = "\n".join(lines)
    return (
        "# A toxicity model made by `jnlp train toxicity`\n\n"
        "Use it with `jnlp toxicity --model FOLDER`. The decision over word lists, n-grams, vectors and the\n"
        "classifier was fitted to rows of your own; scores on rows held out and on clean text:\n\n"
        f"{table}\n"
    )


def _caution(gain: float, held: Sequence[tuple[str, bool]]) -> str | None:
    lines = []
    if gain < 0:
        lines.append("the rows made it worse on those held out: use the built-in model, or give more rows")
    toxic = sum(toxic for _, toxic in held)
    if min(toxic, len(held) - toxic) < 30:
        lines.append(f"only {toxic} toxic and {len(held) - toxic} other rows were held out: the scores are rough")
    return "\n".join(lines) or None
