"""The texts that the teacher reads: questions, passages, what people write; all may train a shipped model."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeVar

from jnlp_family.search import material
from jnlp_family.search.train import graded_pairs, jaquad_pairs, known_pairs, nli_pairs
from jnlp_family.similarity import Split, is_development

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

T = TypeVar("T")

LONGEST = 900
"""Characters of a text that are read."""

RUN = 8
"""Texts that stay together."""

TITLES = 0.35
"""Share of passages whose title, with its heading if there is one, is read as a question."""


class Role(IntEnum):
    """What a text is to the teacher: it decides the prefix."""

    QUERY = 0
    PASSAGE = 1


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a corpus.

    Args:
        name: The corpus.
        characters: How much is read of it.
        single: Whether its lines are texts of their own, four of five times.
        titled: Whether its titles are questions.
    """

    name: str
    characters: int
    single: bool = False
    titled: bool = False


PARTS = (
    Part("kyoto", 13_000_000, titled=True),
    Part("wikicountry", 1_600_000, titled=True),
    Part("wikileads", 900_000),
    Part("wikinews", 2_900_000, titled=True),
    Part("msdocs", 4_000_000, titled=True),
    Part("techbooks", 2_500_000, titled=True),
    Part("manual", 1_000_000, titled=True),
    Part("laws", 1_500_000),
    Part("blog", 2_200_000, titled=True),
    Part("quiz", 420_000, single=True),
    Part("survey", 2_000_000, single=True),
    Part("talks", 1_500_000),
    Part("partychat", 1_200_000),
    Part("personachat", 2_500_000),
    Part("tatoeba", 2_000_000, single=True),
    Part("tanaka", 600_000, single=True),
    Part("board", 450_000, single=True),
    Part("board2", 900_000, single=True),
    Part("aozora", 4_000_000),
    Part("asdc", 1_500_000),
    Part("recipes", 230_000),
    Part("reviews", 230_000),
    Part("keigo", 250_000, single=True),
)
"""What is read of the corpora: encyclopaedia first, then documentation and everyday talk."""


def texts(data: Path, /, *, share: float = 1.0, seed: int = 7) -> list[tuple[Role, str]]:
    """Return all texts once, without the development articles and pairs, in random order of runs of neighbours.

    Neighbours come from one article or one set: within a batch they are what is hard to tell apart.

    Args:
        data: The data folder.
        share: How much of each corpus and set, for a trial.
        seed: Of the order and of where passages end.
    """
    rng = random.Random(seed)
    found: dict[tuple[Role, str], None] = {}
    for role, text in _sets(data, share):
        found.setdefault((role, text.strip()[:LONGEST]))
    for part in PARTS:
        for role, text in _corpus(data, part, part.characters * share, rng):
            found.setdefault((role, text.strip()[:LONGEST]))
    kept = [key for key in found if len(key[1]) > 1]
    runs = [kept[start : start + RUN] for start in range(0, len(kept), RUN)]
    rng.shuffle(runs)
    return list(chain.from_iterable(runs))


def _sets(data: Path, share: float) -> Iterator[tuple[Role, str]]:
    pairs = [jaquad_pairs(data, Split.TRAIN), *(material.paired(data, name) for name in material.PAIRED)]
    for own in pairs:
        for pair in _few(own, share):
            yield Role.QUERY, pair.query
            yield Role.PASSAGE, pair.document
    for graded in _few(graded_pairs(data, Split.TRAIN), share):
        yield Role.QUERY, graded.first
        yield Role.QUERY, graded.second
    for pair in _few(nli_pairs(data, known_pairs(data)), share):
        yield Role.QUERY, pair.query
    for name, most, fields in (
        ("jcommonsenseqa", None, ("question",)),
        ("commonsense_moral", 5_000, ("sentence",)),
        ("synonyms", 6_000, ("query", "positive")),
    ):
        for row in _few(list(islice(material.rows(data / f"tasks/{name}/train.jsonl"), most)), share):
            yield from ((Role.QUERY, str(row[field])) for field in fields)


def _few(rows: list[T], share: float) -> list[T]:
    return rows[: max(1, int(len(rows) * share))]


def _corpus(data: Path, part: Part, most: float, rng: random.Random) -> Iterator[tuple[Role, str]]:
    """Yield a corpus's texts up to a number of characters, its records in random order."""
    rows = list(material.rows(data / f"corpus/{part.name}-000.jsonl.xz"))
    rng.shuffle(rows)
    used = 0
    for row in rows:
        title = str(row.get("title") or "").strip()
        if is_development(title):
            continue
        for role, text in _record(str(row["text"]), title, part, rng):
            if used >= most:
                return
            used += min(len(text), LONGEST)
            yield role, text


def _record(text: str, title: str, part: Part, rng: random.Random) -> Iterator[tuple[Role, str]]:
    """Yield single lines, passages of 1 to 800 characters and more, and titles."""
    heading, held, target = "", "", 0
    for line in filter(None, map(str.strip, text.split("\n"))):
        if line.startswith("■"):
            heading = line.lstrip("■ ").strip()
            continue
        if part.single and rng.random() < 0.8:
            yield (Role.PASSAGE if part.name == "quiz" or len(line) > 30 else Role.QUERY), line
            continue
        sentences = [line] if len(line) < 500 else [sentence + "。" for sentence in line.split("。") if sentence]
        for sentence in sentences:
            if not held:
                target = 0 if rng.random() < 0.2 else rng.randint(60, 800 if rng.random() < 0.15 else 450)
            held += ("\n" if held and len(sentences) == 1 else "") + sentence
            if len(held) < target:
                continue
            yield Role.PASSAGE, held
            held = ""
            if part.titled and title and rng.random() < TITLES:
                yield Role.QUERY, f"{title}の{heading}" if heading and rng.random() < 0.7 else title
