"""`python -m jnlp_family.search.calibrate DATA --model DIR`: what a search's scores mean, fitted on held-out questions.

The questions are those of JaQuAD's development articles, whole and cut to a few of their words; of two passages in five
the passage is taken out of the collection, so that its questions have no answer. A hit is right where it is the
question's passage. The weights of `jnlp_search.query.scores` are fitted on all of them and written to the model's
`search.json`; its figures are measured on the half that was not used for the fit.
"""

from __future__ import annotations

import argparse
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from jnlp.encoder.vectors import unit
from jnlp.errors import status_of
from jnlp.strict_json import dumps
from jnlp.types import Purpose
from jnlp_family.search.jaquad import Retrieval, questions
from jnlp_family.search.measure import choose_weight, full_text, limit_questions
from jnlp_family.similarity import Split
from jnlp_pretrain.corpus import fraction
from jnlp_search.analyse import analyser
from jnlp_search.fuse import convex, sort_by_score
from jnlp_search.options import ANALYSER, Retriever
from jnlp_search.query.candidates import CANDIDATES
from jnlp_search.query.scores import FEATURES, LOOKED_AT, Evidence, coverage, features, word_weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jnlp.types import Embedder

    Floats = NDArray[np.float64]

TAKEN_OUT = 0.4
KEYWORDS = 1_000
HITS = 10
_RIDGE = 0.05


@dataclass(frozen=True, slots=True)
class Hits:
    """What is fitted: features `[n, k]`, 1 where the hit was right, the question's passage, and the rank from 0."""

    features: Floats
    right: Floats
    passage: NDArray[np.int64]
    rank: NDArray[np.int64]


def keyword_queries(task: Retrieval, most: int = KEYWORDS, /) -> Retrieval:
    """Return some of the questions cut to one, two or three of their content words."""
    chance, words = random.Random(1), analyser(ANALYSER)
    queries, relevant = [], []
    for number in chance.sample(range(len(task.queries)), min(most, len(task.queries))):
        query = task.queries[number]
        content = [word for word in words.words(query) if word.content and not word.symbol]
        kept = sorted(chance.sample(range(len(content)), min(len(content), chance.choice([1, 2, 2, 3]))))
        queries.append(" ".join(query[content[at].start : content[at].end] for at in kept))
        relevant.append(task.relevant[number])
    return Retrieval(task.passages, tuple(queries), tuple(relevant))


def hits(
    task: Retrieval,
    lexical: Sequence[Mapping[int, float]],
    cosines: NDArray[np.float32],
    retriever: Retriever,
    dense_weight: float,
    /,
) -> Hits:
    """Return the first hits of each question as a search finds them.

    Args:
        task: The questions.
        lexical: BM25 by passage for each.
        cosines: float32 `[questions, passages]`.
        retriever: What is asked.
        dense_weight: The share of the cosines in the fusion.
    """
    words = analyser(ANALYSER)
    held = [frozenset(word.form for word in words.words(text)) for text in task.passages]
    counts: dict[str, int] = {}
    for forms in held:
        for form in forms:
            counts[form] = counts.get(form, 0) + 1
    rows: list[tuple[float, ...]] = []
    right, owner, ranks = [], [], []
    for number, (query, own) in enumerate(zip(task.queries, task.relevant, strict=True)):
        out = own if fraction(task.passages[own], "taken out") < TAKEN_OUT else -1
        fused, cosine = _candidates(lexical[number], cosines[number], out, retriever, dense_weight)
        forms = words.query(query).forms
        weights = word_weights(len(held), {form: counts.get(form, 0) for form in forms})
        first = sort_by_score(fused)[:HITS]
        covered = coverage(weights, [held[passage] for passage, _ in first[:LOOKED_AT]])
        best = max(fused.values(), default=0.0) or 1.0
        for rank, (passage, value) in enumerate(first):
            rows.append(features(value / best, Evidence(covered, cosine, len(forms))))
            right.append(passage == own)
            owner.append(own)
            ranks.append(rank)
    return Hits(np.array(rows), np.array(right, np.float64), np.array(owner), np.array(ranks))


def _candidates(
    words: Mapping[int, float], row: NDArray[np.float32], out: int, retriever: Retriever, weight: float
) -> tuple[dict[int, float], float]:
    """Return the fusion by passage as `ask` makes it, and the largest cosine."""
    lexical = {} if retriever is Retriever.DENSE else {p: score for p, score in words.items() if p != out}
    dense: dict[int, float] = {}
    if retriever is not Retriever.LEXICAL:
        nearest = [p for p in np.argsort(-row)[: CANDIDATES + 1].tolist() if p != out][:CANDIDATES]
        dense = {passage: float(row[passage]) for passage in {*nearest, *lexical}}
    share = 0.0 if not dense else 1.0 if not lexical else weight
    return convex(lexical, dense, share), max(dense.values(), default=0.0)


def fit(found: Hits, chosen: NDArray[np.bool_] | None = None, /) -> Floats:
    """Return the weights that minimise the log loss, the coefficients kept small."""
    from scipy.optimize import minimize

    used = slice(None) if chosen is None else chosen
    rows, right = found.features[used], found.right[used]
    scale = np.maximum(rows.std(axis=0), 1e-9)
    scale[0] = 1.0
    scaled = rows / scale

    def loss(weights: Floats) -> tuple[float, Floats]:
        logits = scaled @ weights
        wrong = 1 / (1 + np.exp(-logits)) - right
        value = np.logaddexp(0, logits).sum() - (right * logits).sum() + _RIDGE * (weights[1:] ** 2).sum()
        return float(value), scaled.T @ wrong + 2 * _RIDGE * np.r_[0.0, weights[1:]]

    free = {0, FEATURES.index("words")}  # the others must not make a better hit look worse
    bounds = [(None if at in free else 0.0, None) for at in range(rows.shape[1])]
    best: Floats = minimize(loss, np.zeros(rows.shape[1]), jac=True, bounds=bounds).x / scale
    best[np.abs(best) * np.abs(rows).max(axis=0) < 1e-6] = 0.0
    return best


def judge(found: Hits, /) -> dict[str, Any]:
    """Fit on half of the passages and return how the other half's scores agree with what was right."""
    half = np.array([fraction(str(passage), "half") for passage in found.passage]) < 0.5
    scores = 1 / (1 + np.exp(-found.features[~half] @ fit(found, half)))
    right, first = found.right[~half], found.rank[~half] == 0
    bins = np.minimum((scores * 10).astype(int), 9)
    table = [
        {
            "from": low / 10,
            "hits": int(own.sum()),
            "score": float(scores[own].mean()),
            "right": float(right[own].mean()),
        }
        for low in range(10)
        if (own := (bins == low) & first).any()
    ]
    off = sum(abs(scores[bins == low].sum() - right[bins == low].sum()) for low in range(10)) / len(scores)
    return {"expected_calibration_error": float(off), "first_hits": table}


def calibrate(data: Path, embedder: Embedder, dense_weight: float | None, /, *, most: int = 0) -> dict[str, Any]:
    """Return what `search.json` holds.

    Args:
        data: The folder that holds `tasks/jaquad`.
        embedder: The model.
        dense_weight: Its share in the fusion; None is the best on the questions.
        most: The most questions; 0 is all.
    """
    task = limit_questions(questions(data, Split.DEVELOPMENT), most)
    vectors = unit(embedder.embed(task.passages, purpose=Purpose.DOCUMENT).vectors)
    sets = [
        (part, full_text(part)[1], unit(embedder.embed(part.queries, purpose=Purpose.QUERY).vectors) @ vectors.T)
        for part in (task, keyword_queries(task))
    ]
    return fitted(
        sets, next(iter(choose_weight(sets[0][1], sets[0][2], task))) if dense_weight is None else dense_weight
    )


def fitted(
    sets: Sequence[tuple[Retrieval, Sequence[Mapping[int, float]], NDArray[np.float32]]], dense_weight: float, /
) -> dict[str, Any]:
    """Return the weights of each retriever, and how well they hold."""
    made: dict[str, Any] = {"dense_weight": dense_weight}
    measured: dict[str, Any] = {"questions": sum(len(part.queries) for part, _, _ in sets)}
    for retriever in Retriever:
        parts = [hits(*part, retriever, dense_weight) for part in sets]
        found = Hits(*(np.concatenate([getattr(part, name) for part in parts]) for name in Hits.__slots__))
        made[retriever.value] = [round(float(weight), 4) for weight in fit(found)]
        measured[retriever.value] = judge(found)
    return {**made, "measured": measured}


def main(arguments: Sequence[str] | None = None, /) -> int:
    """Fit, write `search.json`, and return the exit status."""
    args = _parser().parse_args(arguments)
    return status_of(lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    from jnlp.encoder.load import load_embedder
    from jnlp.encoder.runtime import Runtime

    embedder = cast("Embedder", load_embedder(args.model, runtime=Runtime(threads=args.threads)))
    text = dumps(calibrate(args.data, embedder, args.dense_weight, most=args.questions), indent=2) + "\n"
    (args.out or args.model / "search.json").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jnlp_family.search.calibrate", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("data", type=Path, help="the folder that holds tasks/jaquad")
    parser.add_argument("--model", type=Path, required=True, help="the embedder's folder")
    parser.add_argument("--dense-weight", type=float, help="the share of the vectors (default: the best one)")
    parser.add_argument("--questions", type=int, default=0, help="the most questions (default: all)")
    parser.add_argument("--threads", type=int, help="processor threads")
    parser.add_argument("-o", "--out", type=Path, help="the file to write (default: search.json in the model folder)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
