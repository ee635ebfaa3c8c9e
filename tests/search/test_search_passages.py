"""Where a passage stands, headings kept with their text, overlapping passages merged, sentences around a hit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jnlp.engine import Engine
from jnlp.text import headings
from jnlp.types import Mark, Record, Source
from jnlp_search.chunk import heading_chunker, sentence_chunker
from jnlp_search.index import Index
from jnlp_search.outline import Outline, outline_of
from jnlp_search.query.joining import around, join, overlap
from jnlp_search.render import heading
from jnlp_search.store.entries import Passage

from .conftest import CharacterTokenizer

CONTRACT = """賃貸借契約書

第1章 総則
第1条（目的）
本契約は、建物の賃貸借について定める。
第5章 解約
第30条（中途解約）
借主は、三か月前に予告して、本契約を解約できる。
第31条（違約金）
期間の途中で解約する借主は、違約金として賃料の一か月分を支払う。
"""


@pytest.fixture
def index(tmp_path, engine):
    with Index.open(tmp_path / "my.idx", engine) as opened:
        yield opened


def passages(text, budget, *, overlap=0, chunker=sentence_chunker):
    return [text[c.start : c.end] for c in chunker(text, CharacterTokenizer(), budget, overlap, headings(text))]


def test_a_hit_shows_the_headings_it_stands_under_and_its_line(index, tmp_path):
    path = tmp_path / "契約.txt"
    path.write_text(CONTRACT, encoding="utf-8")
    index.add([path], chunker="headings")
    hit = index.search("三か月前の予告", top=1)[0]
    assert hit.headings == ("第5章 解約", "第30条（中途解約）")
    assert hit.text == "第5章 解約\n第30条（中途解約）\n借主は、三か月前に予告して、本契約を解約できる。"
    assert hit.line == 8  # that of the sentence that answers
    assert CONTRACT[hit.start : hit.end] == hit.text
    assert heading(hit).endswith("  第5章 解約 › 第30条（中途解約）")
    assert f"{path}:8 " in heading(hit)
    penalty = index.search("違約金", top=1)[0]
    assert (penalty.headings[-1], penalty.line) == ("第31条（違約金）", 9)


def test_the_headings_of_markdown_html_and_word(index, tmp_path):
    (tmp_path / "手引.md").write_text("# 就業規則\n\n## 休暇\n\n有給休暇は年に二十日です。\n", "utf-8")
    (tmp_path / "店.html").write_text("<h1>店舗</h1>\n<h2>札幌</h2><p>駅の前にあります。</p>", "utf-8")
    document = docx.Document()
    document.add_heading("経費規程", 1)
    document.add_paragraph("第3条（精算）")
    document.add_paragraph("領収書を月末までに出す。")
    document.save(str(tmp_path / "経費.docx"))
    index.add([tmp_path / "手引.md", tmp_path / "店.html", tmp_path / "経費.docx"], chunker="headings")
    found = {query: index.search(query, retriever="lexical", top=1)[0] for query in ("有給休暇", "駅の前", "領収書")}
    assert found["有給休暇"].headings == ("就業規則", "休暇")
    assert found["有給休暇"].line == 5  # the passage begins with the title
    assert found["駅の前"].headings == ("店舗", "札幌")
    assert found["領収書"].headings == ("経費規程", "第3条（精算）")
    assert found["領収書"].line is None  # a Word file has no lines


def test_pages_and_slides_are_numbers_of_the_hit(index):
    text = "表紙\n\n契約の解約は三か月前までに申し出る。\n\n連絡先は総務部です。"
    starts = [0, text.index("契約"), text.index("連絡先")]
    outline = tuple(Mark(start, "page", 1, "", number) for number, start in enumerate(starts, 1))
    index.add([Record("資料", text, source=Source("資料.pdf"), outline=outline)], chunker="paragraphs")
    hit = index.search("三か月前", top=1)[0]
    assert (hit.page, hit.slide, hit.headings) == (2, None, ())
    assert " p. 2 " in heading(hit)


def test_a_heading_never_ends_a_passage_and_a_section_is_not_mixed_when_half_full():
    made = passages(CONTRACT, 60)
    assert len(made) > 2
    for passage in made:
        last = passage.splitlines()[-1]
        assert not last.startswith("第"), passage


def test_the_heading_chunker_gives_each_section_with_its_heading():
    made = passages(CONTRACT, 200, chunker=heading_chunker)
    assert [passage.split("\n")[0] for passage in made] == [
        "賃貸借契約書",
        "第1章 総則",
        "第5章 解約",
        "第31条（違約金）",
    ]
    assert made[1].endswith("建物の賃貸借について定める。")


@given(
    st.lists(
        st.sampled_from(["第1条（目的）", "第2章 総則", "■ 注意", "雨が降る。", "風が吹く。花が咲く。", "", "（1）甲"]),
        max_size=30,
    ),
    st.integers(6, 40),
    st.sampled_from([sentence_chunker, heading_chunker]),
)
@settings(max_examples=150, deadline=None)
def test_every_letter_is_in_a_passage_in_order(lines, budget, chunker):
    text = "\n".join(lines)
    chunks = list(chunker(text, CharacterTokenizer(), budget, 3, headings(text)))
    covered = set[int]()
    for chunk in chunks:
        assert 0 <= chunk.start < chunk.end <= len(text)
        covered.update(range(chunk.start, chunk.end))
    assert all(at in covered for at, letter in enumerate(text) if not letter.isspace())
    assert [c.end for c in chunks] == sorted(c.end for c in chunks)


def test_numbered_headings_are_below_those_of_the_file():
    record = Record("a", "規程\n第1条（目的）\n定める。", outline=(Mark(0, "heading", 3, "規程"),))
    outline = Outline(record.text, outline_of(record), None)
    assert outline.spot(record.text.index("定める"), len(record.text), 0).headings == ("規程", "第1条（目的）")


def piece(ordinal, start, text, stop=None):
    return Passage(ordinal, 1, ordinal, start, len(text) + start if stop is None else stop, text, b"")


def test_overlapping_passages_are_joined_by_offsets_or_by_their_text():
    first, second = piece(0, 0, "雨が降る。傘をさす。"), piece(1, 5, "傘をさす。家に帰る。")
    assert overlap(first, second) == 5
    assert join([first, second]) == dataclasses.replace(first, stop=15, text="雨が降る。傘をさす。家に帰る。")
    tagged = [piece(0, 0, "雨が降る。傘をさす。", 40), piece(1, 20, "傘をさす。家に帰る。", 60)]
    assert join(tagged).text == "雨が降る。傘をさす。家に帰る。"
    assert overlap(first, piece(1, 10, "家に帰る。")) == 0


def test_neighbouring_hits_come_as_one(index):
    text = "".join(f"第{n}の契約は解約できる条件を定めている。" for n in range(12))
    index.add([Record("契約", text)], chunk_tokens=64, overlap=24)
    apart = index.search("契約の解約", top=20, merge=False, per_document=0)
    whole = index.search("契約の解約", top=20, per_document=0)
    assert len(apart) > 3
    assert [hit.text for hit in whole] == [text]
    assert (whole[0].start, whole[0].end) == (0, len(text))
    assert whole[0].score == max(hit.score for hit in apart)
    for hit in whole + apart:
        assert text[hit.start : hit.end] == hit.text
        assert all(hit.text[a:b] for a, b in hit.highlights)


def test_sentences_around_a_hit(index):
    text = "雨が降る。風が吹く。花が咲く。契約を解約する。鳥が鳴く。雪が積もる。"
    index.add([Record("日記", text)], chunk_tokens=16, overlap=0)
    hit = index.search("契約の解約", top=1, context=2, retriever="lexical")[0]
    assert "契約を解約する。" in hit.text
    assert hit.before + hit.text + hit.after in text
    before = text[: hit.start]
    assert hit.before == "".join(sentence + "。" for sentence in before.split("。")[:-1][-2:])
    assert hit.after == "".join(sentence + "。" for sentence in text[hit.end :].split("。")[:-1][:2])
    assert index.search("契約の解約", top=1, retriever="lexical")[0].before == ""


def test_sentences_around_a_passage_do_not_repeat_overlaps():
    parts = [
        piece(0, 0, "雨が降る。風が吹く。"),
        piece(1, 5, "風が吹く。花が咲く。"),
        piece(2, 10, "花が咲く。鳥が鳴く。"),
    ]
    assert around(parts[1], parts, 3) == ("雨が降る。", "鳥が鳴く。")
    assert around(parts[0], parts, 9) == ("", "花が咲く。\n鳥が鳴く。")


def test_the_command_shows_context(models, monkeypatch, tmp_path, runner):
    from jnlp.cli import build_cli
    from jnlp.plugins import import_candidate, load_plugins

    monkeypatch.setattr(Engine, "models", lambda *_: models)
    monkeypatch.chdir(tmp_path)
    Path("契約.txt").write_text(CONTRACT, "utf-8")
    cli = build_cli(load_plugins([import_candidate("search", "jnlp_search")]))
    made = runner.invoke(cli, ["index", "契約.txt", "--index", "my.idx", "--chunker", "headings"])
    assert made.exit_code == 0, made.output
    words = ["search", "my.idx", "三か月前の予告", "--context", "1", "--top", "1", "--format", "table"]
    out = runner.invoke(cli, words, catch_exceptions=False).output
    assert "第5章 解約 › 第30条（中途解約）" in out
    assert "本契約は、建物の賃貸借について定める。" in out
    assert "第31条（違約金）" in out


def test_another_outline_of_the_same_text_is_a_change(index):
    text = "経費規程\n領収書を月末までに出す。"
    index.add([Record("規程", text)])
    assert index.search("領収書", retriever="lexical")[0].headings == ()
    report = index.add([Record("規程", text, outline=(Mark(0, "heading", 1, "経費規程"),))])
    assert (report.updated, report.embedded) == (1, 0)  # the vectors are kept
    assert index.search("領収書", retriever="lexical")[0].headings == ("経費規程",)


def test_the_headings_are_those_of_the_sentence_that_answers_best(index, tmp_path):
    """Several sections share a passage: the path is that of the sentence, not of the passage's beginning."""
    path = tmp_path / "契約.txt"
    path.write_text(CONTRACT, encoding="utf-8")
    index.add([path])
    for query, last, line in [
        ("建物について定める", "第1条（目的）", 5),
        ("三か月前の予告", "第30条（中途解約）", 8),
        ("違約金", "第31条（違約金）", 10),
    ]:
        for evidence in (False, True):
            hit = index.search(query, top=1, retriever="lexical", evidence=evidence)[0]
            assert hit.chunk == 0
            assert hit.headings[-1] == last, (query, evidence)
        assert f"{path}:{line} " in heading(hit) or f"{path}:{line - 1} " in heading(hit)


def test_the_headings_of_joined_passages(index):
    text = "".join(f"第{n}条（項目{n}）\n契約の解約について定める条文{n}です。\n" for n in range(1, 9))
    index.add([Record("契約", text)], chunk_tokens=64, overlap=24)
    [hit] = index.search("条文7", top=5, retriever="lexical", per_document=0)[:1]
    assert hit.headings == ("第7条（項目7）",)


def test_a_document_in_two_indexes_is_a_hit_of_each(tmp_path, engine):
    from jnlp_search.several import search_all

    with Index.open(tmp_path / "a.idx", engine) as one, Index.open(tmp_path / "b.idx", engine) as other:
        one.add([Record("甲", "契約を解約する。")])
        other.add([Record("乙", "契約を解約する。")])
        assert [hit.document for hit in search_all([one, other], "解約")] == ["甲", "乙"]
