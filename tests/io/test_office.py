"""Word, Excel and PowerPoint: real files, made by the libraries that people make them with."""

from __future__ import annotations

import datetime
import io
import re
import sys
import zipfile

import docx
import openpyxl
import pptx
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from pptx.util import Cm

import jnlp.io.reading.archive as archive_module
from jnlp.errors import MissingExtraError, RecordError, UsageError
from jnlp.io import ReadOptions, Unit, documents, read
from jnlp.io.reading.office.numbering import Numbering
from jnlp.io.reading.office.values import cell_text
from jnlp.types import Failed

NUMBERING = """<w:numbering {ns}>
  <w:abstractNum w:abstractNumId="50">
    <w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="第%1条"/></w:lvl>
    <w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1.%2"/></w:lvl>
    <w:lvl w:ilvl="2"><w:start w:val="1"/><w:numFmt w:val="aiueo"/><w:lvlText w:val="(%3)"/></w:lvl>
    <w:lvl w:ilvl="3"><w:start w:val="1"/><w:numFmt w:val="bullet"/><w:lvlText w:val="●"/></w:lvl>
  </w:abstractNum>
  <w:num w:numId="60"><w:abstractNumId w:val="50"/></w:num>
</w:numbering>"""


def one(path, **options):
    (record,) = read([path], ReadOptions(**options))
    return record


def titles(record, kind="heading"):
    return [(mark.level, mark.title) for mark in record.outline if mark.kind == kind]


def check_outline(record):
    starts = [mark.start for mark in record.outline]
    assert starts == sorted(starts)
    assert all(0 <= start <= len(record.text) for start in starts)


# --- Word ------------------------------------------------------------


def test_word_headings_tables_and_properties(tmp_path):
    path = tmp_path / "契約.docx"
    document = docx.Document()
    document.core_properties.title, document.core_properties.author = "業務委託契約書", "総務部"
    document.core_properties.modified = datetime.datetime(2024, 4, 1, 9, 30)
    document.add_heading("第5章 解約", level=1)
    document.add_paragraph("本章は解約を定める。")
    document.add_heading("第30条 中途解約", level=2)
    document.add_paragraph("甲は三か月前に通知して解約できる。")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(table._cells, ["項目", "期間", "通知", "三か月"], strict=True):
        cell.text = text
    document.save(path)
    record = one(path)
    assert record.text == (
        "第5章 解約\n\n本章は解約を定める。\n\n第30条 中途解約\n\n甲は三か月前に通知して解約できる。\n\n"
        "項目\t期間\n通知\t三か月"
    )
    assert titles(record) == [(1, "第5章 解約"), (2, "第30条 中途解約")]
    assert [record.text[mark.start :][: len(mark.title)] for mark in record.outline] == [
        mark.title for mark in record.outline
    ]
    assert record.title == "業務委託契約書"
    assert record.about["author"] == "総務部"
    assert record.about["date"] == "2024-04-01T09:30:00Z"
    (indexed,) = documents([path])
    assert {name: indexed.fields[name] for name in ("kind", "title", "author")} == {
        "kind": "docx",
        "title": "業務委託契約書",
        "author": "総務部",
    }
    assert [line.text for line in read([path], ReadOptions(unit=Unit.LINE))][:2] == [
        "第5章 解約",
        "本章は解約を定める。",
    ]


def test_word_text_that_libraries_leave_out(tmp_path):
    path = tmp_path / "a.docx"
    document = docx.Document()
    body = document.element.body

    def add(xml):
        body.insert(len(body) - 1, parse_xml(xml.replace("<w:", "<w:", 1).replace(">", f" {nsdecls('w')}>", 1)))

    add("<w:sdt><w:sdtContent><w:p><w:r><w:t>差込欄</w:t></w:r></w:p></w:sdtContent></w:sdt>")
    add(
        "<w:p><w:ins><w:r><w:t>挿入した文</w:t></w:r></w:ins><w:del><w:r><w:delText>消した文</w:delText></w:r></w:del></w:p>"
    )
    add("<w:p><w:hyperlink><w:r><w:t>リンクの文</w:t></w:r></w:hyperlink></w:p>")
    add(
        "<w:p><w:r><w:ruby><w:rt><w:r><w:t>けいやく</w:t></w:r></w:rt>"
        "<w:rubyBase><w:r><w:t>契約</w:t></w:r></w:rubyBase></w:ruby></w:r></w:p>"
    )
    add("<w:p><w:r><w:pict><w:txbxContent><w:p><w:r><w:t>枠の中</w:t></w:r></w:p></w:txbxContent></w:pict></w:r></w:p>")
    add(
        "<w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent><w:p><w:r><w:t>ここに入力</w:t></w:r></w:p>"
        "</w:sdtContent></w:sdt>"
    )
    add(
        "<w:p><w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent><w:r><w:t>ここに入力</w:t></w:r>"
        "</w:sdtContent></w:sdt></w:p>"
    )
    add("<w:p><w:r><w:t>前</w:t><w:tab/><w:t>後</w:t><w:br/><w:t>次の行</w:t></w:r></w:p>")
    add(
        "<w:sdt><w:sdtPr><w:docPartObj><w:docPartGallery w:val='Table of Contents'/></w:docPartObj></w:sdtPr>"
        "<w:sdtContent><w:p><w:r><w:t>目次の行</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    )
    document.save(path)
    assert one(path).text == "差込欄\n\n挿入した文\n\nリンクの文\n\n契約\n\n枠の中\n\n前\t後\n次の行"


def test_word_numbers_are_written_out(tmp_path):
    path = tmp_path / "a.docx"
    document = docx.Document()
    numbering = document.part.numbering_part.element
    for element in parse_xml(NUMBERING.format(ns=nsdecls("w"))):
        if element.tag.endswith("abstractNum"):
            numbering.insert(0, element)
        else:
            numbering.append(element)

    def add(text, level, style=None):
        paragraph = document.add_paragraph(text, style=style)
        paragraph._p.get_or_add_pPr().append(
            parse_xml(f'<w:numPr {nsdecls("w")}><w:ilvl w:val="{level}"/><w:numId w:val="60"/></w:numPr>')
        )

    add("目的", 0, "Heading 1")
    add("甲は乙に委託する。", 1)
    add("乙は受託する。", 1)
    add("ただし書き", 2)
    add("解約", 0, "Heading 1")
    add("通知する。", 1)
    add("黒丸", 3)
    document.save(path)
    record = one(path)
    assert record.text == (
        "第1条 目的\n\n1.1 甲は乙に委託する。\n1.2 乙は受託する。\n(ア) ただし書き\n\n"
        "第2条 解約\n\n2.1 通知する。\n・黒丸"
    )
    assert titles(record) == [(1, "第1条 目的"), (1, "第2条 解約")]


@pytest.mark.parametrize(
    ("format", "number", "written"),
    [
        ("japaneseCounting", 21, "二十一"),
        ("decimalFullWidth", 12, "１２"),
        ("decimalEnclosedCircle", 3, "③"),
        ("lowerRoman", 14, "xiv"),
        ("iroha", 2, "ロ"),
        ("aiueo", 47, "ア"),
        ("unknown", 5, "5"),
    ],
)
def test_formats_of_numbers(format, number, written):
    from jnlp.io.reading.office.numbering import _Level

    lists = Numbering({"1": {0: _Level(format, "%1", number)}}, {"7": "1"})
    assert lists.label("7", 0) == written
    assert lists.label("8", 0) == ""


def test_word_styles_inherit_and_outline_levels_count(tmp_path):
    path = tmp_path / "a.docx"
    document = docx.Document()
    style = document.styles.add_style("社内見出し", 1)
    style.base_style = document.styles["Heading 2"]
    document.add_paragraph("表紙", style="Title")
    document.add_paragraph("継承した見出し", style="社内見出し")
    paragraph = document.add_paragraph("レベルつき")
    paragraph._p.get_or_add_pPr().append(parse_xml(f'<w:outlineLvl {nsdecls("w")} w:val="2"/>'))
    document.core_properties.title = ""
    document.save(path)
    record = one(path)
    assert titles(record) == [(2, "継承した見出し"), (3, "レベルつき")]
    assert record.title == "表紙"


# --- Excel ------------------------------------------------------------


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "台帳.xlsx"
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet.title = "問い合わせ"
    for row in (["番号", "日付", "本文", "割合"], [1, datetime.date(2024, 4, 1), "解約したい", 0.15]):
        sheet.append(row)
    sheet["D2"].number_format = "0%"
    sheet.append([])
    sheet.append([2, datetime.datetime(2024, 4, 2, 9, 30), "料金を\n知りたい", None])
    hidden = workbook.create_sheet("作業用")
    hidden.append(["秘密"])
    hidden.sheet_state = "hidden"
    merged = workbook.create_sheet("区分")
    for row in (["部", "品"], ["営業", "机"], [None, "椅子"], ["総務", "紙"]):
        merged.append(row)
    merged.merge_cells("A2:A3")
    workbook.properties.title, workbook.properties.creator = "台帳", "営業部"
    workbook.save(path)
    return path


def test_a_workbook_is_one_document_of_an_index(book):
    (record,) = documents([book])
    assert record.text == (
        "問い合わせ\n\n番号\t日付\t本文\t割合\n1\t2024-04-01\t解約したい\t15%\n\n"
        "2\t2024-04-02 09:30\t料金を 知りたい\n\n"
        "区分\n\n部\t品\n営業\t机\n営業\t椅子\n総務\t紙"
    )
    assert titles(record, "sheet") == [(1, "問い合わせ"), (1, "区分")]
    rows = [(mark.number, record.text[mark.start :].split("\n")[0]) for mark in record.outline if mark.kind == "row"]
    assert rows[:3] == [
        (1, "番号\t日付\t本文\t割合"),
        (2, "1\t2024-04-01\t解約したい\t15%"),
        (4, "2\t2024-04-02 09:30\t料金を 知りたい"),
    ]
    check_outline(record)
    assert (record.title, record.about["author"]) == ("台帳", "営業部")


def test_rows_of_a_workbook(book):
    got = list(read([book], ReadOptions(text="本文")))
    first, second, refused = got
    assert first.text == "解約したい"
    assert first.fields == {"番号": 1, "日付": "2024-04-01", "割合": 0.15}
    assert (first.id, first.source.line) == (f"{book.as_posix()}:2", 2)
    assert second.text == "料金を\n知りたい"
    assert isinstance(refused, Failed)
    assert "区分" in str(refused.error)
    _, chairs, _, _ = read([book], ReadOptions(text="品"))
    assert chairs.fields == {"部": "営業"}
    assert chairs.id.endswith(":区分:3")
    with pytest.raises(UsageError):
        list(read([book], ReadOptions(text="ない列")))


def test_formulas_have_their_saved_values(tmp_path):
    path = tmp_path / "a.xlsx"
    workbook = openpyxl.Workbook()
    workbook.active.append(["合計", 0])
    workbook.save(path)
    parts = {}
    with zipfile.ZipFile(path) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = parts[sheet].replace(b"<v>0</v>", b"<f>SUM(A1)</f><v>1200</v>")
    with zipfile.ZipFile(path, "w") as whole:
        for name, data in parts.items():
            whole.writestr(name, data)
    assert next(documents([path])).text == "Sheet\n\n合計\t1200"


def test_cells_far_away_cost_nothing(tmp_path):
    path = tmp_path / "a.xlsx"
    workbook = openpyxl.Workbook()
    workbook.active["A1"] = "始"
    workbook.active["XFD200000"] = "終"
    workbook.save(path)
    record = next(documents([path]))
    assert record.text.startswith("Sheet\n\n始\n\n")
    assert record.text.endswith("終")


@pytest.mark.parametrize(
    ("value", "format", "text"),
    [
        (datetime.datetime(2024, 4, 1), 'yyyy"年"m"月"d"日"', "2024年4月1日"),
        (datetime.datetime(2019, 5, 1), '[$-411]ggge"年"m"月"d"日"', "令和元年5月1日"),
        (datetime.datetime(2024, 4, 1), 'yyyy"年"m"月"', "2024年4月"),
        (datetime.time(9, 5), "h:mm", "09:05"),
        (datetime.timedelta(hours=30, minutes=5), "[h]:mm", "30:05"),
        (True, "General", "TRUE"),
        (0.1 + 0.2, "General", "0.3"),
        (-0.125, "0.0%", "-12.5%"),
        (5, '0"%"', "5"),
        ("#REF!", "General", ""),
        ("二\n行", "General", "二 行"),
    ],
)
def test_values_of_cells(value, format, text):
    assert cell_text(value, format) == text


def test_xlsx_without_its_library(book, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (failed,) = read([book])
    assert isinstance(failed.error, MissingExtraError)
    assert failed.error.extra == "office"


# --- PowerPoint ------------------------------------------------------------


def test_slides_tables_groups_and_notes(tmp_path):
    path = tmp_path / "計画.pptx"
    deck = pptx.Presentation()
    deck.core_properties.title = ""
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "予算の計画"
    slide.placeholders[1].text = "前年と同じ\n人件費を除く"
    slide.notes_slide.notes_text_frame.text = "ここで質問を受ける"
    deck.slides.add_slide(deck.slide_layouts[6])
    third = deck.slides.add_slide(deck.slide_layouts[5])
    third.shapes.title.text = "日程"
    table = third.shapes.add_table(2, 2, Cm(1), Cm(1), Cm(5), Cm(5)).table
    for at, text in enumerate(["月", "仕事", "四月", "開始"]):
        table.cell(at // 2, at % 2).text = text
    group = third.shapes.add_group_shape()
    group.shapes.add_textbox(Cm(1), Cm(1), Cm(2), Cm(2)).text_frame.text = "群の中"
    deck.save(path)
    record = one(path)
    assert record.text == (
        "予算の計画\n\n前年と同じ\n人件費を除く\n\nここで質問を受ける\n\n日程\n\n月\t仕事\n四月\t開始\n\n群の中"
    )
    slides = [(mark.number, mark.title, record.text[mark.start :][:2]) for mark in record.outline]
    assert slides == [(1, "予算の計画", "予算"), (2, "", "日程"), (3, "日程", "日程")]
    assert record.title == "予算の計画"


def test_charts_of_slides(tmp_path):
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE

    path = tmp_path / "a.pptx"
    deck = pptx.Presentation()
    data = CategoryChartData()
    data.categories = ["東京", "大阪"]
    data.add_series("売上高", (1, 2))
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    slide.shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, Cm(1), Cm(1), Cm(5), Cm(5), data)
    deck.save(path)
    assert set(one(path).text.split()) >= {"東京", "大阪", "売上高"}


# --- damage ------------------------------------------------------------


def whole_file(kind, path):
    if kind == "docx":
        document = docx.Document()
        document.add_paragraph("本文")
        document.save(path)
    elif kind == "xlsx":
        workbook = openpyxl.Workbook()
        workbook.active.append(["本文"])
        workbook.save(path)
    else:
        deck = pptx.Presentation()
        deck.slides.add_slide(deck.slide_layouts[5]).shapes.title.text = "本文"
        deck.save(path)


KINDS = ("docx", "xlsx", "pptx")
MAIN = {"docx": "word/document.xml", "xlsx": "xl/workbook.xml", "pptx": "ppt/presentation.xml"}


def rewrite(path, change):
    with zipfile.ZipFile(path) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as whole:
        for name, data in parts.items():
            whole.writestr(name, data)


DAMAGE = {
    "empty": r"the file is empty \(copy or download it again\)",
    "zeros": r"there are only zeros in it \(copy or download it again\)",
    "text": r"it is plain text \(rename it to .txt or .csv, or save it as {kind}\)",
    "page": r"it is a web page \(rename it to .html, or save it as {kind}\)",
    "wide page": r"it is a web page \(rename it to .html, or save it as {kind}\)",
    "pdf": r"it is a PDF \(rename it to .pdf\)",
    "picture": "it is a picture",
    "noise": "it is no {kind}: it begins as no such file does",
    "cut": r"it is cut off: its end is missing \(copy or download it again\)",
    "flipped": r"a part of it is damaged \(.+\); copy or download it again",
    "no main part": r"its part {main} is missing \(copy or download it again\)|.*damaged, or unlike any xlsx",
    "no XML": r"the XML in it is damaged \(mismatched tag: line 1, column 8\)|.*damaged, or unlike any xlsx",
    "doctype": "{main} declares a document type",
    "foreign zip": "it is a ZIP archive, and no {kind}|.*damaged, or unlike any xlsx",
    "foreign kind": r"it is an? \w+ \(rename it to .\w+\)",
}


WRITTEN = {
    "empty": b"",
    "zeros": bytes(3_000),
    "text": ("ただの文" * 400).encode(),
    "page": "\n<!-- 見積 -->\n<HTML lang=ja><p>ログインしてください".encode("cp932"),
    "wide page": "<!DOCTYPE html><p>ログイン".encode("utf-16"),
    "pdf": b"%PDF-1.7\n%%EOF",
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(90),
    "noise": bytes(range(256)),
}
PARTS = {
    "no main part": None,
    "no XML": b"<a><b></a>",
    "doctype": b'<!DOCTYPE a [<!ENTITY x "xxxx">]><a>&x;</a>',
}


def damaged(path, kind, damage):
    whole_file(kind, path)
    data, main = path.read_bytes(), MAIN[kind]
    if damage in WRITTEN:
        path.write_bytes(WRITTEN[damage])
    elif damage in PARTS:
        part = PARTS[damage]
        rewrite(path, lambda parts: parts.pop(main) if part is None else parts.update({main: part}))
    elif damage == "foreign kind":
        whole_file(KINDS[KINDS.index(kind) - 1], path)
    elif damage == "foreign zip":
        with zipfile.ZipFile(path, "w") as whole:
            whole.writestr("a.txt", "x")
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    else:
        at = data.index(main.encode()) + len(main) + 40
        path.write_bytes(data[:at] + bytes(255 - byte for byte in data[at : at + 60]) + data[at + 60 :])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_one_clear_failure(tmp_path, capfd, kind, damage):
    path = tmp_path / f"a.{kind}"
    damaged(path, kind, damage)
    (failed,) = read([path])
    assert isinstance(failed, Failed)
    assert type(failed.error) is RecordError
    where, _, reason = str(failed.error).partition(f": cannot be read as {kind}: ")
    assert where == path.as_posix()
    assert re.match(DAMAGE[damage].format(kind=kind, main=MAIN[kind].lower()), reason), reason
    assert "\n" not in str(failed.error)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", KINDS)
def test_bombs_are_refused_before_they_unpack(tmp_path, monkeypatch, kind):
    path = tmp_path / f"a.{kind}"
    whole_file(kind, path)
    monkeypatch.setattr(archive_module, "LARGEST_PART", 1 << 20)
    monkeypatch.setattr(archive_module, "LARGEST_TOTAL", 1 << 22)
    rewrite(path, lambda parts: parts.update({MAIN[kind]: parts[MAIN[kind]] + b" " * (1 << 23)}))
    assert path.stat().st_size < 1 << 17
    (failed,) = read([path])
    assert "unpacks to more" in str(failed.error)


@pytest.mark.parametrize("kind", KINDS)
def test_passwords_and_old_formats_are_named(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    path.write_bytes(ole + "EncryptedPackage".encode("utf-16-le"))
    (failed,) = read([path])
    assert "encrypted with a password" in str(failed.error)
    path.write_bytes(ole)
    (failed,) = read([path])
    assert "Office 97" in str(failed.error)


def test_pictures_are_not_unpacked_and_dangling_references_do_not_matter(tmp_path, monkeypatch):
    path = tmp_path / "a.docx"
    whole_file("docx", path)
    monkeypatch.setattr(archive_module, "LARGEST_TOTAL", 1 << 20)
    rels = "word/_rels/document.xml.rels"

    def change(parts):
        parts["word/media/image1.png"] = bytes(1 << 22)
        dangling = b'<Relationship Id="rId99" Type="http://x/image" Target="NULL"/></Relationships>'
        parts[rels] = parts[rels].replace(b"</Relationships>", dangling)

    rewrite(path, change)
    assert one(path).text == "本文"


def test_a_stream_is_read_too(tmp_path):
    path = tmp_path / "a.docx"
    whole_file("docx", path)
    (record,) = read(["-"], ReadOptions(input_format="docx"), stdin=io.BytesIO(path.read_bytes()))
    assert (record.id, record.text) == ("stdin", "本文")


def test_a_workbook_that_openpyxl_refuses_is_read_without_its_styles(book, monkeypatch):
    (before,) = documents([book])

    def change(parts):
        parts["xl/styles.xml"] = parts["xl/styles.xml"].replace(b'fontId="0"', b'fontId="abc"')
        parts["docProps/core.xml"] = parts["docProps/core.xml"].replace(b"Z<", b"never<")

    rewrite(book, change)
    with pytest.raises(TypeError):
        openpyxl.load_workbook(book)
    (after,) = documents([book])
    assert (after.text, after.outline, after.title) == (before.text, before.outline, before.title)


def test_broken_properties_do_not_matter(tmp_path):
    path = tmp_path / "a.docx"
    whole_file("docx", path)
    rewrite(path, lambda parts: parts.update({"docProps/core.xml": b"<a>"}))
    assert one(path).text == "本文"


@pytest.mark.parametrize("row", ["999999999", "1048577", "9" * 30])
def test_a_row_that_no_sheet_has_is_refused(tmp_path, row):
    path = tmp_path / "a.xlsx"
    whole_file("xlsx", path)
    sheet = "xl/worksheets/sheet1.xml"
    end = f'<row r="{row}"><c r="A{row}"><v>1</v></c></row></sheetData>'.encode()
    rewrite(path, lambda parts: parts.update({sheet: parts[sheet].replace(b"</sheetData>", end)}))
    (failed,) = documents([path])
    assert type(failed.error) is RecordError


def test_very_wide_rows_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("jnlp.io.reading.office.sheets._MOST_CELLS", 20_000)
    path = tmp_path / "a.xlsx"
    workbook = openpyxl.Workbook()
    for number in (1, 2):
        workbook.active[f"XFD{number}"] = "右"
    workbook.save(path)
    (failed,) = documents([path])
    assert "more than 20,000 cells" in str(failed.error)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"])
def test_entities_in_a_workbook_are_refused(book, part, encoding):
    bomb = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY x "xxxx">]><a>&x;</a>'.encode(encoding)
    rewrite(book, lambda parts: parts.update({part: bomb}))
    (failed,) = documents([book])
    assert "document type" in str(failed.error)


def test_a_password_is_seen_wherever_it_is_kept(tmp_path):
    path = tmp_path / "a.docx"
    path.write_bytes(
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes((1 << 20) - 10) + "EncryptedPackage".encode("utf-16-le")
    )
    (failed,) = read([path])
    assert "encrypted with a password" in str(failed.error)
