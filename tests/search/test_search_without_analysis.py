"""A passage is analysed only where it must be: the results are those of analysing every passage."""

from __future__ import annotations

import json
import lzma
import random

import pytest

from jnlp.types import Record
from jnlp_search import Index
from jnlp_search.analyse import Word, _fold, _form, _pieces, analyser
from jnlp_search.offsets import IndexWords, packed
from jnlp_search.query.view import View

PARTS = (
    "契約は三か月前に予告して解約できる",
    "二〇二四年三月に１，２００円を支払う",
    "打ち合わせはコンピューターで行う",
    "吾輩は猫である",
    "C++とＣ＃を説明する",
    "ソフト\u00adウェアの更新",
    "シーアイイーの資料を閲覧する",
    "賃料は12.5%上がった",
    "猫が雨の中で鳴いた",
)
QUERIES = (
    "契約の解約",
    "打合せ",
    "1200円",
    "猫の雨",
    "ソフト\u00adウェア",
    "C++",
    "シーアイイー",
    "12.5%",
    "犬",
    "の",
    "🎉",
)

OPTIONS = ({}, {"retriever": "lexical"}, {"retriever": "dense"}, {"offset": 3}, {"evidence": True}, {"merge": False})


def passages(count: int) -> list[str]:
    chance = random.Random(7)
    return ["。".join(chance.choices(PARTS, k=chance.randint(1, 5))) + f"。第{n}条" for n in range(count)]


def analysed(text: str) -> list[Word]:
    """The words by the form and the part of speech of each morpheme, as the analyser first found them."""
    words, folded = analyser("sudachi"), _fold(text)
    found = []
    for base, piece in _pieces(folded.text):
        for morpheme in words._tokenizer().tokenize(piece):
            known = _form(morpheme.normalized_form(), *morpheme.part_of_speech()[:2])
            if known is not None:
                start, end = folded.span(base + morpheme.begin(), base + morpheme.end())
                found.append(Word(known[0], start, end, *known[1:]))
    return found


def test_words_are_those_of_forms_and_parts_of_speech(shared):
    texts = passages(40)
    for name in ("wikinews-000", "board-000", "laws-000"):
        with lzma.open(shared / f"corpus/{name}.jsonl.xz", "rt", encoding="utf-8") as lines:
            texts += [json.loads(next(lines))["text"][:3_000] for _ in range(8)]
    words = analyser("sudachi")
    for text in texts + texts[:5]:
        expected = analysed(text)
        assert list(words.words(text)) == expected
        assert list(words.forms(text)) == [word.form for word in expected]


@pytest.mark.parametrize("name", ["sudachi", "bigram"])
def test_hits_are_those_of_analysing_every_passage(tmp_path, engine, monkeypatch, name):
    records = [Record(f"{n}", text) for n, text in enumerate(passages(60))]
    records.append(Record("題", "# 契約\n\n解約できる。\n\n## 猫\n\n雨が降る。"))
    with Index.open(tmp_path / "my.idx", engine) as index:
        index.add(records, analyser=name, chunker="headings")
        found = [index.search(query, explain=True, **how) for query in QUERIES for how in OPTIONS]
        monkeypatch.setattr(View, "marks", lambda *_: {})
        assert found == [index.search(query, explain=True, **how) for query in QUERIES for how in OPTIONS]
    assert any(hit.highlights for hits in found for hit in hits)


def test_a_passage_without_the_words_is_not_analysed(tmp_path, engine, monkeypatch):
    with Index.open(tmp_path / "my.idx", engine) as index:
        index.add([Record(f"{n}", text) for n, text in enumerate(passages(60))])
        seen = []
        words = type(analyser("sudachi")).words
        monkeypatch.setattr(
            type(analyser("sudachi")), "words", lambda self, text, *only: seen.append(text) or words(self, text, *only)
        )
        hits = index.search("吾輩の資料", top=30)
    without = {hit.text for hit in hits if not hit.highlights}
    assert without
    assert not without & set(seen)


def test_an_index_of_another_dictionary_is_analysed(tmp_path, engine, monkeypatch):
    words = analyser("sudachi")
    with Index.open(tmp_path / "my.idx", engine) as index:
        with monkeypatch.context() as older:
            older.setattr(words, "version", "older")
            older.setattr("jnlp_search.builder.index_words", lambda *_: IndexWords("別の 語", packed([(0, 1), (1, 2)])))
            index.add([Record("1", "吾輩は猫である。")])
        [hit] = index.search("猫")
    assert [hit.text[start:end] for start, end in hit.highlights] == ["猫"]
