"""`python -m jnlp_family.search.report DATA --model NAME=DIR …`: how well `jnlp search` finds, in `quality.json`.

Measured through `Index`, as a user has it, on JaQuAD's valid questions over passages and over whole articles (passages
rejoined), and on questions without a word in common with their passage (`paraphrase`). Next to it, if they are
installed, bm25s on the same words; and sentence-transformers' exact search over the same model's vectors.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import jnlp
from jnlp.errors import status_of
from jnlp.strict_json import dumps
from jnlp.training import retrieval
from jnlp.types import Embeddings, Purpose
from jnlp_family.search.jaquad import Retrieval, questions
from jnlp_family.search.paraphrase import pairs, task
from jnlp_family.similarity import Split, split_rows
from jnlp_family.tables import table
from jnlp_search import Index
from jnlp_search.analyse import analyser
from jnlp_search.options import ANALYSER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Ranks = NDArray[np.int64]

NAME = "quality.json"
BEST = 10
PASSAGES, ARTICLES, PARAPHRASE = "passages", "articles", "paraphrase"
TASKS = {
    PASSAGES: "JaQuAD valid, question → passage",
    ARTICLES: "JaQuAD valid, question → article",
    PARAPHRASE: "no content word in common",
}
TEXT, DENSE, HYBRID = "full text", "vectors", "hybrid"
LATE, LATE_HYBRID, RERANKED = "vectors, late chunking", "hybrid, late chunking", "hybrid, reranked"
BM25S, EXACT = "bm25s, same words", "sentence-transformers, exact"


@dataclass(frozen=True, slots=True)
class Asked:
    """How an index is asked for one system.

    Args:
        late: Whether its vectors were made by late chunking.
        options: Of the search.
    """

    late: bool
    options: Mapping[str, Any]


class Remembering:
    """An embedder that computes the vector of a query once: several systems ask the same ones.

    Args:
        embedder: The model.
    """

    def __init__(self, embedder: Any) -> None:
        self._embedder = embedder
        self._known: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    def embed(self, texts: Sequence[str], /, **how: Any) -> Embeddings:
        """Return the embeddings of texts."""
        if how.get("purpose") is not Purpose.QUERY:
            made: Embeddings = self._embedder.embed(texts, **how)
            return made
        if new := list(dict.fromkeys(text for text in texts if text not in self._known)):
            self._known |= dict(zip(new, self._embedder.embed(new, **how).vectors, strict=True))
        vectors = np.stack([self._known[text] for text in texts])
        ones = np.ones(len(texts), np.int64)
        return Embeddings(vectors, ones, np.zeros_like(ones))


class Engine:
    """What `Index` needs, with remembered queries.

    Args:
        engine: The engine.
    """

    def __init__(self, engine: jnlp.Engine) -> None:
        self._engine = engine
        self._embedders: dict[tuple[Any, ...], Remembering] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def models(self, asked: str | None = None, default: str | None = None, /) -> Any:
        """Return the models."""
        return Models(self._engine.models(asked, default), self._embedders)


class Models:
    """Models whose embedders remember queries.

    Args:
        models: The models.
        embedders: Those loaded so far, by name and changes.
    """

    def __init__(self, models: Any, embedders: dict[tuple[Any, ...], Remembering]) -> None:
        self._models, self._embedders = models, embedders

    def __getattr__(self, name: str) -> Any:
        return getattr(self._models, name)

    def embedder(self, model: str | None = None, /, **changes: Any) -> Remembering:
        """Return an embedder."""
        key = (model, *sorted(changes.items()))
        if key not in self._embedders:
            self._embedders[key] = Remembering(self._models.embedder(model, **changes))
        return self._embedders[key]


def articles(data: Path, /) -> Retrieval:
    """Return JaQuAD's valid questions over its articles, each put together from its passages."""
    parts: dict[str, dict[str, None]] = {}
    asked: list[tuple[str, str]] = []
    for row in split_rows(data / "tasks/jaquad", Split.FINAL, extension=".jsonl.xz", key="title"):
        parts.setdefault(row["title"], {})[row["context"]] = None
        asked.append((row["question"], row["title"]))
    numbers = {title: number for number, title in enumerate(parts)}
    texts = tuple("\n\n".join(contexts) for contexts in parts.values())
    return Retrieval(texts, tuple(q for q, _ in asked), tuple(numbers[title] for _, title in asked))


def systems(name: str, rerank: str | None, /, *, late: bool) -> Iterator[tuple[str, Asked]]:
    """Yield the systems that a task is measured with; late chunking only where documents are long, and if asked for."""
    yield DENSE, Asked(False, {"retriever": "dense"})
    yield HYBRID, Asked(False, {})
    if rerank is not None:
        yield RERANKED, Asked(False, {"rerank": rerank, "rerank_top": 30})
    if name == ARTICLES and late:
        yield LATE, Asked(True, {"retriever": "dense"})
        yield LATE_HYBRID, Asked(True, {})


def ranks(index: Index, asked: Retrieval, options: Mapping[str, Any], /) -> Ranks:
    """Return the rank of each question's document, or a large number where it is not among the first ten."""
    found = index.search_many(asked.queries, top=BEST, per_document=1, group=False, merge=False, **options)
    rows = []
    for hits, relevant in zip(found, asked.relevant, strict=True):
        names = [hit.document for hit in hits]
        rows.append(names.index(str(relevant)) + 1 if str(relevant) in names else 10**6)
    return np.array(rows)


def measure(
    asked: Mapping[str, Retrieval],
    models: Mapping[str, str],
    /,
    *,
    folder: Path,
    rerank: str | None = None,
    most: int = 0,
    late: bool = True,
) -> list[dict[str, Any]]:
    """Return a row for each task, model and system: nDCG@10, recall@10, and the seconds of a query.

    Args:
        asked: The tasks by name.
        models: Names or folders of embedders, by the name to print.
        folder: Where indexes are made.
        rerank: The folder of a reranker; it judges the thirty best passages, which takes most of the time.
        most: Maximum questions of a task; 0 is all.
        late: Whether articles are measured with late chunking too.
    """
    rows: list[dict[str, Any]] = []

    def note(name: str, model: str, system: str, found: Ranks, seconds: float) -> None:
        scores = {
            "ndcg": float(retrieval.ndcg_at(found, BEST).mean()),
            "recall": float(retrieval.recall_at(found, BEST).mean()),
        }
        row = {"task": name, "model": model, "system": system, "questions": len(found), **scores}
        rows.append({**row, "ms": 1000 * seconds / len(found)})
        sys.stderr.write(dumps(rows[-1]) + "\n")

    engine: Any = Engine(jnlp.load(device="cpu"))
    for name, whole in asked.items():
        part = Retrieval(whole.passages, whole.queries[: most or None], whole.relevant[: most or None])
        records = [jnlp.Record(str(number), text) for number, text in enumerate(part.passages)]
        if (found := bm25s(part)) is not None:
            note(name, "", BM25S, found, 0.0)
        for position, (model, place) in enumerate(models.items()):
            made: dict[bool, Index] = {}
            for system, how in systems(name, rerank, late=late):
                if how.late not in made:
                    made[how.late] = Index.open(folder / f"{name}-{position}-{how.late}.idx", engine, model=place)
                    made[how.late].add(records, pooling="late" if how.late else "passage")
                    if position == 0 and not how.late:
                        start = time.perf_counter()
                        lexical = ranks(made[False], part, {"retriever": "lexical"})
                        note(name, "", TEXT, lexical, time.perf_counter() - start)
                start = time.perf_counter()
                note(name, model, system, ranks(made[how.late], part, how.options), time.perf_counter() - start)
            for index in made.values():
                index.close()
            note(name, model, EXACT, exact(part, engine, place), 0.0)
    return rows


def bm25s(asked: Retrieval, /) -> Ranks | None:
    """Return the ranks by bm25s over the words of `jnlp search`; None where it is not installed."""
    if importlib.util.find_spec("bm25s") is None:
        return None
    import bm25s as peer  # type: ignore[import-not-found]  # a peer, which the project does not need

    words = analyser(ANALYSER)
    found = peer.BM25(k1=1.2, b=0.75)
    found.index([[word.form for word in words.words(text)] for text in asked.passages], show_progress=False)
    queries = [list(words.query(text).forms) or [""] for text in asked.queries]
    best, _ = found.retrieve(queries, k=min(BEST, len(asked.passages)), show_progress=False)
    pairs_of = zip(best.tolist(), asked.relevant, strict=True)
    return np.array([row.index(one) + 1 if one in row else 10**6 for row, one in pairs_of])


def exact(asked: Retrieval, engine: Any, model: str, /) -> Ranks:
    """Return the ranks by sentence-transformers' exact search over the same model's vectors, one a document."""
    import torch
    from sentence_transformers import util

    embedder = engine.models().embedder(model)
    held = np.asarray(embedder.embed(asked.passages, purpose=Purpose.DOCUMENT).vectors)
    queries = np.asarray(embedder.embed(asked.queries, purpose=Purpose.QUERY).vectors)
    asking, there = torch.from_numpy(queries), torch.from_numpy(held)
    rows = [[hit["corpus_id"] for hit in hits] for hits in util.semantic_search(asking, there, top_k=BEST)]
    pairs_of = zip(rows, asked.relevant, strict=True)
    return np.array([row.index(one) + 1 if one in row else 10**6 for row, one in pairs_of])


def markdown(found: Mapping[str, Any] | None = None, /) -> str:
    """Return the tables of `quality.json`, or of what was measured."""
    if found is None:
        path = files("jnlp_family") / "search" / NAME
        found = json.loads(path.read_text(encoding="utf-8"))
    parts = [found["text"]]
    for name, title in TASKS.items():
        rows = [row for row in found["rows"] if row["task"] == name]
        if not rows:
            continue
        size = found["tasks"][name]
        most = max(row["questions"] for row in rows)
        part = f"the first {most:,} of " if most < size["questions"] else ""
        parts.append(
            f"{title[0].upper()}{title[1:]}: {part}{size['questions']:,} questions over {size['documents']:,} texts."
        )
        cells = [
            (
                row["system"],
                row["model"] or "–",
                f"{row['questions']:,}",
                f"{row['ndcg']:.3f}",
                f"{row['recall']:.3f}",
            )
            for row in rows
        ]
        parts.append(table(("system", "model", "questions", "nDCG@10", "recall@10"), cells))
    return "\n\n".join(parts)


def main(arguments: Sequence[str] | None = None, /) -> int:
    """Measure, write, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder that contains tasks")
    parser.add_argument(
        "--model", action="append", required=True, metavar="NAME=DIR", help="an embedder; rows of others are kept"
    )
    parser.add_argument("--rerank", help="the folder of a reranker")
    parser.add_argument("--questions", type=int, default=0, help="maximum questions of a task")
    parser.add_argument("--tasks", default=",".join(TASKS), help="commas between")
    parser.add_argument("--no-late", action="store_true", help="leave late chunking out")
    parser.add_argument("-o", "--out", type=Path, help=f"the file to write; default: {NAME} next to this module")
    args = parser.parse_args(arguments)
    return status_of(lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    asked = {
        PASSAGES: questions(args.data, Split.FINAL),
        ARTICLES: articles(args.data),
        PARAPHRASE: task(pairs(args.data)),
    }
    asked = {name: one for name, one in asked.items() if name in args.tasks.split(",")}
    models = dict(one.split("=", 1) for one in args.model)
    with tempfile.TemporaryDirectory() as folder:
        most, late = args.questions, not args.no_late
        rows = measure(asked, models, folder=Path(folder), rerank=args.rerank, most=most, late=late)
    sizes = {name: {"questions": len(one.queries), "documents": len(one.passages)} for name, one in asked.items()}
    out = args.out or Path(__file__).with_name(NAME)
    known = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    kept = [row for row in known.get("rows", []) if not _same(row, rows)]
    made = {"text": known.get("text", ""), "tasks": known.get("tasks", {}) | sizes, "rows": [*kept, *rows]}
    out.write_text(dumps(made, indent=1) + "\n", encoding="utf-8")


def _same(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a row is measured again."""
    keys = ("task", "model", "system")
    return any(all(row[key] == other[key] for key in keys) for other in rows)


if __name__ == "__main__":
    sys.exit(main())
