"""Tables: which column is the text, and every way in which a row can be broken."""

from __future__ import annotations

import io
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jnlp.errors import MissingExtraError, UsageError
from jnlp.io import ReadOptions, read
from jnlp.types import Failed, Record


def all_of(path, **options):
    return list(read([path], ReadOptions(**options)))


def texts(path, **options):
    return [
        item.text if isinstance(item, Record) else str(item.error).removeprefix(f"{path.as_posix()}:")
        for item in all_of(path, **options)
    ]


@pytest.mark.parametrize(
    ("header", "options", "column"),
    [
        (["id", "text", "本文"], {}, "text"),
        (["番号", "文", "内容"], {}, "文"),
        (["番号", "sentence", "文"], {}, "sentence"),
        (["コメント"], {}, "コメント"),
        (["id", "コメント"], {}, "コメント"),
        (["評価", "コメント"], {"label": "評価"}, "コメント"),
        (["text", "コメント"], {"text": "コメント"}, "コメント"),
        ([" text ", "コメント"], {}, "text"),
    ],
)
def test_the_text_column(tmp_path, header, options, column):
    path = tmp_path / "a.csv"
    path.write_text(",".join(header) + "\n" + ",".join(f"<{name.strip()}>" for name in header), encoding="utf-8")
    (record,) = all_of(path, **options)
    assert record.text == f"<{column}>"
    assert record.fields == {n.strip(): f"<{n.strip()}>" for n in header if n.strip() not in (column, "id")}


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_a_wrong_column_is_one_line(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"番号": ["1"], "本文": ["あ"], "評価": ["良"]}), path)
    elif kind == "jsonl":
        path.write_text('{"番号": "1", "本文": "あ", "評価": "良"}\n', encoding="utf-8")
    else:
        path.write_text("番号,本文,評価\n1,あ,良\n".replace(",", "\t" if kind == "tsv" else ","), encoding="utf-8")
    for options, message in [
        ({"text": "本分"}, "no column is called '本分' (did you mean '本文'? the columns are: 番号, 本文, 評価)"),
        ({"label": "x"}, "no column is called 'x' (the columns are: 番号, 本文, 評価)"),
        ({"id": "x"}, "no column is called 'x' (the columns are: 番号, 本文, 評価)"),
        ({"text_pair": "x"}, "no column is called 'x' (the columns are: 番号, 本文, 評価)"),
    ]:
        with pytest.raises(UsageError) as caught:
            all_of(path, **options)
        assert str(caught.value) == f"{path.as_posix()}: {message}"


def test_a_table_without_a_text_column(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"which column holds the text\? \(say --text COLUMN; the columns are: a, b\)"):
        all_of(path)
    (tmp_path / "b.txt").write_text("文。\n", encoding="utf-8")
    failed, record = read([tmp_path])  # in a folder it must not stop the others
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, UsageError)
    assert record.text == "文。"


def test_pairs_ids_and_fields(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"前提": "雨だ。", "仮説": "濡れる。", "id": 7, "点": 3.5}\n'
        '{"前提": "晴れ。", "仮説": "乾く。", "id": "", "点": null}\n'
        '{"前提": "雪だ。", "仮説": " "}\n',
        encoding="utf-8",
    )
    first, second, third = all_of(path, text="前提", text_pair="仮説")
    assert (first.id, first.text, first.fields) == ("7", ("雨だ。", "濡れる。"), {"点": 3.5})
    assert (second.id, second.fields) == (f"{path.as_posix()}:2", {"点": None})
    assert str(third.error).endswith("a.jsonl:3: column '仮説' is empty")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "本文,評価\n一,良\n二\n三,良,余\n四,悪\n",
            ["一", "3: the row has 1 cells, the header 2", "4: the row has 3 cells, the header 2", "四"],
        ),
        ('本文\n"二行の\n文。"\n次。\n', ["二行の\n文。", "次。"]),
        ('本文\n"二行の\r\n文。"\r\n次。\r\n', ["二行の\r\n文。", "次。"]),
        ('本文,x\n"彼は""はい""と言った",1\n', ['彼は"はい"と言った']),
        ("\n\n本文,x\n\n一,1\n\n二,2\n", ["一", "二"]),
        ("本文;x\n一,二;1\n", ["一,二"]),
        ("本文\tx\n一\t1\n", ["一"]),
        ('"本文";"a,b,c"\n一;2\n', ["一"]),
        ('本文,x\n"一"余り,1\n二,2\n', ["2: broken row: ',' expected after '\"'", "二"]),
        (
            '本文,x\n一,1\n"閉じない,2\n三,3\n',
            ["一", "3: the quote that opens in line 3 is not closed: unexpected end of data", "三"],
        ),
        ("sep=;\n本文;x\n一,二;1\n", ["一,二"]),
        ('"sep=,"\n本文,x\n一,1\n', ["一"]),
        ("SEP=\t\r\n本文\tx\r\n一,;\t1\r\n", ["一,;"]),
        ("sep=|\n本文|x\n一|1\n二\n", ["一", "4: the row has 1 cells, the header 2"]),
        ("sep=;\n", []),
        ("本文,x\n,1\n　,2\n三,3\n", ["2: column '本文' is empty", "3: column '本文' is empty", "三"]),
        ("本文,本文,\n一,二,三\n", ["一"]),
        ("本文,x\n", []),
    ],
)
def test_csv(tmp_path, content, expected):
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode())
    assert texts(path) == expected


def test_repeated_and_empty_names_lose_nothing(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("本文,a,a,,a_2\n一,二,三,四,五\n", encoding="utf-8")
    (record,) = all_of(path)
    assert record.fields == {"a": "二", "a_2": "三", "column_4": "四", "a_2_2": "五"}


def test_the_line_is_where_the_row_begins(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes('\n"本\n文",x\n"一\n二\n三",1\n四,2\n'.encode())
    assert [item.source.line for item in all_of(path, text="本\n文")] == [4, 7]


def test_nul_and_huge_cells(tmp_path):
    path = tmp_path / "a.csv"
    huge = "大きな" * 2_000_000
    path.write_bytes(f'本文,x\n"{huge}",1\n'.encode() + "無\0効,2\n".encode())
    assert texts(path, encoding="utf-8") == [huge, "無\0効"]


def test_a_quote_that_never_closes_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("jnlp.io.reading.tabular.LONGEST_FIELD", 1000)
    path = tmp_path / "a.csv"
    path.write_text('本文\n"開いた\n' + "行。\n" * 5000, encoding="utf-8")
    found = all_of(path)
    assert isinstance(found[0], Failed)
    assert "field larger than field limit" in str(found[0].error)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"text": "一"}', "一"),
        ('"ただの文字列"', "ただの文字列"),
        ('{"text": "行\\u2028区切り\u2028と\u0085"}', "行\u2028区切り\u2028と\u0085"),
        ('{"text": "\\ud83d\\ude00"}', "😀"),
        ('{"text": "一"', "2: broken JSON at column 13: Expecting ',' delimiter"),
        ("{'text': 1}", "2: broken JSON at column 2: Expecting property name enclosed in double quotes"),
        ('{"text": 5}', "2: column 'text' holds no text but int"),
        ('{"text": ["一"]}', "2: column 'text' holds no text but list"),
        ('{"text": null}', "2: column 'text' is empty"),
        ('{"本文": "一"}', "2: no column 'text'"),
        ('{"text": "\\ud83d"}', "2: half of a surrogate pair has no other half"),
        ('["一"]', "2: neither a JSON object nor a string"),
        ("12", "2: neither a JSON object nor a string"),
        ('""', "2: the string is empty"),
    ],
)
def test_jsonl(tmp_path, line, expected):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "前"}}\n{line}\n\n{{"text": "後"}}\n', encoding="utf-8")
    assert texts(path) == ["前", expected, "後"]
    assert all_of(path)[-1].source.line == 4


@pytest.mark.parametrize("line", ["[" * 100_000, "1" * 10_000])
def test_json_out_of_bounds(tmp_path, line):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "前"}\n' + f'{{"text": {line}}}\n', encoding="utf-8")
    _, failed = all_of(path)
    assert "JSON out of bounds" in str(failed.error)


@pytest.mark.parametrize("content", ['[{"text": "一"}]', '[\n  {"text": "一"}\n]', '{\n  "text": "一"\n}'])
def test_json_that_is_not_lines(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content, encoding="utf-8")
    (failed,) = all_of(path)
    assert str(failed.error) == (
        f"{path.as_posix()}: this is one JSON value, not a JSON object per line (jq -c '.[]' array.json > rows.jsonl)"
    )


def test_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    rows = 3000
    table = pa.table(
        {
            "id": pa.array(range(rows)),
            "本文": [f"文{n}" if n != 5 else None for n in range(rows)],
            "数": [[n, n + 1] for n in range(rows)],
        }
    )
    pq.write_table(table, path)
    found = all_of(path)
    assert [item.id for item in found if isinstance(item, Record)] == [str(n) for n in range(rows) if n != 5]
    assert found[10].fields == {"数": [10, 11]}
    assert found[10].source.line == 11
    assert str(found[5].error).endswith("a.parquet:6: column '本文' is empty")
    (by_line,) = {type(item) for item in all_of(path, id="数")[:5]}
    assert by_line is Record
    path.write_bytes(path.read_bytes()[:-100])
    (failed,) = all_of(path)
    again = "(copy or download it again)"
    assert str(failed.error).endswith(f"cannot be read as parquet: it is cut off: its end is missing {again}")
    path.write_bytes(b"")
    assert str(all_of(path)[0].error).endswith(f"cannot be read as parquet: the file is empty {again}")
    path.write_text("id,text\n1,あ\n", encoding="utf-8")
    assert "cannot be read as parquet: it is plain text (rename it" in str(all_of(path)[0].error)


def test_parquet_from_a_pipe():
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": ["あ", "い"]}), buffer)
    buffer.seek(0)
    assert [r.text for r in read(["-"], ReadOptions(input_format="parquet"), stdin=buffer)] == ["あ", "い"]


@pytest.mark.parametrize(("kind", "module"), [("parquet", "pyarrow"), ("pdf", "pypdf")])
def test_a_missing_extra_is_named_and_the_rest_is_read(tmp_path, monkeypatch, kind, module):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / f"a.{kind}").write_bytes(b"x")
    (tmp_path / "b.txt").write_text("文。\n", encoding="utf-8")
    failed, record = read([tmp_path])
    assert isinstance(failed.error, MissingExtraError)
    assert str(failed.error).endswith(f"needs the extra '{kind}' (pip install 'jnlp[{kind}]')")
    assert record.text == "文。"


def test_a_key_that_the_first_rows_lack(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id":1,"body":"一。"}\n', encoding="utf-8")
    (tmp_path / "b.jsonl").write_text(
        '{"id":2,"title":"本文なし"}\n"裸の文。"\nbroken\n{"id":3,"body":"三。"}\n{"id":4}\n', encoding="utf-8"
    )
    (tmp_path / "c.jsonl").write_text('{"id":5,"body":"五。"}\n', encoding="utf-8")
    found = list(read([tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.jsonl")], ReadOptions(text="body")))
    assert [item.text for item in found if isinstance(item, Record)] == ["一。", "裸の文。", "三。", "五。"]
    assert [(item.source.line, isinstance(item, Failed)) for item in found[1:6]] == [
        (1, True),
        (2, False),
        (3, True),
        (4, False),
        (5, True),
    ]
    assert str(found[1].error).endswith("b.jsonl:1: no column 'body'")
    assert found[1].fields == {"id": 2, "title": "本文なし"}


def test_the_text_column_may_come_with_a_later_row(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": "x", "b": "y"}\n{"a": "x", "b": "y", "本文": "文。"}\n', encoding="utf-8")
    assert texts(path) == ["1: no column '本文'", "文。"]


def test_rows_that_wait_for_a_column_are_bounded(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "文。"}\n' * 5000 + '{"body": "遅い。"}\n', encoding="utf-8")
    with pytest.raises(UsageError, match="no column is called 'body'"):
        all_of(path, text="body")
    (tmp_path / "b.jsonl").write_text('{"body": "文。"}\n', encoding="utf-8")
    failed, record = read([path, tmp_path / "b.jsonl"], ReadOptions(text="body"))
    assert isinstance(failed.error, UsageError)
    assert record.text == "文。"


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_a_file_without_the_column_does_not_stop_the_next(tmp_path, kind):
    for name, column in (("a", "本文"), ("b", "title"), ("c", "本文")):
        path = tmp_path / f"{name}.{kind}"
        if kind == "parquet":
            pq.write_table(pa.table({column: [f"{name}。"]}), path)
        else:
            path.write_text(f'{{"{column}": "{name}。"}}\n' if kind == "jsonl" else f"{column}\n{name}。\n", "utf-8")
    first, failed, last = read(sorted(tmp_path.iterdir()), ReadOptions(text="本文"))
    assert (first.text, last.text) == ("a。", "c。")
    assert isinstance(failed.error, UsageError)
    assert failed.source.path.endswith(f"b.{kind}")


@pytest.mark.parametrize(
    ("rows", "bad", "read"),
    [
        (['"閉じない,良', "一,1", '"二",2', "三,3"], [2], ["一", "二", "三"]),
        (['"閉じない,良', "一,1", '二,"良"', "三,3"], [2], ["一", "二", "三"]),
        (["一,1", '"正しい\n二行",2', '"閉じない,良', "三,3"], [5], ["一", "正しい\n二行", "三"]),
        (['"一行目\n二行目",""', '余り,"開く', "二,2"], [4], ["一行目\n二行目", "二"]),
        (['"一\n続き","開く', "二,2"], [3], ["二"]),
        (['"甲,1', '"乙,2', '"丙,3', "丁,4"], [2, 3, 4], ["丁"]),
        (['"引用""符,1', '"一""つ",2', "二,2"], [2], ['一"つ', "二"]),
        (["一,1", '"最後'], [3], ["一"]),
    ],
)
def test_a_quote_that_does_not_close_is_the_failure_of_its_line(tmp_path, rows, bad, read):
    path = tmp_path / "a.csv"
    path.write_text("本文,評価\n" + "\n".join(rows) + "\n", encoding="utf-8")
    found = all_of(path)
    assert [item.text for item in found if isinstance(item, Record)] == read
    failed = [item for item in found if isinstance(item, Failed)]
    assert [item.source.line for item in failed] == bad
    assert all(f"the quote that opens in line {item.source.line}" in str(item.error) for item in failed)
    if failed[0].fields:
        assert list(failed[0].fields) == ["本文", "評価"]


def test_rows_after_a_quote_that_does_not_close_are_read(tmp_path):
    path = tmp_path / "a.csv"
    rows = [f"感想その{n}です。,良い" for n in range(20_000)]
    path.write_text("\n".join(["本文,評価", "一行目です。,良い", '"閉じ忘れ,良い', *rows]) + "\n", encoding="utf-8")
    found = all_of(path)
    assert [type(item) for item in found] == [Record, Failed, *[Record] * 20_000]
    assert (found[1].source.line, found[1].fields) == (3, {"本文": '"閉じ忘れ', "評価": "良い"})
    assert (found[-1].source.line, found[-1].text) == (20_003, "感想その19999です。")
