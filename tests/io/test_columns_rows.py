"""Rows as documents, and characters that two code tables map apart."""

from __future__ import annotations

import json
from pathlib import Path

from jnlp.io import OutputEncoding, ReadOptions, documents, open_writer, read
from jnlp.types import Failed, Record


def test_a_row_without_a_text_column_is_a_document_as_a_whole(tmp_path: Path) -> None:
    table = tmp_path / "faq.csv"
    table.write_text("id,質問,回答\nq1,解約できますか。,いつでもできます。\nq2,,\n", encoding="utf-8")
    first, second = documents([table])
    assert isinstance(first, Record)
    assert (first.id, first.text) == ("q1", "解約できますか。\nいつでもできます。")
    assert first.fields["質問"] == "解約できますか。"
    assert isinstance(second, Failed)
    assert "no column holds text" in str(second.error)


def test_a_named_text_column_wins(tmp_path: Path) -> None:
    table = tmp_path / "faq.jsonl"
    table.write_text(json.dumps({"質問": "問", "回答": "答"}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert [record.text for record in documents([table], ReadOptions(text="回答"))] == ["答"]


def test_cp932_writes_its_own_twins_and_loses_no_record(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with open_writer("csv", out, encoding=OutputEncoding.CP932) as output:
        output.write({"id": "1", "text": "九〜十時、−三度、そして—‖¢£¬"})
    (record,) = read([out])
    assert record.text == "九～十時、－三度、そして―∥￠￡￢"
