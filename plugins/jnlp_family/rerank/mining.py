"""The questions of `tiny-rerank` with the passages that search finds for them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from jnlp.encoder.tokenizer import load_tokenizer
from jnlp.encoder.vectors import unit
from jnlp.errors import JnlpError
from jnlp.types import Purpose
from jnlp_family.rerank.material import Asked, Material, Ragged
from jnlp_family.search.jaquad import Retrieval, questions
from jnlp_family.search.material import paired, rows
from jnlp_family.search.measure import limit_questions, ranked
from jnlp_family.similarity import Split
from jnlp_search.analyse import analyser
from jnlp_search.fuse import shares
from jnlp_search.options import ANALYSER
from jnlp_search.query.candidates import CANDIDATES
from jnlp_search.query.excerpt import Excerpts, piece_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from jnlp.types import Embedder

    Ids = NDArray[np.int64]

KEPT, RANKED = 12, 30
"""Wrong passages of a training question, and passages that are ranked for one of development."""

OTHERS = ("definitions", "sections", "faq", "lawqa", "answers")
"""Task sets that are asked in addition to JaQuAD."""

OFTEN, _BLOCK = 0.08, 512
"""The share of passages with a piece from which on it does not count."""

SHORTEST = 15
"""Characters of a document of those; what is shorter is an answer by itself."""

Shares = dict[int, tuple[float, float]]
"""Of passages, BM25 and cosine, scaled over the candidates."""


def tasks(data: Path, /, *, most: int = 0) -> dict[str, Retrieval]:
    """Return the tasks of training by name; `most` limits the questions of each, 0 does not."""
    made = {"jaquad": limit_questions(questions(data, Split.TRAIN), most)}
    for name in OTHERS:
        pairs = [pair for pair in paired(data, name) if len(pair.document) >= SHORTEST][: most or None]
        documents = {text: number for number, text in enumerate(dict.fromkeys(pair.document for pair in pairs))}
        queries = tuple(pair.query for pair in pairs)
        made[name] = Retrieval(tuple(documents), queries, tuple(documents[pair.document] for pair in pairs))
    return made


def answers(data: Path, /) -> dict[str, set[str]]:
    """Return the answers of JaQuAD's training questions."""
    known: dict[str, set[str]] = defaultdict(set)
    for row in rows(data / "tasks/jaquad/train.jsonl.xz"):
        known[row["question"]].update(answer["text"] for answer in row["answers"])
    return known


@dataclass(frozen=True, slots=True)
class Row:
    """A question with passages, numbered in its task."""

    question: int
    passages: list[int]
    starts: list[int]
    right: int
    shares: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Part:
    """A task's texts as ids, and its rows."""

    questions: list[Ids]
    passages: list[Ids]
    rows: list[Row]


def of_training(task: Retrieval, known: Mapping[str, set[str]], folder: Path, room: int, /) -> Part:
    """Return the right passage of each question and the first wrong ones by BM25 of pieces, which takes seconds.

    Args:
        task: Questions and passages.
        known: Answers by question: a passage that has one is not wrong.
        folder: The folder of the tokenizer.
        room: Tokens of a passage that are read.
    """
    asked, held, weights = _read(task, folder)
    made: list[Row] = []
    for number, order in enumerate(by_pieces(asked, held, len(weights), 3 * KEPT)):
        right, told = task.relevant[number], known.get(task.queries[number], set())
        wrong = [at for at in order if at != right and not any(answer in task.passages[at] for answer in told)]
        made.append(_row(number, [right, *wrong[:KEPT]], 0, {}, Excerpts(weights, asked[number]), held, room))
    return Part(asked, held, made)


def by_pieces(asked: Sequence[Ids], held: Sequence[Ids], vocabulary: int, most: int, /) -> Iterator[list[int]]:
    """Yield the first passages for each question by BM25 of their pieces; frequent pieces do not count.

    Args:
        asked: Ids of the questions.
        held: Ids of the passages.
        vocabulary: Number of ids.
        most: Passages of a question.
    """
    from scipy.sparse import csr_array

    def counted(texts: Sequence[Ids]) -> Any:
        ids, lengths = np.concatenate(texts), np.array([len(text) for text in texts])
        lines = np.repeat(np.arange(len(texts)), lengths)
        found = csr_array((np.ones(len(ids), np.float32), (lines, ids)), shape=(len(texts), vocabulary))
        found.sum_duplicates()
        return found

    passages, queries = counted(held), counted(asked)
    holding = np.bincount(passages.indices, minlength=vocabulary)
    worth = np.log(1 + (len(held) - holding + 0.5) / (holding + 0.5)).astype(np.float32)
    worth[holding > max(OFTEN * len(held), 5)] = 0.0
    lengths = passages.sum(axis=1)
    lines = np.repeat(np.arange(len(held)), np.diff(passages.indptr))
    damped = passages.data + 1.2 * (0.25 + 0.75 * lengths[lines] / lengths.mean())
    passages.data = 2.2 * passages.data / damped * worth[passages.indices]
    passages.eliminate_zeros()
    columns = passages.T.tocsr()
    queries.data = np.minimum(queries.data, 1.0)
    for begin in range(0, len(asked), _BLOCK):
        scores = queries[begin : begin + _BLOCK] @ columns
        for first, last in pairwise(scores.indptr.tolist()):
            own = scores.data[first:last]
            best = np.argpartition(-own, most)[:most] if len(own) > most else np.arange(len(own))
            yield scores.indices[first:last][best[np.argsort(-own[best], kind="stable")]].tolist()


def of_development(task: Retrieval, embedder: Embedder, folder: Path, room: int, /) -> Part:
    """Return the passages that hybrid search ranks first for each question.

    Args:
        task: Questions and passages.
        embedder: `tiny-search`.
        folder: Its folder.
        room: Tokens of a passage that are read.
    """
    asked, held, weights = _read(task, folder)
    share = embedder.search.dense_weight if embedder.search else 0.5
    made: list[Row] = []
    for number, (order, scores) in enumerate(hybrid(task, embedder, share)):
        chosen, right = order[:RANKED], task.relevant[number]
        place = chosen.index(right) if right in chosen else -1
        made.append(_row(number, chosen, place, scores, Excerpts(weights, asked[number]), held, room))
    return Part(asked, held, made)


def _read(task: Retrieval, folder: Path) -> tuple[list[Ids], list[Ids], NDArray[np.float32]]:
    tokenizer = load_tokenizer(folder)
    asked, held = (
        [np.asarray(body.ids, np.int64) for body in tokenizer.bodies(texts)] for texts in (task.queries, task.passages)
    )
    weights = piece_weights(folder)
    if weights is None:
        raise JnlpError(f"{folder} has no unigram tokenizer", hint="give the folder of tiny-search")
    return asked, held, weights


def _row(
    number: int, chosen: list[int], right: int, scores: Shares, excerpts: Excerpts, held: Sequence[Ids], room: int
) -> Row:
    starts = [excerpts.start(held[at], room) for at in chosen]
    return Row(number, chosen, starts, right, [scores.get(at, (0.0, 0.0)) for at in chosen])


def join(training: Sequence[Part], development: Part, room: int, /) -> Material:
    """Return parts as one."""
    parts = [*training, development]
    questions = Ragged.of([one for part in parts for one in part.questions])
    passages = Ragged.of([one for part in parts for one in part.passages])
    asked, held = (
        np.cumsum([0, *(len(getattr(part, name)) for part in parts)]).tolist() for name in ("questions", "passages")
    )
    moved = [
        [
            Row(row.question + asked[at], [held[at] + one for one in row.passages], row.starts, row.right, row.shares)
            for row in part.rows
        ]
        for at, part in enumerate(parts)
    ]
    train = [row for own in moved[:-1] for row in own]
    return Material(room, questions, passages, _table(train, KEPT + 1), _table(moved[-1], RANKED))


def _table(made: Sequence[Row], width: int) -> Asked:
    passages = np.full((len(made), width), -1, np.int64)
    starts = np.zeros_like(passages)
    shared = np.zeros((*passages.shape, 2), np.float32)
    for number, row in enumerate(made):
        count = len(row.passages)
        passages[number, :count], starts[number, :count], shared[number, :count] = row.passages, row.starts, row.shares
    numbers, right = (np.array([getattr(row, key) for row in made], np.int64) for key in ("question", "right"))
    return Asked(numbers, passages, starts, right, shared)


def lexical(task: Retrieval, /) -> list[dict[int, float]]:
    """Return BM25 by passage for each question, as `jnlp search` computes it."""
    words = analyser(ANALYSER)
    return ranked([tuple(words.forms(text)) for text in task.passages], list(map(words.query, task.queries)))


def hybrid(task: Retrieval, embedder: Embedder, share: float, /) -> Iterator[tuple[list[int], Shares]]:
    """Yield, for each question, the passages of both retrievers by the fused score, and BM25 and cosine as shares.

    Args:
        task: Questions and passages.
        embedder: Makes the vectors.
        share: That of the vectors in the fusion.
    """
    held = unit(embedder.embed(task.passages, purpose=Purpose.DOCUMENT).vectors)
    cosines = unit(embedder.embed(task.queries, purpose=Purpose.QUERY).vectors) @ held.T
    count = min(CANDIDATES, len(held))
    for row, own in zip(cosines, lexical(task), strict=True):
        near = np.argpartition(-row, count - 1)[:count].tolist()
        dense = {passage: float(row[passage]) for passage in {*near, *own}}
        bm25, cosine = shares(own, dense)
        fused = {at: share * cosine[at] + (1 - share if own else 0.0) * bm25[at] for at in dense}
        order = sorted(fused, key=lambda at: (-fused[at], at))
        yield order, {at: (bm25[at], cosine[at]) for at in order[:RANKED]}


def mine(data: Path, base: Path, room: int, /, *, most: int = 0, say: Callable[[str], object]) -> Material:
    """Return what search finds for all questions.

    Args:
        data: The data folder.
        base: The folder of `tiny-search`.
        room: Tokens of a passage that are read.
        most: Maximum questions of a task, for a trial; 0 is all.
        say: Called with how far it is.
    """
    from jnlp.encoder.load import load_embedder
    from jnlp.encoder.runtime import Runtime

    known, parts = answers(data), []
    for name, task in tasks(data, most=most).items():
        parts.append(of_training(task, known if name == "jaquad" else {}, base, room))
        say(f"{name}: {len(task.queries):,} questions, {len(task.passages):,} passages")
    task = limit_questions(questions(data, Split.DEVELOPMENT), most)
    development = of_development(task, cast("Embedder", load_embedder(base, runtime=Runtime())), base, room)
    return join(parts, development, room)
