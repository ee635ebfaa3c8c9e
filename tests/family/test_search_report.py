"""The tables of search: questions without a common word by rule, and every system through a real index."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from jnlp_family.search import paraphrase, report
from jnlp_family.search.jaquad import Retrieval

PAIRS = [
    ("犬の飼い方を知りたい", "ペットは毎日散歩させ、新鮮な水とえさを与えて世話をしましょう。健康にも気を付けます。"),
    ("散歩の時間は何分か", "ペットは毎日散歩させ、新鮮な水とえさを与えて世話をしましょう。健康にも気を付けます。"),
    ("休暇は何日か", "短い。"),
    ("電話", "通話の料金は毎月の末日に口座から引き落とします。明細は郵便でお送りします。"),
    ("歩いた距離を測りたい", "散歩で歩くきょりは、地図の上で道のりを調べると分かります。三十分ならおよそ二キロです。"),
]


@pytest.mark.parametrize(
    ("pair", "chosen"),
    [
        (PAIRS[0], True),
        (PAIRS[1], False),  # 散歩
        (PAIRS[2], False),  # too short a passage
        (PAIRS[3], False),  # one word is no question
        (PAIRS[4], False),  # 歩いた is 歩く, however it is inflected
    ],
)
def test_the_rule(pair: tuple[str, str], chosen: bool) -> None:
    assert paraphrase.without_common_words([pair]) == ([0] if chosen else [])


def test_the_chosen_questions_are_asked_over_all_passages() -> None:
    found = paraphrase.task(PAIRS)
    assert found.queries == ("犬の飼い方を知りたい",)
    assert found.passages[found.relevant[0]] == PAIRS[0][1]
    assert len(found.passages) == 4  # the first two are one


def test_there_are_two_hundred_of_them(shared: Path) -> None:
    if not (shared / "tasks/sections").is_dir():
        pytest.skip("the pairs are not among the shared data")
    assert len(paraphrase.without_common_words(paraphrase.pairs(shared))) >= 200


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    passages = ("休暇は年に二十日とする。", "給与は月末に支払う。", "出張の日当は二千円とする。")
    asked = Retrieval(passages, ("休暇は何日か", "日当はいくらか"), (0, 2))
    tasks = {report.PASSAGES: asked, report.ARTICLES: asked}
    return report.measure(tasks, {"tiny-search": "tiny-search"}, folder=tmp_path_factory.mktemp("report"))


def test_every_system_is_measured(rows: list[dict[str, object]]) -> None:
    peer = [report.BM25S] if importlib.util.find_spec("bm25s") else []
    plain = [report.TEXT, report.DENSE, report.HYBRID]
    found = [(row["task"], row["system"]) for row in rows]
    late = [report.LATE, report.LATE_HYBRID]
    assert found == [
        *((report.PASSAGES, name) for name in [*peer, *plain, report.EXACT]),
        *((report.ARTICLES, name) for name in [*peer, *plain, *late, report.EXACT]),
    ]
    scores = {(row["task"], row["system"]): row for row in rows}
    assert scores[report.PASSAGES, report.TEXT]["ndcg"] == 1.0  # each answer has its question's word
    assert all(0 <= row["ndcg"] <= row["recall"] <= 1 for row in rows)


def test_the_tables_have_every_row(rows: list[dict[str, object]]) -> None:
    sizes = {name: {"questions": 2, "documents": 3} for name in (report.PASSAGES, report.ARTICLES)}
    text = report.markdown({"text": "Measured.", "tasks": sizes, "rows": rows})
    assert text.startswith("Measured.\n\nJaQuAD valid, question → passage: 2 questions over 3 texts.")
    assert text.count("\n| ") == len(rows) + 2 * 2


def test_hybrid_is_not_below_its_better_part() -> None:
    """By more than .002, on the tables of docs/quality.md, for either model."""
    found = json.loads((Path(report.__file__).with_name(report.NAME)).read_text(encoding="utf-8"))
    scores = {(row["task"], row["model"], row["system"]): row["ndcg"] for row in found["rows"]}
    models = {row["model"] for row in found["rows"] if row["model"]}
    assert len(models) == 2
    for task in (report.PASSAGES, report.ARTICLES):
        for model in models:
            better = max(scores[task, "", report.TEXT], scores[task, model, report.DENSE])
            assert scores[task, model, report.HYBRID] >= better - 0.002, (task, model)
