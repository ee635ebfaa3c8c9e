"""What the search benchmark searches: clustered vectors, and passages of real sentences.

Vectors lie around centres, 200 to each, with a spectrum that falls as those of embeddings do. A passage is four
sentences drawn from the shared corpora (without these, from the sample documents), so that words have the frequencies
of real text; each sentence is analysed once, and comes in many passages of a large collection.
"""

from __future__ import annotations

import json
import lzma
from typing import TYPE_CHECKING

import numpy as np

from tests.benchmarks.contenders import BUILD, ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from jnlp_search.offsets import IndexWords

    Vectors = NDArray[np.float32]

QUERIES = 1_000
TRIED = 200
"""Queries whose exact neighbours are known."""

TOP = 10
OF_PASSAGE = 4
SENTENCES = 100_000
_CORPORA = ("wikinews-000", "laws-000", "aozora-000", "techbooks-000", "manual-000", "wikileads-000", "blog-000")
_SLICE = 50_000
JOIN = "\u3000\u3000"
"""What stands between the sentences of a passage."""

_WORDS: dict[str, tuple[str, list[list[int]]]] = {}


def folder(passages: int, dimension: int, /) -> Path:
    """Return the folder of the vectors, made on first use: `vectors.npy`, `queries.npy` and `exact.npy`."""
    made = BUILD / "search" / f"{passages}-{dimension}"
    if not (made / "exact.npy").is_file():
        made.mkdir(parents=True, exist_ok=True)
        kept, queries = clustered(passages, dimension)
        np.save(made / "vectors.npy", kept)
        np.save(made / "queries.npy", queries)
        np.save(made / "exact.npy", exact(kept, queries[:TRIED]))
    return made


def clustered(count: int, dimension: int, /) -> tuple[Vectors, Vectors]:
    """Return unit vectors `[count, dimension]` and queries near some of them."""
    chance = np.random.default_rng(7)
    spectrum = (1 / np.sqrt(1 + np.arange(dimension) / 8)).astype(np.float32)
    spectrum /= np.linalg.norm(spectrum)
    turn = np.linalg.qr(chance.standard_normal((dimension, dimension)))[0].astype(np.float32)

    def drawn(rows: int) -> Vectors:
        found: Vectors = (chance.standard_normal((rows, dimension), np.float32) * spectrum) @ turn
        return found

    centres = drawn(max(16, count // 200))
    kept = np.empty((count, dimension), np.float32)
    for first in range(0, count, _SLICE):
        part = kept[first : first + _SLICE]
        part[:] = centres[chance.integers(0, len(centres), len(part))] + 0.7 * drawn(len(part))
    kept /= np.linalg.norm(kept, axis=1, keepdims=True)
    queries = kept[chance.integers(0, count, QUERIES)] + 0.4 * drawn(QUERIES)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    return kept, queries


def exact(kept: Vectors, queries: Vectors, /) -> NDArray[np.int64]:
    """Return the ten nearest rows of each query, int64 `[n, 10]`."""
    scores = np.full((len(queries), TOP), -np.inf, np.float32)
    found = np.zeros((len(queries), TOP), np.int64)
    for first in range(0, len(kept), _SLICE):
        part = queries @ kept[first : first + _SLICE].T
        near = np.argpartition(-part, TOP, axis=1)[:, :TOP]
        joined = np.concatenate([scores, np.take_along_axis(part, near, 1)], axis=1)
        numbers = np.concatenate([found, near + first], axis=1)
        best = np.argsort(-joined, axis=1)[:, :TOP]
        scores, found = np.take_along_axis(joined, best, 1), np.take_along_axis(numbers, best, 1)
    return found


def sentences() -> list[str]:
    """Return real sentences of 15 to 120 characters; they are kept once they have been read."""
    kept = BUILD / "search" / "sentences.txt"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text("\n".join(_read()), encoding="utf-8")
    return kept.read_text(encoding="utf-8").split("\n")


def words(text: str, /) -> IndexWords:
    """Return Sudachi's words of a passage; each sentence is analysed once, and its words are kept."""
    from jnlp_search.offsets import IndexWords, packed

    if not _WORDS:
        kept, pool = BUILD / "search" / "words.jsonl", sentences()
        if not kept.is_file():
            kept.write_text("\n".join(json.dumps(_analysed(sentence)) for sentence in pool), encoding="utf-8")
        lines = kept.read_text(encoding="utf-8").split("\n")
        _WORDS.update((sentence, json.loads(line)) for sentence, line in zip(pool, lines, strict=True))
    forms: list[str] = []
    spans: list[tuple[int, int]] = []
    at = 0
    for sentence in text.split(JOIN):
        own, places = _WORDS.get(sentence, ("", []))
        forms += [own] if own else []
        spans += [(at + start, at + end) for start, end in places]
        at += len(sentence) + len(JOIN)
    return IndexWords(" ".join(forms), packed(spans))


def _analysed(sentence: str) -> tuple[str, list[tuple[int, int]]]:
    """Return the words of a sentence, and the span of each of their tokens, empty if it is a part of a word."""
    from jnlp_search.analyse import analyser
    from jnlp_search.store.tokens import tokens

    found = list(analyser("sudachi").words(sentence))
    spans = [
        (word.start if tokens(word.form) == (word.form,) else word.end, word.end)
        for word in found
        for _ in tokens(word.form)
    ]
    return " ".join(word.form for word in found), spans


def _read() -> list[str]:
    """Return sentences of the shared corpora, or of the sample documents."""
    from jnlp.text.sentences import sentences as split

    def chosen(text: str) -> list[str]:
        parts = (text[start:end].strip() for start, end in split(text))
        return [part for part in parts if 15 <= len(part) <= 120 and "\n" not in part and JOIN not in part]

    found: list[str] = []
    for name in _CORPORA:
        path = ROOT.parent / "shared" / "data" / "corpus" / f"{name}.jsonl.xz"
        enough = len(found) + SENTENCES // len(_CORPORA)
        if path.is_file():
            with lzma.open(path, "rt", encoding="utf-8") as file:
                for line in file:
                    found += chosen((json.loads(line).get("text") or "")[:20_000])
                    if len(found) >= enough:
                        break
    for path in [] if found else sorted((ROOT / "docs" / "examples" / "documents").glob("*.md")):
        found += chosen(path.read_text(encoding="utf-8"))
    return list(dict.fromkeys(found))
