"""E-books and notebooks, made here."""

from __future__ import annotations

import json
import zipfile

import pytest

from jnlp.errors import RecordError
from jnlp.io import documents, read
from jnlp.types import Failed, Record

CONTAINER = """<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="OEBPS/本.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""
PACKAGE = """<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">
<metadata><dc:title>銀河の本</dc:title><dc:creator>宮沢</dc:creator><dc:creator>編者</dc:creator>
<dc:date>1934-01-01</dc:date><dc:language>ja</dc:language></metadata>
<manifest><item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="b" href="text/%E4%BA%8C.xhtml" media-type="application/xhtml+xml"/>
<item id="a" href="text/a.xhtml" media-type="application/xhtml+xml"/>
<item id="p" href="p.png" media-type="image/png"/></manifest>
<spine><itemref idref="n"/><itemref idref="a"/><itemref idref="b"/><itemref idref="p"/>
<itemref idref="gone"/></spine></package>"""
NAV = """<html xmlns="http://www.w3.org/1999/xhtml"><body><nav><a href="text/a.xhtml">一章</a>
<a href="text/%E4%BA%8C.xhtml#x">二章</a></nav></body></html>"""
FIRST = """<?xml version="1.0"?><html><head><title>銀河の本</title></head><body>
<h1>一、午後の授業</h1><p>先生が<ruby>云<rt>い</rt></ruby>いました。</p><h2>川</h2><p>白い川。</p></body></html>"""
SECOND = "<html><head><title>銀河の本</title></head><body><p>活版所の話。</p></body></html>"


def book(path, **changes):
    parts = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OEBPS/本.opf": PACKAGE,
        "OEBPS/nav.xhtml": NAV,
        "OEBPS/text/a.xhtml": FIRST,
        "OEBPS/text/二.xhtml": SECOND,
        **changes,
    }
    with zipfile.ZipFile(path, "w") as whole:
        for name, text in parts.items():
            if text is not None:
                whole.writestr(name, text)
    return path


def test_a_book_in_reading_order(tmp_path):
    (record,) = documents([book(tmp_path / "a.epub")])
    assert record.text == "一、午後の授業\n\n先生が云いました。\n\n川\n\n白い川。\n\n活版所の話。"
    headings = [(mark.level, mark.title, record.text[mark.start :].split("\n")[0]) for mark in record.outline]
    assert headings == [(1, "一、午後の授業", "一、午後の授業"), (2, "川", "川"), (1, "二章", "活版所の話。")]
    assert record.title == "銀河の本"
    assert record.about == {"author": "宮沢、編者", "date": "1934-01-01", "language": "ja"}
    assert record.fields["language"] == "ja"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"META-INF/container.xml": None}, "epub"),
        ({"OEBPS/本.opf": "<package>"}, "epub"),
        ({"OEBPS/本.opf": '<!DOCTYPE a [<!ENTITY x "xxxx">]>' + PACKAGE[21:]}, "epub"),
        (
            {
                "META-INF/encryption.xml": "<e><EncryptedData><CipherReference URI='OEBPS/text/a.xhtml'/>"
                "</EncryptedData></e>"
            },
            "copy protection",
        ),
    ],
)
def test_books_that_cannot_be_read(tmp_path, changes, what):
    (failed,) = read([book(tmp_path / "a.epub", **changes)])
    assert isinstance(failed, Failed)
    assert type(failed.error) is RecordError
    assert what in str(failed.error)


@pytest.mark.parametrize("nav", [None, "<html>&nbsp;</html>"])
def test_a_table_of_contents_may_be_missing(tmp_path, nav):
    (record,) = read([book(tmp_path / "a.epub", **{"OEBPS/nav.xhtml": nav})])
    assert isinstance(record, Record)
    assert [mark.title for mark in record.outline] == ["一、午後の授業", "川"]


def notebook(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


def test_a_notebook(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["# 売上の分析\n", "**東京**の店。"]},
        {"cell_type": "code", "source": "df = 読む('売上.csv')", "outputs": [{"text": "出力"}]},
        {"cell_type": "markdown", "source": "\n\n## 結果"},
    ]
    (record,) = documents(
        [notebook(tmp_path / "a.ipynb", {"cells": cells, "metadata": {"authors": [{"name": "田中"}]}})]
    )
    assert record.text == "売上の分析\n\n東京の店。\n\ndf = 読む('売上.csv')\n\n結果"
    assert [(mark.level, record.text[mark.start :][:2]) for mark in record.outline] == [(1, "売上"), (2, "結果")]
    assert (record.title, record.about, record.fields["kind"]) == ("売上の分析", {"author": "田中"}, "ipynb")


def test_an_old_notebook(tmp_path):
    value = {"worksheets": [{"cells": [{"cell_type": "code", "input": ["一"]}]}]}
    (record,) = read([notebook(tmp_path / "a.ipynb", value)])
    assert record.text == "一"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "the file is empty (copy or download it again)"),
        ("[1]", "it is not a JSON object"),
        ("{", "broken JSON at line 1, column 2: Expecting property name enclosed in double quotes"),
        ("[" * 100_000, "its parts are nested too deeply"),
    ],
)
def test_what_is_no_notebook(tmp_path, text, what):
    path = tmp_path / "a.ipynb"
    path.write_text(text, encoding="utf-8")
    (failed,) = read([path])
    assert type(failed.error) is RecordError
    assert str(failed.error) == f"{path.as_posix()}: cannot be read as ipynb: {what}"
