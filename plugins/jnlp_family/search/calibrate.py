"""`python -m jnlp_family.search.calibrate DATA --model DIR`: what a search's scores mean, fitted on held-out questions.

The questions are those of JaQuAD's development articles, whole and cut to a few of their words; everyday and technical
questions with an answer; and headings with their section. They are asked of collections of 1 to about 1,000 passages
(`samples`). For two passages in five, the passage is not in the collection, so that its questions have no answer. A hit
is right where it is the question's passage. The weights of `jnlp_search.query.scores` are fitted on all of them and
written to the model's `search.json`; its figures are measured on the half that was not used for the fit.
"""

from __future__ import annotations

import argparse
import random
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from jnlp.encoder.vectors import unit
from jnlp.errors import status_of
from jnlp.strict_json import dumps
from jnlp.training import retrieval
from jnlp.types import Purpose
from jnlp.types.search import GOOD_SCORE
from jnlp_evaluate.direct import dense_ranks
from jnlp_family.search.jaquad import Retrieval, questions
from jnlp_family.search.measure import choose_weight, limit_questions, ranked
from jnlp_family.search.paraphrase import pairs
from jnlp_family.search.samples import SIZES, prepare, samples
from jnlp_family.similarity import Split
from jnlp_pretrain.corpus import fraction
from jnlp_search.analyse import analyser
from jnlp_search.fuse import convex, sort_by_score
from jnlp_search.options import ANALYSER, Retriever
from jnlp_search.query.candidates import CANDIDATES
from jnlp_search.query.mixing import mix
from jnlp_search.query.scores import FEATURES, LOOKED_AT, WEIGHTS, Evidence, coverage, largeness, values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from jnlp.types import Embedder
    from jnlp_family.search.samples import Asked, Prepared

    Floats = NDArray[np.float64]

QUESTIONS = 500
"""The most questions of a set to collections of one size."""

SECTIONS = (2_500, 4_500)
"""Rows of the headings and sections that are used: the rows before are for the final table of `paraphrase`."""

INT8_LOSS = 0.002
"""So much less nDCG@10 is as good."""

HITS = 10
_RIDGE = 0.05
_BINS = 10


@dataclass(frozen=True, slots=True)
class Hits:
    """What is fitted: features `[n, k]`, 1 where right, the own passage, the rank from 0, and the size."""

    features: Floats
    right: Floats
    passage: NDArray[np.int64]
    rank: NDArray[np.int64]
    size: NDArray[np.int64]


def keyword_queries(task: Retrieval, most: int = QUESTIONS, /) -> Retrieval:
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


def hits(asked: Iterable[Asked], retriever: Retriever, dense_weight: float, /) -> Hits:
    """Return the first hits of each question as a search finds them.

    Args:
        asked: The questions.
        retriever: What is asked.
        dense_weight: The share of the cosines in the fusion.
    """
    rows: list[tuple[float, ...]] = []
    right, owner, ranks, sizes = [], [], [], []
    for one in asked:
        fused, cosine = _candidates(one, retriever, dense_weight)
        first = sort_by_score(fused)[:HITS]
        evidence = Evidence(_covered(one, first), cosine, len(one.weights), one.passages)
        best = max(fused.values(), default=0.0) or 1.0
        for rank, (place, value) in enumerate(first):
            rows.append(features(value / best, evidence))
            right.append(place == one.right)
            owner.append(one.passage)
            ranks.append(rank)
            sizes.append(one.size)
    found = np.array(rows, np.float64).reshape(len(rows), WEIGHTS)
    return Hits(found, np.array(right, np.float64), np.array(owner), np.array(ranks), np.array(sizes))


def features(relative: float, evidence: Evidence, /) -> tuple[float, ...]:
    """Return what the weights are multiplied with: the values, shared between one passage and many.

    Example:
        >>> features(1.0, Evidence(0.5, 0.25, 0, 1))
        (1.0, 1.0, 1.0, 0.5, 0.25, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    """
    large, own = largeness(evidence.passages), values(relative, evidence)
    return tuple(part * value for part in (1 - large, large) for value in own)


def _covered(asked: Asked, first: Sequence[tuple[int, float]]) -> float:
    return coverage(asked.weights, [asked.words[place] for place, _ in first[:LOOKED_AT]])


def _candidates(asked: Asked, retriever: Retriever, weight: float) -> tuple[dict[int, float], float]:
    """Return the fusion by place as `ask` makes it, and the largest cosine."""
    lexical = {} if retriever is Retriever.DENSE else dict(asked.lexical)
    dense = {} if retriever is Retriever.LEXICAL else _dense(asked, lexical)
    if dense and lexical:
        fused, _ = mix(lexical, dense, weight, _covered(asked, sort_by_score(lexical)))
    else:
        fused = convex(lexical, dense, 1.0 if dense else 0.0)
    return fused, max(dense.values(), default=0.0)


def _dense(asked: Asked, lexical: Mapping[int, float]) -> dict[int, float]:
    """Return the cosines of the nearest passages, and of those that full text found."""
    nearest = [place for place in np.argsort(-asked.cosines)[:CANDIDATES].tolist() if asked.cosines[place] > -1]
    return {place: float(asked.cosines[place]) for place in {*nearest, *lexical}}


def fit(found: Hits, chosen: NDArray[np.bool_] | None = None, /) -> Floats:
    """Return the weights that minimise the log loss, the coefficients kept small."""
    from scipy.optimize import minimize

    used = slice(None) if chosen is None else chosen
    rows, right = found.features[used], found.right[used]
    scale = np.maximum(rows.std(axis=0), 1e-9)
    scaled = rows / scale

    kept = np.arange(rows.shape[1]) % len(FEATURES) > 0  # the constants may be large

    def loss(weights: Floats) -> tuple[float, Floats]:
        logits = scaled @ weights
        wrong = 1 / (1 + np.exp(-logits)) - right
        value = np.logaddexp(0, logits).sum() - (right * logits).sum() + _RIDGE * (weights**2 * kept).sum()
        return float(value), scaled.T @ wrong + 2 * _RIDGE * weights * kept

    free = {0, FEATURES.index("words")}  # the others must not make a better hit look worse
    bounds = [(None if at % len(FEATURES) in free else 0.0, None) for at in range(rows.shape[1])]
    best: Floats = minimize(loss, np.zeros(rows.shape[1]), jac=True, bounds=bounds).x / scale
    best[np.abs(best) * np.abs(rows).max(axis=0) < 1e-6] = 0.0
    return best


def judge(found: Hits, weights: Sequence[float] | None = None, /) -> dict[str, Any]:
    """Return how the scores of half of the passages agree with what was right.

    Args:
        found: Hits.
        weights: The weights; None fits them on the other half.
    """
    half = np.array([fraction(str(passage), "half") for passage in found.passage]) < 0.5
    scores = 1 / (1 + np.exp(-found.features[~half] @ (fit(found, half) if weights is None else np.array(weights))))
    right, size = found.right[~half], found.size[~half]
    first = found.rank[~half] == 0
    return {
        "expected_calibration_error": calibration_error(scores, right),
        "first_hits": _bins(scores[first], right[first]),
        "sizes": {str(one): _of_size(scores, right, first, size == one) for one in SIZES if (size == one).any()},
    }


def calibration_error(scores: Floats, right: Floats, /) -> float:
    """Return the expected calibration error over ten bins of the score.

    Example:
        >>> calibration_error(np.array([0.2, 0.2, 0.9, 0.9]), np.array([0.0, 1.0, 1.0, 1.0]))
        0.2
    """
    bins = _bin(scores)
    off = sum(abs(scores[bins == low].sum() - right[bins == low].sum()) for low in range(_BINS))
    return round(float(off) / max(len(scores), 1), 6)


def _bin(scores: Floats) -> NDArray[np.int64]:
    return np.minimum((scores * _BINS).astype(np.int64), _BINS - 1)


def _bins(scores: Floats, right: Floats) -> list[dict[str, float]]:
    bins = _bin(scores)
    return [
        {
            "from": low / _BINS,
            "hits": int(own.sum()),
            "score": round(float(scores[own].mean()), 4),
            "right": round(float(right[own].mean()), 4),
        }
        for low in range(_BINS)
        if (own := bins == low).any()
    ]


def _of_size(scores: Floats, right: Floats, first: NDArray[np.bool_], own: NDArray[np.bool_]) -> dict[str, float]:
    """Return the errors of all hits and of first hits, and what "no good match" would hide and would say rightly."""
    best = own & first
    poor = best & (scores < GOOD_SCORE)
    return {
        "expected_calibration_error": calibration_error(scores[own], right[own]),
        "first_hits": calibration_error(scores[best], right[best]),
        "right": round(float(right[best].mean()), 4),
        "right_but_no_good_match": round(float(right[poor].sum() / max(right[best].sum(), 1)), 4),
        "wrong_and_no_good_match": round(float((1 - right[poor]).sum() / max((1 - right[best]).sum(), 1)), 4),
    }


def calibrate(
    data: Path, embedder: Embedder, quantised: Embedder, dense_weight: float | None, /, *, most: int = 0
) -> dict[str, Any]:
    """Return what `search.json` holds.

    Args:
        data: The folder that holds `tasks`: jaquad, answers, faq, lawqa and sections.
        embedder: The model.
        quantised: The model in int8.
        dense_weight: Its share in the fusion; None is the best on JaQuAD's questions.
        most: The most questions of a set; 0 is all.
    """
    jaquad = prepare(limit_questions(questions(data, Split.DEVELOPMENT), most), embedder)
    if dense_weight is None:
        lexical = ranked(jaquad.words, jaquad.queries)
        dense_weight = next(iter(choose_weight(lexical, jaquad.cosines, jaquad.task)))
    made = [prepare(limit_questions(one, most), embedder) for one in answered(data)]
    keywords = keyword_queries(jaquad.task)
    return with_int8(fitted([jaquad, prepare(keywords, embedder), *made], dense_weight), jaquad, embedder, quantised)


def with_int8(made: Mapping[str, Any], full: Prepared, embedder: Embedder, quantised: Embedder, /) -> dict[str, Any]:
    """Return the contents of `search.json` with whether passages embedded in int8 rank as well.

    Args:
        made: The contents.
        full: Questions and passages, embedded in full precision.
        embedder: Embeds the questions.
        quantised: The same model in int8.
    """
    asked = unit(embedder.embed(full.task.queries, purpose=Purpose.QUERY).vectors)
    held = unit(quantised.embed(full.task.passages, purpose=Purpose.DOCUMENT).vectors)
    scores = [
        round(float(retrieval.ndcg_at(dense_ranks(cosines, full.task.relevant), HITS).mean()), 4)
        for cosines in (full.cosines, asked @ held.T)
    ]
    figures = {"ndcg@10": scores[0], "ndcg@10_of_int8_passages": scores[1]}
    measured = {**made["measured"], "int8": figures}
    return {
        "dense_weight": made["dense_weight"],
        "int8": scores[0] - scores[1] <= INT8_LOSS,
        **made,
        "measured": measured,
    }


def answered(data: Path, /) -> list[Retrieval]:
    """Return questions that were not written for their passage: everyday and technical ones, and headings."""
    found = []
    everyday: dict[str, tuple[int, int | None]] = dict.fromkeys(("answers", "faq", "lawqa"), (0, None))
    headings: dict[str, tuple[int, int | None]] = {"sections": SECTIONS}
    for sources in (everyday, headings):
        places: dict[str, int] = {}
        rows = [(question, places.setdefault(text, len(places))) for question, text in pairs(data, sources)]
        found.append(Retrieval(tuple(places), tuple(row[0] for row in rows), tuple(row[1] for row in rows)))
    return [one for one in found if one.queries]


def fitted(sets: Sequence[Prepared], dense_weight: float, /) -> dict[str, Any]:
    """Return the weights of each retriever, and how well they hold."""
    asked = [one for own in sets for size in SIZES for one in samples(own, size, QUESTIONS)]
    made: dict[str, Any] = {"dense_weight": dense_weight}
    measured: dict[str, Any] = {"questions": len(asked)}
    others: dict[str, list[float]] = {}
    for retriever in Retriever:
        found = hits(asked, retriever, dense_weight)
        made[retriever.value] = _rounded(fit(found))
        measured[retriever.value] = judge(found)
        if retriever is not Retriever.LEXICAL:
            others[retriever.value] = _rounded(fit(replace(found, features=_without_cosine(found.features))))
    return {**made, "without_cosine": others, "measured": measured}


def _rounded(weights: Floats) -> list[float]:
    return [round(float(weight), 4) for weight in weights]


def _without_cosine(rows: Floats) -> Floats:
    """Return features as those of an embedder whose cosines were not measured."""
    cosine = np.arange(rows.shape[1]) % len(FEATURES) == FEATURES.index("cosine")
    return np.where(cosine, 0.0, rows)


def main(arguments: Sequence[str] | None = None, /) -> int:
    """Fit, write `search.json`, and return the exit status."""
    args = _parser().parse_args(arguments)
    return status_of(lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    from jnlp.encoder.load import load_embedder
    from jnlp.encoder.runtime import Runtime

    embedder = cast("Embedder", load_embedder(args.model, runtime=Runtime(threads=args.threads)))
    int8 = Runtime(device="cpu", dtype="int8", threads=args.threads)
    quantised = cast("Embedder", load_embedder(args.model, runtime=int8))
    text = dumps(calibrate(args.data, embedder, quantised, args.dense_weight, most=args.questions), indent=2) + "\n"
    (args.out or args.model / "search.json").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jnlp_family.search.calibrate", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("data", type=Path, help="the folder that holds tasks")
    parser.add_argument("--model", type=Path, required=True, help="the embedder's folder")
    parser.add_argument("--dense-weight", type=float, help="the share of the vectors (default: the best one)")
    parser.add_argument("--questions", type=int, default=0, help="the most questions (default: all)")
    parser.add_argument("--threads", type=int, help="processor threads")
    parser.add_argument("-o", "--out", type=Path, help="the file to write (default: search.json in the model folder)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
