"""The sample documents are what the demo and the docs promise: encodings, sizes, answers."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
DOCUMENTS = EXAMPLES / "documents"

# name: (encoding, line end, fewest characters without white space)
TABLE = {
    "contract.txt": ("utf-8", "\n", 10_000),
    "disaster-manual.md": ("utf-8", "\n", 2_000),
    "faq.csv": ("utf-8", "\n", 1_500),
    "humidifier-manual.md": ("utf-8", "\n", 5_500),
    "incident-report.md": ("utf-8", "\n", 1_500),
    "meeting-minutes.txt": ("utf-8", "\n", 1_200),
    "network-request.html": ("utf-8", "\n", 1_500),
    "ocean-abstract.html": ("utf-8", "\n", 1_500),
    "railway-memoir.txt": ("euc_jp", "\n", 2_500),
    "recipes.md": ("utf-8", "\n", 1_500),
    "story.txt": ("cp932", "\r\n", 10_000),
    "travelogue.txt": ("utf-8", "\n", 1_700),
    "work-rules.txt": ("utf-8", "\n", 6_000),
}
FOREIGN = {"utf-8": ("cp932", "euc_jp"), "cp932": ("utf-8", "euc_jp"), "euc_jp": ("utf-8",)}


def decode(name: str) -> str:
    return (DOCUMENTS / name).read_bytes().decode(TABLE[name][0])


def records(name: str) -> list[dict[str, str]]:
    lines = (EXAMPLES / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text), strict=True))


def test_the_folder_holds_exactly_the_declared_documents() -> None:
    assert sorted(path.name for path in DOCUMENTS.iterdir()) == sorted(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_a_document_stands_in_its_declared_encoding(name: str) -> None:
    encoding, line_end, fewest = TABLE[name]
    text = decode(name)
    ends = Counter("\r\n" if line.endswith("\r\n") else line[-1] for line in text.splitlines(True))
    assert set(ends) == {line_end}
    assert len("".join(text.split())) >= fewest
    assert not {"\ufffd", "\ufeff"} & set(text)
    for other in FOREIGN[encoding]:
        with pytest.raises(UnicodeDecodeError):
            (DOCUMENTS / name).read_bytes().decode(other)


def test_the_shift_jis_story_needs_the_windows_table() -> None:
    raw = (DOCUMENTS / "story.txt").read_bytes()
    assert "髙瀬時計店" in raw.decode("cp932")
    with pytest.raises(UnicodeDecodeError):
        raw.decode("shift_jis")


def test_four_documents_are_long_and_two_very_long() -> None:
    sizes = sorted((len(decode(name)) for name in TABLE), reverse=True)
    assert sizes[1] >= 10_000
    assert sizes[3] >= 6_000


@pytest.mark.parametrize("query", records("queries.jsonl"), ids=lambda query: query["query"])
def test_a_passage_stands_in_its_document_alone(query: dict[str, str]) -> None:
    passage = query["passage"]
    assert not set("\n<|*") & set(passage)
    holders = [name for name in TABLE if passage in decode(name)]
    assert holders == [query["document"]]
    assert decode(query["document"]).count(passage) == 1


def test_the_queries_are_many_distinct_and_cover_every_document() -> None:
    queries = records("queries.jsonl")
    assert len(queries) >= 24
    assert len({query["query"] for query in queries}) == len(queries)
    assert {query["document"] for query in queries} == set(TABLE)


def test_the_faq_is_a_table_of_three_columns() -> None:
    rows = table(decode("faq.csv"))
    assert len(rows) >= 25
    assert all(list(row) == ["質問", "回答", "区分"] and all(row.values()) for row in rows)
    assert len({row["質問"] for row in rows}) == len(rows)


def test_the_reviews_are_balanced_and_distinct() -> None:
    rows = table((EXAMPLES / "reviews.csv").read_text(encoding="utf-8"))
    assert all(list(row) == ["id", "本文", "評価"] for row in rows)
    assert Counter(row["評価"] for row in rows) == {"良い": 240, "悪い": 240}
    assert len({row["id"] for row in rows}) == len({row["本文"] for row in rows}) == 480


def test_the_comments_are_forty_and_distinct() -> None:
    rows = records("comments.jsonl")
    assert all(list(row) == ["id", "text"] and row["text"] for row in rows)
    assert len({row["id"] for row in rows}) == len({row["text"] for row in rows}) == 40
