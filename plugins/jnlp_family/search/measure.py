"""`python -m jnlp_family.search.measure DATA --model DIR`: what an embedder adds to full text, on JaQuAD and JSTS.

The passages are all contexts of a JaQuAD split. Both retrievers and their fusion are those of `jnlp search`. The
fusion weight is selected on development articles, taken from the train split. Only `--final` uses the valid split.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from jnlp.errors import JnlpError, status_of
from jnlp.strict_json import dumps
from jnlp.training import retrieval
from jnlp_evaluate.direct import cosines_of, dense_ranks
from jnlp_family.search.jaquad import questions
from jnlp_family.similarity import Split, similarity, similarity_pairs
from jnlp_search.analyse import analyser
from jnlp_search.fuse import convex
from jnlp_search.options import ANALYSER
from jnlp_search.query.bm25 import Ranking, Words
from jnlp_search.query.candidates import CANDIDATES
from jnlp_search.store.catalog import Catalog
from jnlp_search.store.postings import Postings
from jnlp_search.store.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jnlp.types import Embedder
    from jnlp_family.search.jaquad import Retrieval
    from jnlp_search.analyse import Query

    Ranks = NDArray[np.int64]
    Cosines = NDArray[np.float32]

WEIGHTS = tuple(round(0.05 * step, 2) for step in range(21))
"""The weights of the vectors that are tried on development articles."""

WORDS, FULL_TEXT, FUSED = "BM25 (words)", "full text (words and phrases)", "fused"
BEST = 10


def full_text(task: Retrieval, /) -> tuple[list[dict[int, float]], list[dict[int, float]]]:
    """Return BM25 by passage for each question: of words, and of words and phrases as in `jnlp search`."""
    words = analyser(ANALYSER)
    forms = [list(words.forms(text)) for text in task.passages]
    both = list(map(words.query, task.queries))
    found = ranked(forms, [*(replace(query, pairs=()) for query in both), *both])
    return found[: len(both)], found[len(both) :]


def ranked(words: Sequence[Sequence[str]], queries: Sequence[Query], /) -> list[dict[int, float]]:
    """Return BM25 by passage for each query.

    Args:
        words: The index words of each passage.
        queries: What to search for.
    """
    with Catalog(sqlite3.connect(":memory:", isolation_level=None), Path(":memory:")) as catalog:
        catalog.db.executescript(TABLES)
        rows = ((number, " ".join(forms)) for number, forms in enumerate(words))
        catalog.db.executemany("INSERT INTO fulltext (rowid, words) VALUES (?, ?)", rows)
        postings = Postings(catalog)
        postings.sync(1)
        ranking = Ranking([Words(postings)])
        return [ranking.lexical(query, CANDIDATES) for query in queries]


def cosines(embedder: Embedder, task: Retrieval, widths: Sequence[int] = (), /) -> dict[int, Cosines]:
    """Return cosines, float32 `[questions, passages]`, by vector width: 0 is the full width."""
    return cosines_of(embedder, task.queries, task.passages, widths=(0, *widths))


def lexical_ranks(found: Sequence[Mapping[int, float]], task: Retrieval, /) -> Ranks:
    """Return the rank of each question's passage by BM25, ties counted against it."""
    pairs = zip(found, task.relevant, strict=True)
    return np.array([retrieval.rank_in(scores, relevant) for scores, relevant in pairs])


def fused_ranks(lexical: Sequence[Mapping[int, float]], found: Cosines, task: Retrieval, weight: float, /) -> Ranks:
    """Return the rank of each question's passage in the fused results of both retrievers.

    Candidates are the best passages of each retriever. A candidate that only one retriever found gets its exact cosine,
    or a BM25 score of 0.
    """
    count = min(CANDIDATES, found.shape[1])
    ranks = np.empty(len(found), np.int64)
    for number, (words, row) in enumerate(zip(lexical, found, strict=True)):
        nearest = np.argpartition(-row, count - 1)[:count].tolist()
        dense = {passage: float(row[passage]) for passage in {*nearest, *words}}
        scores = convex(words, dense, weight) if words else dense
        ranks[number] = retrieval.rank_in(scores, task.relevant[number])
    return ranks


def choose_weight(lexical: Sequence[Mapping[int, float]], found: Cosines, task: Retrieval, /) -> dict[float, float]:
    """Return nDCG@10 by weight of the vectors, best first."""
    scores = {
        weight: float(retrieval.ndcg_at(fused_ranks(lexical, found, task, weight), BEST).mean()) for weight in WEIGHTS
    }
    return dict(sorted(scores.items(), key=lambda item: -item[1]))


def measure(
    data: Path, models: Mapping[str, Embedder], /, *, final: bool, most: int = 0, widths: Sequence[int] = ()
) -> dict[str, Any]:
    """Measure full text and embedders on development articles, and with `final` on the valid split.

    Args:
        data: The folder that contains `tasks/jaquad` and `tasks/jsts`.
        models: `model`, which is also fused with full text, and `base`, the mean-pooled model it was trained from.
        final: Also use the valid split.
        most: The maximum number of questions of a split; 0 is all.
        widths: Also measure `model`'s vectors truncated to these widths.
    """
    report: dict[str, Any] = {"model": "embedder"}
    task = limit_questions(questions(data, Split.DEVELOPMENT), most)
    lexical, found = full_text(task), _all_cosines(models, task, widths)
    weight = 0.0
    if "model" in found:
        weights = choose_weight(lexical[1], found["model"], task)
        weight = next(iter(weights))
        report |= {"dense_weight": weight, "ndcg_by_weight": {str(k): weights[k] for k in WEIGHTS}}
    report["development"] = _retrieval(task, lexical, found, weight) | _similarity(data, Split.DEVELOPMENT, models)
    if final:
        task = limit_questions(questions(data, Split.FINAL), most)
        lexical, found = full_text(task), _all_cosines(models, task, widths)
        report["final"] = _retrieval(task, lexical, found, weight) | _similarity(data, Split.FINAL, models)
    return report


def _all_cosines(models: Mapping[str, Embedder], task: Retrieval, widths: Sequence[int]) -> dict[str, Cosines]:
    """Return cosines by system: a model's name, and `NAME, first N` for its narrower vectors."""
    found: dict[str, Cosines] = {}
    for name, model in models.items():
        for width, table in cosines(model, task, widths if name == "model" else ()).items():
            found[f"{name}, first {width}" if width else name] = table
    return found


def limit_questions(task: Retrieval, most: int, /) -> Retrieval:
    """Return a task with only its first questions; `most` 0 is all of them."""
    if not most:
        return task
    return type(task)(task.passages, task.queries[:most], task.relevant[:most])


def _retrieval(
    task: Retrieval,
    lexical: tuple[list[dict[int, float]], list[dict[int, float]]],
    found: Mapping[str, Cosines],
    weight: float,
) -> dict[str, Any]:
    ranks = {WORDS: lexical_ranks(lexical[0], task), FULL_TEXT: lexical_ranks(lexical[1], task)}
    ranks |= {name: dense_ranks(cosine, task.relevant) for name, cosine in found.items()}
    against = {}
    if "model" in found:
        ranks[FUSED] = fused_ranks(lexical[1], found["model"], task, weight)
        ndcg = {name: retrieval.ndcg_at(own, BEST) for name, own in ranks.items()}
        against = {name: asdict(retrieval.paired_bootstrap(ndcg[FUSED], ndcg[name])) for name in (WORDS, FULL_TEXT)}
    return {
        "passages": len(task.passages),
        "questions": len(task.queries),
        "systems": {name: retrieval.summary(own, BEST) for name, own in ranks.items()},
        "fused_against": against,
    }


def _similarity(data: Path, split: Split, models: Mapping[str, Embedder]) -> dict[str, Any]:
    if not models:
        return {}
    pairs = similarity_pairs(data, split)
    return {
        "jsts_pairs": len(pairs.scores),
        "jsts_spearman": {name: similarity(model, pairs) for name, model in models.items()},
    }


def main(arguments: Sequence[str] | None = None, /) -> int:
    """Measure, write `scores.json`, and return the exit status."""
    args = _parser().parse_args(arguments)
    return status_of(lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    from importlib.metadata import version

    from jnlp.encoder.files import digest_weights
    from jnlp.encoder.load import load_embedder
    from jnlp.encoder.runtime import Runtime

    start = time.monotonic()
    runtime = Runtime(threads=args.threads)

    def load(folder: Path) -> Embedder:
        return cast("Embedder", load_embedder(folder, runtime=runtime))

    if args.model is None and args.out is None:
        raise JnlpError("there is no model folder to write scores.json into", hint="name the file with -o")
    models = {name: load(folder) for name, folder in (("model", args.model), ("base", args.base)) if folder}
    report = measure(args.data, models, final=args.final, most=args.questions, widths=_widths(args.model))
    report["command"] = _command(args)
    report["weights"] = digest_weights(args.model) if args.model else None
    report["date"] = datetime.now(UTC).date().isoformat()
    report["measured_with"] = {name: version(name) for name in ("jnlp", "torch", "sudachidict_core")}
    text = dumps(report, indent=2) + "\n"
    (args.out or args.model / "scores.json").write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    sys.stderr.write(f"{time.monotonic() - start:.0f} s\n")


def _widths(model: Path | None) -> tuple[int, ...]:
    """Return the truncated widths that a model was trained for, from its training record."""
    path = model / "metrics.json" if model else None
    if path is None or not path.is_file():
        return ()
    found = json.loads(path.read_text(encoding="utf-8"))
    return tuple(found.get("details", {}).get("options", {}).get("dimensions", ()))


def _command(args: argparse.Namespace) -> str:
    """Return this run's command line, with folder names but without their paths."""
    folders = "".join(f" --{name} {getattr(args, name).name}" for name in ("model", "base") if getattr(args, name))
    most = f" --questions {args.questions}" if args.questions else ""
    return f"python -m jnlp_family.search.measure DATA{folders}{most}{' --final' if args.final else ''}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jnlp_family.search.measure", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("data", type=Path, help="the folder that contains tasks/jaquad and tasks/jsts")
    parser.add_argument("--model", type=Path, help="the embedder's folder (default: full text alone)")
    parser.add_argument("--base", type=Path, help="the folder it was made from, to compare with, mean-pooled")
    parser.add_argument("--final", action="store_true", help="use the valid splits: only for the final table")
    parser.add_argument("--questions", type=int, default=0, help="the most questions of a split (default: all)")
    parser.add_argument("--threads", type=int, help="processor threads")
    parser.add_argument("-o", "--out", type=Path, help="the file to write (default: scores.json in the model folder)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
