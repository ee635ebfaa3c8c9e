"""Writing: what stands in the file, byte by byte, and what is refused."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import sys
import threading
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jnlp.errors import JnlpError, MissingExtraError, RecordError, UsageError
from jnlp.io import OutputEncoding, ReadOptions, format_of, open_writer, read
from jnlp.types import Failed, Record, Source

ROWS = [
    {"id": "1", "text": "今日は、「晴れ」。", "score": 0.25, "spans": [[0, 2]], "ok": True, "none": None},
    {"id": "2", "text": '改行\nと"引用"', "score": 1, "spans": [], "ok": False, "none": None},
]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(format, rows, out=None, **options):
    stream = options.pop("stream", None) or io.BytesIO()
    with open_writer(format, out, stream=stream, **options) as output:
        for row in rows:
            output.write(row)
    return stream.getvalue() if out is None else Path(out).read_bytes()


def test_jsonl():
    assert write("jsonl", ROWS).decode() == (
        '{"id": "1", "text": "今日は、「晴れ」。", "score": 0.25, "spans": [[0, 2]], "ok": true, "none": null}\n'
        '{"id": "2", "text": "改行\\nと\\"引用\\"", "score": 1, "spans": [], "ok": false, "none": null}\n'
    )


def test_csv():
    assert write("csv", ROWS).decode() == (
        'id,text,score,spans,ok,none\n1,今日は、「晴れ」。,0.25,"[[0, 2]]",true,\n2,"改行\nと""引用""",1,[],false,\n'
    )


def test_tsv():
    assert write("tsv", ROWS[:1]).decode() == (
        "id\ttext\tscore\tspans\tok\tnone\n1\t今日は、「晴れ」。\t0.25\t[[0, 2]]\ttrue\t\n"
    )


@pytest.mark.parametrize("format", ["jsonl", "csv", "tsv"])
@pytest.mark.parametrize("encoding", list(OutputEncoding))
def test_encodings(format, encoding, tmp_path):
    out = tmp_path / f"a.{format}"
    data = write(None, ROWS, out, encoding=encoding)
    assert data == write(format, ROWS).decode().encode(encoding.value)
    assert data.startswith(b"\xef\xbb\xbf") is (encoding is OutputEncoding.UTF_8_SIG)
    assert names(tmp_path) == [out.name]


def test_what_cp932_cannot_hold_fails_that_record_alone():
    stream = io.BytesIO()
    with open_writer("csv", stream=stream, encoding=OutputEncoding.CP932) as output:
        output.write({"id": "a", "text": "髙橋と①"})
        with pytest.raises(RecordError) as caught:
            output.write({"id": "b", "text": "絵文字😀"})
        output.reject(Failed("b", Source("x"), caught.value))
        output.write({"id": "c", "text": "終"})
    assert caught.value.message.startswith("b: '😀' (U+1F600) ")
    assert "cp932" in caught.value.message
    assert "--output-encoding utf-8-sig" in (caught.value.hint or "")
    assert stream.getvalue() == "id,text\na,髙橋と①\nc,終\n".encode("cp932")


def test_all_rows_of_a_record_or_none():
    stream = io.BytesIO()
    with open_writer("jsonl", stream=stream) as output:
        output.write({"id": "1", "n": 1}, {"id": "1", "n": 2})
        output.write()
        with pytest.raises(RecordError, match=r"U\+D800 cannot be written in utf-8"):
            output.write({"id": "3", "n": 1}, {"id": "3", "n": "\ud800"})
        assert output.records == 2
    assert stream.getvalue() == b'{"id": "1", "n": 1}\n{"id": "1", "n": 2}\n'


def test_a_table_keeps_its_header():
    stream = io.BytesIO()
    with open_writer("csv", stream=stream, columns=("id", "text", "score")) as output:
        output.write({"text": "あ", "id": "1"})
        with pytest.raises(RecordError, match="2: the header has no column 'extra' \\(use --format jsonl\\)"):
            output.write({"id": "2", "extra": 1})
    assert stream.getvalue().decode() == "id,text,score\n1,あ,\n"


@pytest.mark.parametrize(("format", "expected"), [("csv", b"id,text\n"), ("tsv", b"id\ttext\n"), ("jsonl", b"")])
def test_no_rows(tmp_path, format, expected):
    assert write(format, [], tmp_path / "a", columns=("id", "text")) == expected
    assert write(format, [], tmp_path / "b") == (b"" if format != "jsonl" else expected)
    write("parquet", [], tmp_path / "c", columns=("id",))
    assert pq.read_table(tmp_path / "c").column_names == ["id"]


@dataclasses.dataclass(frozen=True, slots=True)
class Fill:
    score: float


def test_values_that_json_lacks():
    row = {
        "day": date(2026, 1, 2),
        "time": datetime(2026, 1, 2, 3, 4),
        "price": Decimal("1.50"),
        "nan": math.nan,
        "deep": [{"x": (math.inf, 1)}, Fill(0.5)],
        "array": np.array([1, 2], dtype=np.float32),
        "number": np.float32(0.5),
        "bytes": b"\x00\xff",
        "path": Path("a/b"),
    }
    assert json.loads(write("jsonl", [row])) == {
        "day": "2026-01-02",
        "time": "2026-01-02T03:04:00",
        "price": "1.50",
        "nan": None,
        "deep": [{"x": [None, 1]}, {"score": 0.5}],
        "array": [1.0, 2.0],
        "number": 0.5,
        "bytes": "AP8=",
        "path": "a/b",
    }
    assert write("csv", [{"day": row["day"], "price": row["price"], "array": row["array"]}]).decode() == (
        'day,price,array\n2026-01-02,1.50,"[1.0, 2.0]"\n'
    )
    with pytest.raises(TypeError, match="object has no JSON form"):
        write("jsonl", [{"x": object()}])


def test_parquet_widens_types_from_part_to_part(tmp_path):
    out = tmp_path / "a.parquet"
    with open_writer(None, out) as output:
        for row in (
            {"id": "1", "n": 1, "late": None, "mixed": 1, "list": [1]},
            {"id": "2", "n": 2.5, "late": "x", "mixed": "二", "list": []},
            {"id": "3", "n": None, "late": None, "mixed": [3], "list": None, "new": True},
        ):
            output.write(row)
            output.flush()
            assert not out.exists()
        assert len(names(tmp_path / "a.parquet.part")) == 3
    assert names(tmp_path) == ["a.parquet"]
    assert pq.read_table(out).to_pylist() == [
        {"id": "1", "n": 1.0, "late": None, "mixed": "1", "list": [1], "new": None},
        {"id": "2", "n": 2.5, "late": "x", "mixed": "二", "list": [], "new": None},
        {"id": "3", "n": None, "late": None, "mixed": "[3]", "list": None, "new": True},
    ]


def test_npy(tmp_path):
    out = tmp_path / "v.npy"
    vectors = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    with open_writer(None, out) as output:
        for n, vector in enumerate(vectors):
            output.write({"id": f"文{n}\n", "text": "x", "embedding": vector if n % 2 else vector.tolist()})
        with pytest.raises(RecordError, match=r"a vector of shape \(3,\) among vectors of 7"):
            output.write({"id": "bad", "embedding": [1, 2, 3]})
    assert np.array_equal(np.load(out, allow_pickle=False), vectors)
    assert (tmp_path / "v.ids.txt").read_text(encoding="utf-8").splitlines() == [f"文{n} " for n in range(5)]
    assert names(tmp_path) == ["v.ids.txt", "v.npy"]
    with pytest.raises(UsageError, match="npy stores vectors"), open_writer("npy", out) as output:
        output.write({"id": "1", "label": "x"})
    assert np.load(out).shape == (5, 7)  # what stood there stands


def test_npy_without_rows_loads(tmp_path):
    write("npy", [], tmp_path / "v.npy")
    assert np.load(tmp_path / "v.npy").shape == (0, 0)


def test_rejects(tmp_path):
    rejects = tmp_path / "bad.jsonl"
    with open_writer("jsonl", stream=io.BytesIO(), rejects=rejects) as output:
        output.reject(Failed("a.csv:3", Source("a.csv", 3), RecordError("a.csv:3: broken", hint="mend it")))
        output.reject(Failed("x", Source("arg", 1), ValueError("二行の\n文")))
        record = Record("p", ("前提", "仮説"), {"星": 5, "error": "前の"}, Source("b.csv", 4))
        output.reject(Failed("p", record.source, RecordError("no"), record=record))
        left = Record("q", "文", {"path": "b.csv", "line": 4, "error": "前の", "星": 5}, Source("bad.jsonl", 1))
        output.reject(Failed("q", left.source, RecordError("まだ"), record=left))
        output.reject(Failed("c.csv:2", Source("c.csv", 2), RecordError("empty"), {"本文": "", "id": 7}))
    assert [json.loads(line) for line in rejects.read_text(encoding="utf-8").splitlines()] == [
        {"id": "a.csv:3", "path": "a.csv", "line": 3, "error": "a.csv:3: broken (mend it)"},
        {"id": "x", "path": "arg", "line": 1, "error": "ValueError: 二行の 文"},
        {
            **{"id": "p", "text": "前提", "text_pair": "仮説", "path": "b.csv", "line": 4, "error": "no"},
            **{"星": 5, "input.error": "前の"},
        },
        {"id": "q", "text": "文", "path": "bad.jsonl", "line": 1, "error": "まだ", "星": 5},
        {"id": "c.csv:2", "path": "c.csv", "line": 2, "error": "empty", "本文": "", "input.id": 7},
    ]


def test_a_table_for_the_screen(tmp_path):
    seen = []
    with open_writer("table", table=seen.append, rejects=tmp_path / "r.jsonl") as output:
        output.write({"a": 1}, {"a": 2})
        output.reject(Failed("x", Source("arg"), RecordError("no")))
    assert seen == [{"a": 1}, {"a": 2}]
    assert (tmp_path / "r.jsonl").read_text() == '{"id": "x", "path": "arg", "line": null, "error": "no"}\n'


def test_the_old_file_stands_until_the_new_is_whole(tmp_path):
    out = tmp_path / "a.jsonl"
    out.write_text("古い\n", encoding="utf-8")
    link = tmp_path / "link.jsonl"
    link.symlink_to(out)
    with open_writer(None, link) as output:
        output.write({"a": 1})
        output.flush()
        assert out.read_text(encoding="utf-8") == "古い\n"
        assert (tmp_path / "a.jsonl.part").read_text() == '{"a": 1}\n'
    assert out.read_text() == '{"a": 1}\n'
    assert link.is_symlink()


def test_formats_by_ending(tmp_path):
    assert [format_of(Path(name)) for name in ("a.JSONL", "a.csv", "a.tsv", "a.parquet", "a.npy")] == [
        "jsonl",
        "csv",
        "tsv",
        "parquet",
        "npy",
    ]
    assert format_of(None) == "jsonl"
    assert format_of(Path("/dev/null")) == "jsonl"
    with pytest.raises(UsageError) as caught:
        open_writer(None, tmp_path / "a.xlsx")
    assert str(caught.value).endswith(
        "a.xlsx: no output format has the ending '.xlsx' "
        "(--format, or one of .csv, .jsonl, .ndjson, .npy, .parquet, .tsv)"
    )
    with pytest.raises(
        UsageError, match=r"no output format is called 'xml' \(there are: csv, jsonl, npy, parquet, table"
    ):
        open_writer("xml")


def test_what_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = Path("in.jsonl")
    source.write_text('{"text": "あ"}\n', encoding="utf-8")
    for arguments, message in [
        ({"out": source, "inputs": ["./in.jsonl"]}, "in.jsonl is both read and written"),
        ({"out": source, "inputs": ["."]}, "in.jsonl is both read and written"),
        ({"out": Path("out.jsonl"), "rejects": source, "inputs": [source]}, "in.jsonl is both read and written"),
        (
            {"out": Path("out.jsonl"), "rejects": Path("new.jsonl"), "inputs": ["."]},
            "new.jsonl is both read and written",
        ),
        ({"out": Path("o.jsonl"), "rejects": Path("o.jsonl")}, "o.jsonl is both the output and the rejects"),
        ({"out": Path("無い/out.jsonl")}, "無い/out.jsonl: the folder 無い does not exist"),
        ({"out": tmp_path}, f"{tmp_path} is a folder"),
        ({"out": None, "resume": True, "job": {}}, "--resume needs a file"),
        ({"format": "parquet", "out": None}, "parquet needs a file"),
        ({"format": "npy", "out": None}, "npy needs a file"),
        ({"format": "table", "out": Path("o.txt"), "table": print}, "a table is for the screen"),
    ]:
        with pytest.raises(UsageError) as caught:
            open_writer(**{"format": "jsonl", **arguments})
        assert caught.value.message == message
    assert names(Path()) == ["in.jsonl"]
    assert source.read_text(encoding="utf-8") == '{"text": "あ"}\n'
    with open_writer("jsonl", Path("out.jsonl"), inputs=["今日は", "-", ".", "x" * 5000, "\0"]) as output:
        output.write({})


def test_a_missing_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match="writing parquet needs the extra 'parquet'"):
        open_writer("parquet", tmp_path / "a.parquet")
    assert names(tmp_path) == []


def test_a_full_disk_is_one_line():
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(JnlpError) as caught, open_writer("jsonl", full) as output:
        output.write({"a": 1})
    assert caught.value.message.startswith("/dev/full: no space left on the disk")
    assert "0 records" in caught.value.message
    assert caught.value.hint


def test_a_closed_pipe_is_the_callers():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as pipe, pytest.raises(BrokenPipeError):
        write("jsonl", [{"n": n} for n in range(100_000)], stream=pipe)


class Shout:
    """A third party's format."""

    chunk, seconds, start = 1, 1.0, {"rows": 0}

    def __init__(self, target):
        self.target = target

    def prepare(self, rows):
        return [str(row["text"]).upper() for row in rows], 1

    def append(self, prepared, position):
        lines = [line for record in prepared for line in record]
        self.target.stream.write("".join(f"{line}!\n" for line in lines).encode())
        return {"rows": position["rows"] + len(lines)}

    def sync(self):
        pass

    def finish(self, position):
        self.target.stream.write(f"{position['rows']} rows\n".encode())

    def close(self):
        pass

    def discard(self):
        pass


def test_a_writer_of_a_plugin():
    data = write("shout", [{"text": "abc"}, {"text": "d"}], writers={"shout": lambda: Shout})
    assert data == b"ABC!\nD!\n2 rows\n"


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(lambda text: "本" + text)
CELL = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NESTED = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | CELL,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CELL, inner, max_size=3),
    max_leaves=6,
)


def roundtrip(format, rows, folder, encoding="utf-8"):
    out = folder / f"a.{format}"
    with open_writer(format, out) as output:
        for row in rows:
            output.write(row)
    found = list(read([out], ReadOptions(encoding=encoding)))
    assert all(isinstance(record, Record) for record in found), found
    return [{"id": record.id, "text": record.text, **record.fields} for record in found]


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl", "parquet"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.fixed_dictionaries({"id": TEXT, "text": TEXT, "列": CELL, "b": CELL}), min_size=1, max_size=5))
def test_texts_come_back(tmp_path, format, rows):
    assert roundtrip(format, rows, tmp_path) == rows


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.fixed_dictionaries({"id": TEXT, "text": TEXT, "x": NESTED}), min_size=1, max_size=4))
def test_values_come_back_from_jsonl(tmp_path, rows):
    assert roundtrip("jsonl", rows, tmp_path) == rows


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "id": TEXT,
                "text": TEXT,
                "n": st.integers(-(2**53), 2**53),
                "s": st.lists(st.floats(width=32, allow_nan=False)),
            }
        ),
        min_size=1,
        max_size=4,
    )
)
def test_values_come_back_from_parquet(tmp_path, rows):
    assert roundtrip("parquet", rows, tmp_path) == rows


def test_the_head_and_a_line_do_not_disturb_each_other():
    """The thread that flushes writes the head while another prepares a line."""
    from jnlp.io.writing.lines import _Table

    layout = _Table(",", ("id", "本文"))
    head = layout.head()
    heads: list[str] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    flushing = threading.Thread(target=lambda: heads.extend(layout.head() for _ in range(5000)))
    try:
        flushing.start()
        lines = {layout.line({"id": "1", "本文": "文。" * 50}) for _ in range(5000)}
    finally:
        flushing.join()
        sys.setswitchinterval(interval)
    assert lines == {"1," + "文。" * 50 + "\n"}
    assert set(heads) == {head}
