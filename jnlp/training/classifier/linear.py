"""Fits linear classifiers in seconds, on character n-grams and the vectors of a frozen embedder.

The features are in blocks, each with a weight: the n-grams, the vectors, and of pairs the overlap of their texts. The
weights and the strength of the penalty are chosen by cross-validation on the training rows, by the log loss after
calibration (of numbers the squared error). Where a loss is hardly above the least, labels take the best accuracy and
macro F1 among what is as accurate as n-grams alone (of few rows, the least loss); it has to be better than these by
more than chance on other folds too. Of what is within one standard error of the least, numbers take the strongest
penalty: it ranks best. What was tried is in docs/log.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.encoder.linear_classifier import Linear, dense_features
from jnlp.encoder.ngrams import OVERLAPS, Vocabulary, count, learn
from jnlp.encoder.windows import probabilities
from jnlp.training.calibration import fit_temperature, row_losses
from jnlp.training.classifier.evaluation import both_scores, is_surely_better, right_labels, standard_error
from jnlp.training.classifier.solver import factors, solve
from jnlp.training.splits import components
from jnlp.types import ProblemType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jnlp.encoder.linear_classifier import Vectorizer
    from jnlp.encoder.ngrams import Counts, Rows
    from jnlp.training.classifier.solver import Matrix, Solution
    from jnlp.training.classifier.targets import Goal
    from jnlp.types import Example, FloatArray, IntArray

STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""What is tried for scikit-learn's C."""

_COARSE = (0.1, 1.0, 10.0, 100.0)
"""What is tried for it with each weight of the blocks; the others with the best weights alone."""

_FOLDS = 5
_SEARCHED = 1000
"""Rows on which the choice is made: more of them hardly change it."""

_FEW = 200
"""Rows below which scores of cross-validation are too coarse to choose by: the least loss decides alone."""

_VECTORS = (0.0, 0.1, 0.3, 1.0, 3.0)
"""What is tried for the weight of the vectors."""

_FEW_MOST = 1.0
"""The most that is tried for it with few rows, on which a greater one wins by chance."""

_SLACK = 0.5
"""Standard errors of the difference, row by row, by which the loss of labels may be above the least."""

_AGAIN = 2
"""Further divisions into folds on which the choice is compared with n-grams alone: one division favours it."""

_KERNEL = 2500
"""Rows up to which a model is fitted from the rows' inner products."""

NUMBERS = 6_000_000
"""The most weights of n-grams in a saved model."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How the blocks of features weigh, and scikit-learn's C.

    Args:
        ngrams: Of the n-grams; 0 leaves them out.
        vectors: Of the vectors.
        overlap: Of the cosine and the overlap of a pair's texts.
        strength: The weight of the loss against the penalty.
        cosine: Of the cosine within the overlap.
    """

    ngrams: float
    vectors: float
    overlap: float
    strength: float
    cosine: float = 1.0


PLAIN = Choice(1.0, 0.0, 0.0, 1.0)
"""N-grams alone at scikit-learn's default strength: no other choice may be less accurate in cross-validation."""

_COSINE = 10.0
"""The weight of the cosine where numbers of pairs are fitted: few rows change it little."""

_TUNED = tuple(Choice(ngrams, 1.0, 0.0, 1.0) for ngrams in (0.0, 0.3, 1.0, 3.0, 10.0))
"""The block weights that are tried with a tuned embedder."""


@dataclass(frozen=True, slots=True)
class Features:
    """What is read of texts once, for any number of fits.

    Args:
        counts: The n-grams of each.
        dense: float32 `[n, d]`, as `dense_features` returns them.
        pairs: They are pairs.
        cut: int64 `[n]`, the characters that the embedder left out of each.
    """

    counts: list[Counts]
    dense: FloatArray
    pairs: bool
    cut: IntArray

    def take(self, rows: Sequence[int] | IntArray, /) -> Features:
        """Return some rows."""
        chosen = np.asarray(rows, dtype=np.int64)
        return replace(
            self, counts=[self.counts[row] for row in chosen], dense=self.dense[chosen], cut=self.cut[chosen]
        )

    def logits(self, model: Linear, /) -> FloatArray:
        """Return a model's logits, float32 `[n, k]`, not calibrated."""
        found: FloatArray = model.vocabulary.rows(self.counts).times(model.ngrams) + self.dense @ model.dense
        return found + model.bias


@dataclass(frozen=True, slots=True)
class Search:
    """What cross-validation chose.

    Args:
        choice: The best.
        loss: Its log loss after calibration; of numbers the share of their variance that is left.
        temperature: What the logits of a model so fitted are to be divided by; of numbers what their distance from the
            mean is to be divided by, which a strong penalty makes too small.
        tried: Every choice with its loss.
        logits: float32 `[n, k]` of the rows, each by a model of that choice fitted without it; None where only some of
            the rows were searched.
    """

    choice: Choice
    loss: float
    temperature: float
    tried: Mapping[Choice, float]
    logits: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How well a choice does: its loss, the temperature of its logits, these, the loss of each row, its scores.

    The scores are accuracy (of several labels micro F1) and macro F1; of numbers there are none. `right` is 1 for each
    row whose label is right (of several labels the share that is).
    """

    loss: float
    temperature: float
    logits: Matrix
    losses: Matrix
    scores: tuple[float, float] = (0.0, 0.0)
    right: Matrix = field(default_factory=lambda: np.zeros(0))


def read_features(examples: Sequence[Example], embedder: Vectorizer | None, /) -> Features:
    """Read n-grams, vectors and overlaps of examples, all single texts or all pairs."""
    texts = [example.text for example in examples]
    pairs = bool(texts) and not isinstance(texts[0], str)
    dense, cut = dense_features(texts, embedder, pairs=pairs)
    return Features([count(text) for text in texts], dense, pairs, cut)


def search(
    features: Features,
    examples: Sequence[Example],
    goal: Goal,
    /,
    *,
    seed: int = 0,
    weights: FloatArray | None = None,
    tuned: tuple[list[IntArray], list[FloatArray]] | None = None,
) -> Search:
    """Choose the blocks' weights and the strength by cross-validation on training rows.

    Equal texts, and rows of one group, are never in two folds.

    Args:
        features: Of the training rows.
        examples: The rows.
        goal: The labels and the problem.
        seed: Decides the folds, and the rows where there are more than are needed.
        weights: float32 `[k]`, the weight of each class in the loss, or None.
        tuned: The rows of each fold, and the vectors of all rows by an embedder that was tuned without that fold's.
    """
    rng = np.random.default_rng(seed)
    rows = np.arange(len(examples)) if tuned else np.sort(rng.permutation(len(examples))[:_SEARCHED])
    chosen = [examples[row] for row in rows]
    folds, dense = tuned or (folds_of(chosen, rng), [])
    trial = _Trial(features.take(rows), chosen, goal, folds, weights, dense)
    tried: dict[Choice, Verdict] = {}
    for blocks in _TUNED if tuned else _blocks(features, goal):
        tried |= trial.judge(blocks, _COARSE)
    best = min(tried, key=lambda choice: tried[choice].loss)
    tried |= trial.judge(best, tuple(strength for strength in STRENGTHS if strength not in _COARSE))
    if goal.problem is ProblemType.REGRESSION:
        best = _strongest(tried)
    elif len(rows) < _FEW:
        best = min(tried, key=lambda choice: tried[choice].loss)
    else:
        best = _most_accurate(tried)
        if PLAIN in tried and not _surely_better(best, tried, trial, chosen, rng):
            best = PLAIN
    found = tried[best]
    losses = {choice: verdict.loss for choice, verdict in tried.items()}
    logits = found.logits.astype(np.float32) if len(rows) == len(examples) else None
    return Search(best, found.loss, found.temperature, losses, logits)


def _strongest(tried: Mapping[Choice, Verdict]) -> Choice:
    """Return the choice with the strongest penalty of those within one standard error of the least loss."""
    least = min(tried.values(), key=lambda verdict: verdict.loss)
    most = least.loss + standard_error(least.losses)
    enough = [choice for choice, verdict in tried.items() if verdict.loss <= most]
    return min(enough, key=lambda choice: (choice.strength, choice.ngrams, tried[choice].loss))


def _most_accurate(tried: Mapping[Choice, Verdict]) -> Choice:
    """Return the choice with the best scores of those that lose little, none of them less accurate than `PLAIN`."""
    least = min(tried.values(), key=lambda verdict: verdict.loss)
    enough = [
        choice
        for choice, verdict in tried.items()
        if verdict.loss - least.loss <= _SLACK * standard_error(verdict.losses - least.losses)
    ]
    if PLAIN in tried:
        floor = tried[PLAIN].scores[0]
        enough = [choice for choice in enough if tried[choice].scores[0] >= floor] or [PLAIN]
    return max(enough, key=lambda choice: (sum(tried[choice].scores), -tried[choice].loss))


def _surely_better(
    best: Choice, tried: Mapping[Choice, Verdict], trial: _Trial, examples: Sequence[Example], rng: np.random.Generator
) -> bool:
    """Return whether a choice is better than `PLAIN` by more than one standard error, or guesses the same labels.

    Better is more accurate, or no less accurate with less loss, on average over several divisions into folds.
    """
    pairs = [(tried[best], tried[PLAIN])]
    for _ in range(_AGAIN if best != PLAIN else 0):
        trial.folds = folds_of(examples, rng)
        judged = [trial.judge(one, (one.strength,))[one] for one in (best, PLAIN)]
        pairs.append((judged[0], judged[1]))
    more_right: Matrix = np.mean([one.right - plain.right for one, plain in pairs], axis=0)
    less_loss: Matrix = np.mean([plain.losses - one.losses for one, plain in pairs], axis=0)
    return is_surely_better(more_right, less_loss) or not more_right.any()


def fit_linear(
    features: Features,
    targets: NDArray[np.generic],
    goal: Goal,
    found: Search,
    /,
    *,
    weights: FloatArray | None = None,
    most: int = NUMBERS,
) -> Linear:
    """Return the model of training rows under a choice.

    Args:
        features: Of the rows.
        targets: As `Goal.targets` makes them.
        goal: The labels and the problem.
        found: What was chosen for them, or for rows like them; the temperature is applied to numbers alone.
        weights: As in `search`.
        most: Weights of n-grams; the model keeps those that occur in the most rows.
    """
    choice = found.choice
    aims, middle, spread = _aims(targets, goal)
    importance = _importance(targets, goal, weights)
    vocabulary = _vocabulary(features, most // len(goal.labels)) if choice.ngrams else _nothing()
    rows = vocabulary.rows(features.counts)
    sparse = _sparse(rows, len(vocabulary.codes))
    centre, scale = _scaling(features, choice)
    dense = (features.dense - centre) * scale
    if len(aims) <= _KERNEL:
        gram = choice.ngrams * (sparse @ sparse.T).toarray() + dense @ dense.T
        inner, outer = factors(gram)
        solution = solve(inner, aims, goal.problem, strength=choice.strength, importance=importance)
        dual = outer @ solution.weights
        ngrams, other = choice.ngrams * (sparse.T @ dual), dense.T @ dual
    else:
        ngrams, other, solution = _at_once(sparse, dense, aims, goal.problem, choice, importance)
    if goal.problem is ProblemType.REGRESSION:
        spread /= found.temperature
    other = scale[:, None] * other
    return Linear(
        vocabulary,
        (ngrams * spread).astype(np.float32),
        (other * spread).astype(np.float32),
        ((solution.bias - centre @ other) * spread + middle).astype(np.float32),
        features.pairs,
    )


def _at_once(
    sparse: Any, dense: Matrix, aims: Matrix, problem: ProblemType, choice: Choice, importance: Matrix | None
) -> tuple[Matrix, Matrix, Solution]:
    """Return the blocks' weights where there are too many rows for their inner products."""
    from scipy.sparse import csr_array, hstack

    root = float(np.sqrt(choice.ngrams))
    joined = hstack([sparse * root, csr_array(dense)], format="csr")
    found = solve(joined, aims, problem, strength=choice.strength, importance=importance)
    size = sparse.shape[1]
    return found.weights[:size] * root, found.weights[size:], found


def out_of_fold(
    features: Features, examples: Sequence[Example], goal: Goal, found: Search, /, *, seed: int = 0
) -> FloatArray:
    """Return the probabilities `[n, k]` of labels, each row's by a model that was fitted without it.

    Args:
        features: Of the rows.
        examples: The rows; equal texts and rows of one group are left out together.
        goal: The labels and the problem.
        found: The choice.
        seed: Decides the folds.
    """
    logits = np.zeros((len(examples), len(goal.labels)), dtype=np.float32)
    targets = goal.targets(examples)
    for held in folds_of(examples, np.random.default_rng(seed)):
        rest = np.setdiff1d(np.arange(len(examples)), held)
        model = fit_linear(features.take(rest), targets[rest], goal, found)
        logits[held] = features.take(held).logits(model)
    return probabilities(logits / np.float32(found.temperature), goal.problem)


class _Trial:
    """The inner products of training rows, and what models fitted to some of them say of the others."""

    def __init__(
        self,
        features: Features,
        examples: Sequence[Example],
        goal: Goal,
        folds: list[IntArray],
        weights: FloatArray | None,
        dense: list[FloatArray],
    ) -> None:
        self.goal = goal
        self.features = features
        self.targets = goal.targets(examples)
        self.aims, *_ = _aims(self.targets, goal)
        self.importance = _importance(self.targets, goal, weights)
        self.folds = folds
        self.dense = dense
        vocabulary = _vocabulary(features, NUMBERS)
        sparse = _sparse(vocabulary.rows(features.counts), len(vocabulary.codes))
        self.ngrams: Matrix = (sparse @ sparse.T).toarray()

    def judge(self, weights: Choice, strengths: Sequence[float], /) -> dict[Choice, Verdict]:
        """Return the verdict on each strength, for the block weights of `weights`."""
        said = {strength: np.zeros_like(self.aims) for strength in strengths}
        gram = self._products(self.features, weights)
        for number, held in enumerate(self.folds):
            if self.dense:
                gram = self._products(replace(self.features, dense=self.dense[number]), weights)
            rest = np.setdiff1d(np.arange(len(gram)), held)
            inner, outer = factors(gram[np.ix_(rest, rest)])
            seen = gram[np.ix_(held, rest)] @ outer
            importance = None if self.importance is None else self.importance[rest]
            start = None
            for strength in strengths:
                start = solve(
                    inner, self.aims[rest], self.goal.problem, strength=strength, importance=importance, start=start
                )
                said[strength][held] = seen @ start.weights + start.bias
        return {replace(weights, strength=strength): self._verdict(logits) for strength, logits in said.items()}

    def _products(self, features: Features, weights: Choice) -> Matrix:
        """Return the inner products of all rows under the blocks' weights."""
        centre, scale = _scaling(features, weights)
        dense = (features.dense - centre) * scale
        products: Matrix = weights.ngrams * self.ngrams + dense @ dense.T
        return products

    def _verdict(self, logits: Matrix) -> Verdict:
        if self.goal.problem is not ProblemType.REGRESSION:
            temperature = fit_temperature(logits, self.targets, self.goal.problem)
            losses = row_losses(logits, self.targets, self.goal.problem, temperature)
            scores = both_scores(logits.astype(np.float32), self.targets, self.goal)
            right = right_labels(logits, self.targets, self.goal)
            return Verdict(float(losses.mean()), temperature, logits, losses, scores, right)
        moved = logits - logits.mean()
        slope = float((moved * self.aims).sum() / max(float((moved * moved).sum()), 1e-12))
        if slope <= 0:
            slope, moved = 1.0, np.zeros_like(logits)
        losses = ((self.aims - slope * moved) ** 2)[:, 0]
        return Verdict(float(losses.mean()), 1 / slope, logits, losses)


def _blocks(features: Features, goal: Goal) -> list[Choice]:
    """Return the block weights to try."""
    if features.pairs:
        vectors = (0.03, 0.1, 0.3) if features.dense.shape[1] > OVERLAPS else (0.0,)
        cosine = _COSINE if goal.problem is ProblemType.REGRESSION else 1.0
        return [Choice(ngrams, weight, 1.0, 1.0, cosine) for ngrams in (0.0, 0.3) for weight in vectors]
    most = _FEW_MOST if len(features.counts) < _FEW else _VECTORS[-1]
    weights = [weight for weight in _VECTORS if weight <= most] if features.dense.shape[1] else [0.0]
    return [replace(PLAIN, vectors=weight) for weight in weights]


def _scaling(features: Features, choice: Choice) -> tuple[Matrix, Matrix]:
    """Return what is subtracted from each dense column, and what it is multiplied by.

    Vectors are scaled as a whole, to a mean squared length of 1 times the block's weight; cosine and overlaps, each
    with a spread of its own, column by column.
    """
    dense = features.dense.astype(np.float64)
    if not dense.size:
        return np.zeros(dense.shape[1]), np.ones(dense.shape[1])
    centre, variance = dense.mean(axis=0), dense.var(axis=0)
    vectors = dense.shape[1]
    if features.pairs:
        vectors = vectors - OVERLAPS - 1 if vectors > OVERLAPS else 0
    scale = np.zeros(dense.shape[1])
    parts = (slice(0, vectors // 2), slice(vectors // 2, vectors)) if features.pairs else (slice(0, vectors),)
    for part in parts:
        scale[part] = np.sqrt(choice.vectors / max(float(variance[part].sum()), 1e-12))
    own = variance[vectors:]
    scale[vectors:] = np.sqrt(choice.overlap / max(1, len(own))) / np.sqrt(np.maximum(own, 1e-8))
    if len(own) > OVERLAPS:
        scale[vectors] *= np.sqrt(choice.cosine)
    return centre, scale


def _aims(targets: NDArray[np.generic], goal: Goal) -> tuple[Matrix, float, float]:
    """Return `[n, k]` aims; numbers are scaled to mean 0 and variance 1, and by how much is returned too."""
    if goal.problem is ProblemType.SINGLE_LABEL:
        return np.eye(len(goal.labels))[targets.astype(np.int64)], 0.0, 1.0
    numbers = targets.astype(np.float64)
    if goal.problem is ProblemType.MULTI_LABEL:
        return numbers, 0.0, 1.0
    middle, spread = float(numbers.mean()), float(numbers.std()) or 1.0
    return (numbers - middle) / spread, middle, spread


def _importance(targets: NDArray[np.generic], goal: Goal, weights: FloatArray | None) -> Matrix | None:
    """Return what the loss of each row is multiplied by: by its class, or by label where the label is present."""
    if weights is None:
        return None
    if goal.problem is ProblemType.SINGLE_LABEL:
        return weights[targets.astype(np.int64)][:, None].astype(np.float64)
    return np.where(targets.astype(bool), weights, 1.0).astype(np.float64)


def _vocabulary(features: Features, most: int) -> Vocabulary:
    return learn(features.counts, least=2 if len(features.counts) > _SEARCHED else 1, most=most)


def _nothing() -> Vocabulary:
    return Vocabulary(np.zeros(0, np.int64), np.zeros(0, np.float32))


def _sparse(rows: Rows, width: int) -> Any:
    from scipy.sparse import csr_array

    shape = len(rows.starts) - 1, width
    return csr_array((rows.values.astype(np.float64), rows.columns, rows.starts), shape=shape)


def folds_of(examples: Sequence[Example], rng: np.random.Generator, most: int = _FOLDS, /) -> list[IntArray]:
    """Return the rows of each fold: groups are dealt one after the other in the order of their targets."""
    groups = components(examples)
    rng.shuffle(groups)
    groups.sort(key=lambda group: str(examples[group[0]].target))
    count = min(most, len(groups))
    return [np.asarray(sorted(row for group in groups[fold::count] for row in group)) for fold in range(count)]
