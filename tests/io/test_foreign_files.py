"""Files in other languages' encodings, through the readers: one file's failure, and pages by what they declare."""

from __future__ import annotations

from pathlib import Path

import pytest

from jnlp.io.reading.options import ReadOptions
from jnlp.io.reading.readers import read
from jnlp.text import ForeignTextError
from jnlp.types import Failed, Record

CHINESE = "关于进一步加强安全生产工作的通知。请仔细阅读。"


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.md"])
def test_a_chinese_file_fails_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(f"text\n{CHINESE}\n".encode("gb18030"))
    (tmp_path / "b.txt").write_bytes("明日は晴れる。\n".encode("cp932"))
    *_, failed, record = read([str(tmp_path)])
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ForeignTextError)
    assert isinstance(record, Record)
    assert (record.text, record.source.encoding) == ("明日は晴れる。", "cp932")
    *_, record = read([str(tmp_path / name)], ReadOptions(encoding="gb18030"))
    assert isinstance(record, Record)
    assert CHINESE in record.text


@pytest.mark.parametrize(("label", "codec"), [("gb2312", "gb18030"), ("Shift_JIS", "cp932"), ("iso-8859-1", "cp932")])
def test_a_page_is_read_by_what_it_declares(label: str, codec: str, tmp_path: Path) -> None:
    text = CHINESE if codec == "gb18030" else "契約の解約について説明します。"
    page = f'<meta http-equiv="Content-Type" content="text/html; charset={label}"><title>{text}</title><p>{text}'
    (tmp_path / "a.html").write_bytes(page.encode(codec))
    (record,) = read([str(tmp_path)])
    assert isinstance(record, Record)
    assert (record.title, record.source.encoding) == (text, codec)
    assert record.text.count(text) == 2
