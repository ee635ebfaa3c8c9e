"""PDF: pages, titles, passwords and damage, on files made here."""

from __future__ import annotations

import pypdf
import pytest
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from jnlp.io import ReadOptions, Unit, documents, read


def make(path, pages, *, title=None, password=None):
    """Write a PDF whose pages show lines of Japanese through a predefined CMap, as Japanese PDFs do."""
    writer = pypdf.PdfWriter()
    descendant = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/CIDFontType0"),
            NameObject("/BaseFont"): NameObject("/Ryumin-Light"),
        }
    )
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type0"),
            NameObject("/BaseFont"): NameObject("/Ryumin-Light-UniJIS-UCS2-H"),
            NameObject("/Encoding"): NameObject("/UniJIS-UCS2-H"),
            NameObject("/DescendantFonts"): pypdf.generic.ArrayObject([writer._add_object(descendant)]),
        }
    )
    reference = writer._add_object(font)
    for lines in pages:
        page = writer.add_blank_page(300, 400)
        shown = " ".join(f"<{line.encode('utf-16-be').hex()}> Tj T*" for line in lines)
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 14 TL 20 380 Td {shown} ET".encode() if lines else b"")
        page[NameObject("/Contents")] = writer._add_object(content)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): reference})}
        )
    if title:
        writer.add_metadata({"/Title": title})
    if password is not None:
        writer.encrypt(password, algorithm="RC4-128")
    writer.write(path)


def scan(path, pages, *, picture=True, form=False):
    """Write a PDF whose pages show a picture, perhaps inside a form, or lines alone."""
    writer = pypdf.PdfWriter()
    for _ in range(pages):
        page = writer.add_blank_page(300, 400)
        image = DecodedStreamObject()
        image.set_data(bytes(3))
        image.update({NameObject("/Type"): NameObject("/XObject"), NameObject("/Subtype"): NameObject("/Image")})
        shown = image if picture else None
        if form:
            shown = DecodedStreamObject()
            shown.update({NameObject("/Subtype"): NameObject("/Form"), NameObject("/Resources"): drawn(writer, image)})
        content = DecodedStreamObject()
        content.set_data(b"/X Do" if picture else b"0 0 m 10 10 l S")
        page[NameObject("/Contents")] = writer._add_object(content)
        page[NameObject("/Resources")] = drawn(writer, shown) if shown is not None else DictionaryObject()
    writer.write(path)


def test_scanned_pages_among_others_are_named(tmp_path):
    scan(tmp_path / "scan.pdf", 2)
    make(tmp_path / "text.pdf", [["読める"], []])
    writer = pypdf.PdfWriter()
    for name in ("text.pdf", "scan.pdf"):
        writer.append(tmp_path / name)
    writer.write(tmp_path / "a.pdf")
    (record,) = documents([tmp_path / "a.pdf"])
    assert record.fields["scanned_pages"] == "3, 4"
    assert [mark.number for mark in record.outline] == [1, 2, 3, 4]


def drawn(writer, thing):
    return DictionaryObject({NameObject("/XObject"): DictionaryObject({NameObject("/X"): writer._add_object(thing)})})


def test_author_and_date(tmp_path):
    path = tmp_path / "a.pdf"
    make(path, [["読める"]])
    writer = pypdf.PdfWriter(path)
    writer.add_metadata({"/Author": "総務部", "/CreationDate": "D:20240401093000+09'00'"})
    writer.write(path)
    (record,) = documents([path])
    assert (record.fields["author"], record.fields["date"]) == ("総務部", "2024-04-01T09:30:00+09:00")
    writer.add_metadata({"/CreationDate": "昨日"})
    writer.write(path)
    (record,) = documents([path])
    assert (record.fields["author"], "date" in record.fields) == ("総務部", False)


def test_a_file_that_only_forbids_changes_is_read(tmp_path):
    path = tmp_path / "a.pdf"
    make(path, [["読める"]])
    writer = pypdf.PdfWriter(path)
    writer.encrypt("", "owner", algorithm="AES-256")
    writer.write(path)
    assert [record.text.strip() for record in read([path])] == ["読める"]


def test_pages_are_joined_by_form_feeds(tmp_path):
    path = tmp_path / "契約.pdf"
    make(path, [["第一条 目的", "本契約は"], ["第二条 解約"]], title="契約書")
    (record,) = read([path])
    assert [page.split() for page in record.text.split("\f")] == [["第一条", "目的", "本契約は"], ["第二条", "解約"]]
    assert record.id == path.as_posix()
    assert (record.title, dict(record.fields)) == ("契約書", {})
    assert (record.original, record.alignment) == (None, None)
    assert [(mark.kind, mark.number, record.text[mark.start :][:3]) for mark in record.outline] == [
        ("page", 1, "第一条"),
        ("page", 2, "第二条"),
    ]
    lines = [record.text for record in read([path], ReadOptions(unit=Unit.LINE))]
    assert lines == ["第一条 目的", "本契約は", "第二条 解約"]
    (document,) = documents([path])
    assert document.fields["size"] == path.stat().st_size
    assert document.fields["title"] == "契約書"


def test_an_empty_password_opens(tmp_path):
    path = tmp_path / "a.pdf"
    make(path, [["読める"]], password="")
    assert [record.text.strip() for record in read([path])] == ["読める"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: make(path, [["秘密"]], password="kagi"), "encrypted with a password (remove the password first)"),
        (lambda path: make(path, [[], []]), "empty: 2 pages that show nothing"),
        (lambda path: scan(path, 3), "no text layer: a scan of 3 pages (run OCR over it first)"),
        (lambda path: scan(path, 1, form=True), "no text layer: a scan of 1 page (run OCR over it first)"),
        (lambda path: scan(path, 2, picture=False), "no text layer: 2 pages of drawings"),
        (
            lambda path: path.write_bytes(b"%PDF-1.7\nbroken"),
            "cannot be read as PDF: it is cut off: its end is missing (copy",
        ),
        (lambda path: path.write_bytes(b"%PDF-1.7\n%%EOF"), "cannot be read as PDF: it is damaged, or unlike any PDF"),
        (lambda path: path.write_bytes(b""), "cannot be read as PDF: the file is empty (copy or download it again)"),
        (
            lambda path: path.write_text("<html><p>ログイン", encoding="utf-8"),
            "cannot be read as PDF: it is a web page (rename it to .html, or save it as PDF)",
        ),
    ],
)
def test_what_cannot_be_read(tmp_path, capfd, damage, message):
    path = tmp_path / "a.pdf"
    damage(path)
    (failed,) = read([path])
    assert str(failed.error).startswith(f"{path.as_posix()}: {message}")
    assert capfd.readouterr() == ("", "")


def test_letter_spaced_lines_are_joined(tmp_path):
    path = tmp_path / "a.pdf"
    make(path, [["契 約 の 解 約 条 件 は 書 面 に よ る 。", "東京 大阪"]])
    (record,) = read([path])
    assert record.text.split("\n")[:2] == ["契約の解約条件は書面による。", "東京 大阪"]
