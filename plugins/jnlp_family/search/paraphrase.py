"""Questions that share no content word with the passage that answers them, chosen by rule.

A content word is a word that `jnlp search` looks for: Sudachi's nouns, verbs, adjectives and the like, in their normal
forms (`Query.forms`). A question of at least two of them counts if none is among the words of its passage, which has at
least thirty characters: then only meaning leads from one to the other.
"""

from __future__ import annotations

import json
import lzma
from typing import TYPE_CHECKING, Any

from jnlp_family.search.jaquad import Retrieval
from jnlp_search.analyse import analyser
from jnlp_search.options import ANALYSER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Rows = tuple[int, int | None]
"""The first row that is used, and the one after the last; None is all."""

SOURCES: dict[str, Rows] = {"answers": (0, None), "faq": (0, None), "lawqa": (0, None), "sections": (0, 2_500)}
"""Sets of pairs that no built-in model was trained on, and which of their rows are used."""

LEAST_WORDS, LEAST_CHARACTERS = 2, 30


def pairs(data: Path, sources: Mapping[str, Rows] = SOURCES, /) -> list[tuple[str, str]]:
    """Return the questions and passages of some sources."""
    found = []
    for name, (first, stop) in sources.items():
        for path in sorted((data / "tasks" / name).glob("train.jsonl*")):
            text = (lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()).decode("utf-8")
            rows: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()[first:stop]]
            found += [(row["query"], row["positive"]) for row in rows if isinstance(row["positive"], str)]
    return found


def without_common_words(rows: Iterable[tuple[str, str]], /) -> list[int]:
    """Return the numbers of the pairs that the rule chooses.

    Example:
        >>> answer = "ペットは毎日散歩させ、新鮮な水とえさを与えて世話をしましょう。"
        >>> without_common_words([("犬の飼い方を知りたい", answer), ("散歩の時間は何分か", answer)])
        [0]
    """
    words = analyser(ANALYSER)
    found = []
    for number, (question, passage) in enumerate(rows):
        asked = set(words.query(question).forms)
        if len(asked) < LEAST_WORDS or len(passage) < LEAST_CHARACTERS:
            continue
        if not asked & {word.form for word in words.words(passage)}:
            found.append(number)
    return found


def task(rows: Sequence[tuple[str, str]], /) -> Retrieval:
    """Return the chosen questions over the passages of all pairs."""
    places: dict[str, int] = {}
    for _question, passage in rows:
        places.setdefault(passage, len(places))
    chosen = [rows[number] for number in without_common_words(rows)]
    queries = tuple(question for question, _ in chosen)
    return Retrieval(tuple(places), queries, tuple(places[passage] for _, passage in chosen))
