"""The count behind a progress bar is near what is read, and never stands in the way."""

from __future__ import annotations

import gzip
from pathlib import Path

import openpyxl
import pytest

from jnlp.io import ReadOptions, Unit, read
from jnlp.io.reading.estimate import estimate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("一\n二\n三\n", encoding="utf-8")
    (tmp_path / "b.md").write_text("# 題\n\n本文。\n", encoding="utf-8")
    (tmp_path / "c.jsonl").write_text('{"text": "甲"}\n{"text": "乙"}\n', encoding="utf-8")
    return tmp_path


def test_lines_and_files_are_counted(folder: Path) -> None:
    assert estimate([folder]) == 6 == len(list(read([folder])))
    assert estimate(["文そのもの", folder / "a.txt"]) == 4
    whole = ReadOptions(unit=Unit.DOCUMENT)  # rows stay rows
    assert estimate([folder], whole) == 4 == len(list(read([folder], whole)))


def test_what_cannot_be_known_is_none(folder: Path) -> None:
    with gzip.open(folder / "d.txt.gz", "wt", encoding="utf-8") as file:
        file.write("四\n")
    assert estimate([folder]) is None
    assert estimate(["-"]) is None
    assert estimate([folder / "a.txt"], ReadOptions(unit=Unit.PARAGRAPH)) is None


def test_messages_and_rows_of_workbooks_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.mbox").write_bytes(b"From a\nSubject: a\n\n1\n\nFrom b\nSubject: b\n\n2\n")
    book = openpyxl.Workbook()
    for row in (["text", "n"], ["a", 1], ["b", 2], ["c", 3]):
        book.active.append(row)
    book.create_sheet()
    book.save(tmp_path / "b.xlsx")
    for options in (ReadOptions(), ReadOptions(unit=Unit.DOCUMENT)):
        assert estimate([tmp_path], options) == len(list(read([tmp_path], options)))
    (tmp_path / "b.xlsx").write_bytes(b"PK")
    assert estimate([tmp_path]) == 3
