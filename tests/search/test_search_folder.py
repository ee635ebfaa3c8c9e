"""A folder of mixed files as a person has it: indexed, searched, changed; and what could not be read."""

from __future__ import annotations

import email.message
import json
import re
import unicodedata
import zipfile
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest

from jnlp.cli import build_cli
from jnlp.engine import Engine
from jnlp.plugins import import_candidate, load_plugins


@pytest.fixture
def jnlp(runner, models, monkeypatch, tmp_path):
    monkeypatch.setattr(Engine, "models", lambda *_: models)
    monkeypatch.chdir(tmp_path)
    cli = build_cli(load_plugins([import_candidate("search", "jnlp_search")]))

    def run(*words: str, status: int = 0) -> tuple[str, str]:
        done = runner.invoke(cli, words, prog_name="jnlp", catch_exceptions=False)
        assert done.exit_code == status, done.output
        return done.stdout, done.stderr

    return run


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "資料"
    folder.mkdir()
    document = docx.Document()
    document.core_properties.author = "総務部"
    document.add_heading("第30条 解約", 1)
    document.add_paragraph("三か月前に予告して契約を解約できる。")
    document.save(folder / "契約.docx")
    book = openpyxl.Workbook()
    book.active.append(["品名", "在庫"])
    book.active.append(["安全靴", 12])
    book.save(folder / "備品.xlsx")
    deck = pptx.Presentation()
    deck.slides.add_slide(deck.slide_layouts[5]).shapes.title.text = "来期の採用計画"
    deck.save(folder / "計画.pptx")
    message = email.message.EmailMessage()
    message["Subject"], message["Date"] = "懇親会の案内", "Mon, 01 Apr 2024 09:30:00 +0900"
    message.set_content("金曜の夜に集まります。")
    (folder / "案内.eml").write_bytes(bytes(message))
    (folder / "店舗.html").write_bytes('<meta charset="shift_jis"><h1>店舗一覧</h1>札幌の店舗です。'.encode("cp932"))
    (folder / "算.py").write_text("def 消費税(金額): return 金額 // 10\n", encoding="utf-8")
    (folder / "メモ.txt").write_bytes("古い議事録の写し。\n".encode("euc-jp"))
    (folder / "集計.ipynb").write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": "気温の分析"}]}))
    return folder


def counts(out):
    """The numbers of the summary line, those that are not 0."""
    found = re.findall(r"([\d,]+) (?:documents? )?(added|updated|unchanged|removed|failed)", out)
    return {word: int(number) for number, word in found if number != "0"}


def ask(jnlp, query):
    out, _ = jnlp("search", "my.idx", query, "--retriever", "lexical", "--top", "1")
    return json.loads(out)


def test_every_file_is_found_by_its_words(jnlp, folder):
    out, err = jnlp("index", "資料", "--index", "my.idx")
    assert counts(out) == {"added": 8}
    assert err == ""
    for query, name in [
        ("解約", "契約.docx"),
        ("安全靴", "備品.xlsx"),
        ("採用", "計画.pptx"),
        ("懇親会", "案内.eml"),
        ("札幌", "店舗.html"),
        ("消費税", "算.py"),
        ("議事録", "メモ.txt"),
        ("気温", "集計.ipynb"),
    ]:
        assert ask(jnlp, query)["document"] == f"資料/{name}"
    hit = ask(jnlp, "予告")
    assert (hit["metadata"]["kind"], hit["metadata"]["author"]) == ("docx", "総務部")
    assert ask(jnlp, "金曜")["metadata"]["date"] == "2024-04-01T09:30:00+09:00"


def test_only_what_changed_is_read_again(jnlp, folder):
    jnlp("index", "資料", "--index", "my.idx")
    document = docx.Document(folder / "契約.docx")
    document.add_paragraph("違約金は求めない。")
    document.save(folder / "契約.docx")
    (folder / "備品.xlsx").unlink()
    out, _ = jnlp("index", "資料", "--index", "my.idx")
    assert counts(out) == {"updated": 1, "unchanged": 6, "removed": 1}
    assert ask(jnlp, "違約金")["document"] == "資料/契約.docx"


def test_what_could_not_be_read_is_listed_at_the_end(jnlp, folder):
    (folder / "壊れた.docx").write_bytes(b"PK\x03\x04")
    (folder / "鍵.xlsx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"))
    (folder / "写真.jpg").write_bytes(b"\xff\xd8")
    (folder / "下書き.md").write_text("下書き", encoding="utf-8")
    (folder / ".gitignore").write_text("下書き*\n", encoding="utf-8")
    out, err = jnlp("index", "資料", "--index", "my.idx")
    assert counts(out) == {"added": 8, "failed": 2}
    lines = err.splitlines()
    assert [line.startswith("jnlp: skipped 資料/") for line in lines] == [True, True, False, False]
    assert "壊れた.docx: cannot be read as docx" in lines[0]
    assert "鍵.xlsx: encrypted with a password" in lines[1]
    assert "2 could not be read" in lines[2]
    assert "1 file passed over: 1 jpg; 1 ignored" in lines[3]
    out, _ = jnlp("index", "資料", "--index", "my.idx", "--no-ignore", "-q")
    assert counts(out) == {"added": 1, "unchanged": 8, "failed": 2}


def test_very_many_failures_are_counted(jnlp, folder, monkeypatch):
    monkeypatch.setattr("jnlp.cli.messages.Unread.MOST", 2)
    for number in range(5):
        (folder / f"{number}.docx").write_bytes(b"PK")
    _, err = jnlp("index", "資料", "--index", "my.idx")
    assert err.count("jnlp: skipped 資料/") == 2
    assert "3 more" in err
    assert "5 could not be read" in err


def test_patterns_choose_what_is_indexed(jnlp, folder):
    out, _ = jnlp(
        "index", "資料", "--index", "my.idx", "--include", "*.docx", "--include", "*.eml,*.py", "--exclude", "算.*"
    )
    assert counts(out) == {"added": 2}
    _, err = jnlp("index", "資料", "--index", "my.idx", "--include", "\\", status=2)
    assert "--include" in err


def test_rows_of_a_workbook_where_their_column_is_named(jnlp, folder):
    (folder / "問答.csv").write_text("問,答\n休みは?,日曜です。\n", encoding="utf-8")
    out, err = jnlp("index", "資料", "--index", "my.idx", "--text", "答")
    assert counts(out) == {"added": 9}, err
    out, _ = jnlp("index", "資料/備品.xlsx", "--index", "other.idx", "--text", "品名")
    assert counts(out) == {"added": 1}
    hit = json.loads(jnlp("search", "other.idx", "安全靴", "--retriever", "lexical")[0])
    assert (hit["document"], hit["line"], hit["metadata"]["在庫"]) == ("資料/備品.xlsx:2", 2, 12)
    jnlp("index", "資料/備品.xlsx", "--index", "third.idx", "--text", "ない列", status=2)


def test_a_decomposed_name_is_one_document_however_it_is_written(jnlp, folder):
    decomposed, composed = (unicodedata.normalize(form, "データベース/ガイド.txt") for form in ("NFD", "NFC"))
    Path(decomposed).parent.mkdir()
    Path(decomposed).write_text("案内の文。", encoding="utf-8")
    top = str(Path(decomposed).parent)
    assert counts(jnlp("index", top, "--index", "my.idx")[0]) == {"added": 1}
    hit = ask(jnlp, "案内")
    assert (hit["document"], hit["path"]) == (composed, composed)
    assert counts(jnlp("index", str(Path(top).resolve()), "--index", "my.idx")[0]) == {"unchanged": 1}
    out, _ = jnlp("index", "remove", "my.idx", composed)
    assert "1" in out
    assert counts(jnlp("index", top, "--index", "my.idx")[0]) == {"added": 1}
    out, _ = jnlp("index", "remove", "my.idx", decomposed)
    assert "1" in out


def test_an_archive_is_not_opened(jnlp, folder):
    with zipfile.ZipFile(folder / "束.zip", "w") as whole:
        whole.write(folder / "契約.docx", "契約.docx")
    _, err = jnlp("index", "資料", "--index", "my.idx")
    assert "1 file passed over: 1 zip" in err
    assert Path("my.idx").is_dir()


@pytest.mark.parametrize("shards", [(), ("--shards", "2")])
def test_an_index_in_the_folder_that_it_indexes_is_no_part_of_it(jnlp, folder, shards):
    index = str(folder / "索引" / "資料.idx")
    for words, expected in ((("資料", *shards), {"added": 8}), (("資料",), {"unchanged": 8}), ((), {"unchanged": 8})):
        out, err = jnlp("index", *words, "--index", index)
        assert counts(out) == expected
        assert "passed over" not in err
