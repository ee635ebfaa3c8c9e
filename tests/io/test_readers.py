"""Reading: what an argument is, what a record is, in every encoding and with every kind of damage."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jnlp.errors import UsageError
from jnlp.io import Input, PassedOver, ReadOptions, Unit, documents, read
from jnlp.io.reading.readers import builtin_readers
from jnlp.io.specs import READERS
from jnlp.io.writing.writers import builtin_writers
from jnlp.options import build
from jnlp.types import Failed, Record

ROOT = Path(__file__).resolve().parents[2]

LINES = ["今日は天気がよい。", "円安が進み、輸出企業の株価が上がった。", "半角ｶﾞｷﾞと①と㈱、そして髙橋さん。"]
PLAIN = ["今日は天気がよい。", "円安が進み、輸出企業の株価が上がった。", "全角ＡＢＣとカタカナ、ひらがな。"]


def records(*inputs, stdin=None, **options):
    found = list(read(list(inputs), ReadOptions(**options), stdin=stdin))
    assert all(isinstance(item, Record) for item in found), found
    return found


def failures(*inputs, **options):
    return [item for item in read(list(inputs), ReadOptions(**options)) if isinstance(item, Failed)]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932", "euc_jp", "iso2022_jp"])
@pytest.mark.parametrize("kind", ["txt", "csv", "tsv", "jsonl"])
def test_every_format_in_every_encoding(tmp_path, kind, encoding, newline):
    if kind == "jsonl" and newline == "\r":
        newline = "\n"  # a lone CR is white space to JSON, and no one writes it
    rows = {
        "txt": PLAIN,
        "csv": ["番号,本文", *(f'{n},"{text}"' for n, text in enumerate(PLAIN))],
        "tsv": ["番号\t本文", *(f"{n}\t{text}" for n, text in enumerate(PLAIN))],
        "jsonl": [json.dumps({"番号": str(n), "本文": text}, ensure_ascii=False) for n, text in enumerate(PLAIN)],
    }[kind]
    path = tmp_path / f"文書.{kind}"
    path.write_bytes("".join(row + newline for row in rows).encode(encoding))
    for given in (None, encoding):
        found = records(str(path), encoding=given)
        assert [record.text for record in found] == PLAIN
        first = 1 if kind in ("txt", "jsonl") else 2
        assert [record.id for record in found] == [f"{path.as_posix()}:{first + n}" for n in range(3)]
        assert [record.source.line for record in found] == [first, first + 1, first + 2]
        if kind != "txt":
            assert [record.fields for record in found] == [{"番号": str(n)} for n in range(3)]


@pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
def test_vendor_characters(tmp_path, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes("\r\n".join(LINES).encode(encoding))
    assert [record.text for record in records(str(path))] == LINES
    assert records(str(path))[2].source.encoding == encoding


def test_arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("b.txt").write_text("二\n", encoding="utf-8")
    Path("a.txt").write_text("一\n\n三\n", encoding="utf-8")
    Path("文").mkdir()
    Path("文/c.md").write_text("# 見出し\n\n本文。\n", encoding="utf-8")
    Path("文/.hidden.txt").write_text("見えない\n", encoding="utf-8")
    Path("文/絵.png").write_bytes(b"\x89PNG")
    Path("文/下").mkdir()
    Path("文/下/d.txt").write_text("四\n", encoding="utf-8")
    assert [r.id for r in records("*.txt")] == ["a.txt:1", "a.txt:3", "b.txt:1"]
    assert [r.id for r in records("文")] == ["文/c.md", "文/下/d.txt:1"]
    assert [r.id for r in records("文", recursive=False)] == ["文/c.md"]
    first, blank, last = read(["今日は晴れ。", "  ", "b.txt"], ReadOptions(literal=True))
    assert isinstance(first, Record)
    assert isinstance(last, Record)
    assert isinstance(blank, Failed)  # told, not left out in silence
    assert [(first.id, first.text), (last.id, last.text)] == [("arg:1", "今日は晴れ。"), ("arg:3", "b.txt")]
    assert str(blank.error) == "arg:2: the text is empty"
    assert [(r.id, r.text) for r in records("-", stdin=io.BytesIO("一\n\n二".encode()))] == [
        ("stdin:1", "一"),
        ("stdin:3", "二"),
    ]
    assert [r.id for r in records(Path("a.txt"), "何か", "-", stdin=io.BytesIO(b""))] == ["a.txt:1", "a.txt:3", "arg:2"]


@pytest.mark.parametrize(
    "text",
    [
        "手順は、手順.txt",
        "a b.txt",
        "猫/犬",
        "and/or",
        "明日は？",
        "2.5",
        "[MASK]です",
        "あ" * 5000,
        "U.S.",
        "何*か?",
        "\0",
        "https",
    ],
)
def test_texts_that_are_no_paths(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [record.text for record in records(text)] == [text]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("missing.csv", "missing.csv does not exist (to use it as a text, add --literal)"),
        ("data/*.txt", "no file matches data/*.txt"),
        ("./nothing", "./nothing does not exist (to use it as a text, add --literal)"),
        ("データ/コメント.csv", "データ/コメント.csv does not exist (to use it as a text, add --literal)"),
        ("コメント*.txt", "no file matches コメント*.txt"),
        ("契約書/", "契約書/ does not exist (to use it as a text, add --literal)"),
        ("folder/", "folder/ does not exist (to use it as a text, add --literal)"),
        ("REPORT.DOC", "REPORT.DOC does not exist (to use it as a text, add --literal)"),
        ("a.jsonl.gz", "a.jsonl.gz does not exist (to use it as a text, add --literal)"),
        (Path("無い"), "無い does not exist"),
    ],
)
def test_paths_that_do_not_exist_are_refused_before_anything_is_read(argument, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        read(["よい文。", argument], ReadOptions())
    assert str(caught.value) == message


def test_index_takes_no_texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"契約書 does not exist$"):
        documents(["契約書"])


def test_records_that_begin_in_one_line_have_ids_of_their_own(tmp_path):
    path = tmp_path / "a.html"
    path.write_text("<p>一。</p><p>二。</p>\n<p>三。</p><p>四。</p><p>五。</p>\n\n<p>六。</p>", encoding="utf-8")
    found = [(r.id.removeprefix(path.as_posix()), r.text) for r in records(str(path), unit=Unit.PARAGRAPH)]
    ids = [":1", ":1.2", ":2", ":2.2", ":2.3", ":4"]
    assert found == list(zip(ids, ["一。", "二。", "三。", "四。", "五。", "六。"], strict=True))


def test_units(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("　一段落目の一行目。\n　二段落目。\n\n\n三つ目は長い。\n", encoding="utf-8")
    name = path.as_posix()
    assert [(r.id, r.text) for r in records(str(path), unit=Unit.LINE)] == [
        (f"{name}:1", "　一段落目の一行目。"),
        (f"{name}:2", "　二段落目。"),
        (f"{name}:5", "三つ目は長い。"),
    ]
    assert [(r.id, r.text) for r in records(str(path), unit=Unit.PARAGRAPH)] == [
        (f"{name}:1", "一段落目の一行目。"),
        (f"{name}:2", "二段落目。"),
        (f"{name}:5", "三つ目は長い。"),
    ]
    (whole,) = records(str(path), unit=Unit.DOCUMENT)
    assert (whole.id, whole.text) == (name, path.read_text(encoding="utf-8"))
    assert whole.original is None


def test_paragraphs_of_a_long_block_keep_their_lines(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("".join(f"　第{n}の文。\n" for n in range(1, 4502)), encoding="utf-8")
    found = records(str(path), unit=Unit.PARAGRAPH)
    assert [(r.source.line, r.text) for r in found] == [(n, f"第{n}の文。") for n in range(1, 4502)]


MARKED = {
    "a.md": "# 取扱**説明**書\r\n\r\n- 水を*入れる*。\r\n- [電源](https://例.jp)を切る。\r\n",
    "a.html": "<html><head><title>取扱 &amp; 説明</title></head>"
    "<body><h1>加湿器</h1>\n<p>水を<b>入れる</b>。</p></body></html>",
    "a.txt": "吾輩《わがはい》は｜猫《ねこ》である。［＃改ページ］\n名前《なまえ》はまだ無い。\n",
}


@pytest.mark.parametrize(
    ("name", "unit"), [*((name, unit) for name in ("a.md", "a.html") for unit in Unit), ("a.txt", Unit.DOCUMENT)]
)
def test_offsets_lead_back_to_the_file(tmp_path, name, unit):
    path = tmp_path / name
    path.write_bytes(MARKED[name].encode("cp932"))
    for record in records(str(path), unit=unit):
        assert record.original == MARKED[name]
        assert record.source.encoding == "cp932"
        assert "*" not in record.text
        assert "<" not in record.text
        assert "《" not in record.text
        for word in ("説明", "水を", "入れる", "電源", "猫", "名前", "加湿器"):
            at = record.text.find(word)
            if at < 0:
                continue
            start, end = record.alignment.span(at, at + len(word))
            shown = record.original[start:end]
            assert all(character in shown for character in word)
            assert record.alignment.locate(start, end) == (at, at + len(word))
        if unit is not Unit.DOCUMENT:
            first = record.alignment.span(0, 1)[0]
            assert record.source.line == record.original.count("\n", 0, first) + 1


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ('---\ntitle: "就業規則の解説"\ndate: 2024-04-01\ntags: [人事]\n---\n# はじめに\n本文。\n', "就業規則の解説"),
        ("---\ntitle: 議事録\n---\n本文。\n", "議事録"),
        ("---\ntags: [人事]\n---\n# はじめに\n本文。\n", "はじめに"),
        ("+++\ntitle = '規約'\n+++\n本文。\n", "規約"),
        ("---\ntitle:\n---\n本文。\n", None),
        ("見出し\n---\ntitle: 本文の中\n", "見出し"),
    ],
)
def test_front_matter_has_the_title_and_is_no_text(tmp_path, text, title):
    (tmp_path / "a.md").write_text(text, encoding="utf-8")
    (record,) = documents([str(tmp_path)])
    assert record.fields.get("title") == title
    assert "tags" not in record.text


def test_a_column_of_lines_on_standard_input_is_refused():
    with pytest.raises(
        UsageError, match="standard input is read as lines of text, which have no column '本文'"
    ) as told:
        records("-", stdin=io.BytesIO("本文\nあ\n".encode()), text="本文")
    assert "--input-format csv" in told.value.hint
    assert records("-", stdin=io.BytesIO("本文\nあ\n".encode()), text="本文", input_format="csv")[0].text == "あ"


def test_titles(tmp_path):
    for name, text in MARKED.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "b.md").write_text("```\n# 違う\n```\n表題\n====\n本文。", encoding="utf-8")
    (tmp_path / "c.md").write_text("見出しなし。", encoding="utf-8")
    titles = {Path(r.id).name: r.fields.get("title") for r in documents([str(tmp_path)])}
    assert titles == {"a.html": "取扱 & 説明", "a.md": "取扱説明書", "a.txt": None, "b.md": "表題", "c.md": None}


def test_documents_know_their_file(tmp_path):
    text, table = tmp_path / "a.txt", tmp_path / "b.csv"
    text.write_text("一行目。\n二行目。\n", encoding="utf-8")
    table.write_text("本文,size\n甲,大\n乙,小\n", encoding="utf-8")
    whole, first, second = documents([str(text), str(table)])
    status = text.stat()
    assert whole.fields == {
        "path": text.as_posix(),
        "mtime": status.st_mtime,
        "size": status.st_size,
        "kind": "txt",
    }
    assert (whole.id, whole.text) == (text.as_posix(), "一行目。\n二行目。\n")
    assert [first.id, second.id] == [f"{table.as_posix()}:2", f"{table.as_posix()}:3"]
    assert first.fields == {"path": table.as_posix(), "mtime": table.stat().st_mtime, "size": "大", "kind": "csv"}


@pytest.mark.parametrize("ending", ["gz", "xz", "bz2"])
def test_compressed(tmp_path, ending):
    path = tmp_path / f"a.jsonl.{ending}"
    pack = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}[ending]
    data = "".join(json.dumps({"id": n, "text": f"文{n}"}) + "\n" for n in range(1000)).encode()
    path.write_bytes(pack(data))
    assert [(r.id, r.text) for r in records(str(path))] == [(str(n), f"文{n}") for n in range(1000)]
    path.write_bytes(pack(data)[:-20])
    (broken,) = failures(str(path))
    assert "cannot be unpacked" in str(broken.error)
    path.write_bytes(b"\x00\x01\x02")
    (broken,) = failures(str(path))
    assert "cannot be unpacked" in str(broken.error)


def test_a_compressed_line_without_an_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("jnlp.io.reading.streams.LONGEST_LINE", 1 << 20)
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"a" * (1 << 22)))
    (failed,) = read([str(path)])
    assert "unpacks to a line of more than 1 MiB" in str(failed.error)


def test_a_document_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("jnlp.io.reading.streams.LARGEST_DOCUMENT", 1 << 20)
    path = tmp_path / "a.md"
    path.write_bytes(b"a" * (3 << 20))
    (failed,) = read([str(path)])
    assert "larger than 1 MiB" in str(failed.error)


def test_the_stream_goes_on_past_what_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("1.txt").write_text("前。\n", encoding="utf-8")
    Path("2.txt").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    Path("3.txt").write_bytes(b"")
    Path("4.txt").write_bytes("正しい行。\n".encode() * 20000 + b"\x83\x65\n" + "次。\n".encode())
    Path("5.txt").write_text("後。\n", encoding="utf-8")
    found = list(read(["*.txt"]))
    texts = [item.text for item in found if isinstance(item, Record)]
    assert texts == ["前。", *["正しい行。"] * (len(texts) - 2), "後。"]
    assert len(texts) > 15000
    binary, undecodable = (item for item in found if isinstance(item, Failed))
    assert (binary.id, binary.source.path) == ("2.txt", "2.txt")
    assert "looks binary (PNG)" in str(binary.error)
    assert "4.txt: byte 320000 (0x83) is not utf-8" in str(undecodable.error)


def test_an_empty_input_is_nothing(tmp_path):
    for name in ("a.txt", "a.csv", "a.jsonl", "a.md", "a.html", "a.tsv"):
        path = tmp_path / name
        for blank in ("", "\n", "\ufeff", " \r\n\r\n"):
            path.write_text(blank, encoding="utf-8")
            assert list(read([str(path)])) == [], (name, blank)
            assert list(documents([str(path)])) == []
    assert list(read([])) == []


def test_input_format(tmp_path):
    data = '{"text": "標準入力から"}\n'.encode()
    assert records("-", stdin=io.BytesIO(data), input_format="jsonl")[0].text == "標準入力から"
    path = tmp_path / "rows"
    path.write_bytes(data)
    assert records(str(path), input_format="jsonl")[0].text == "標準入力から"
    assert records(str(path))[0].text == data.decode().strip()
    with pytest.raises(UsageError, match="no reader for the format 'doc'"):
        read([str(path)], ReadOptions(input_format="doc"))
    with pytest.raises(UsageError, match="unknown encoding: shift-jiss"):
        read([str(path)], ReadOptions(encoding="shift-jiss"))


def test_a_stream_is_read_as_it_comes():
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.lines = [b"one\n", "二\n".encode()]

        def readable(self):
            return True

        def readinto(self, buffer):
            data = self.lines.pop(0) if self.lines else pytest.fail("read ahead of what came")
            buffer[: len(data)] = data
            return len(data)

    found = read(["-"], stdin=Pipe())
    assert next(found).text == "one"


def test_a_reader_of_a_plugin(tmp_path):
    def shout(source: Input, options: ReadOptions, /):
        with source.open() as stream:
            yield Record(source.name, stream.read().decode().upper())

    path = tmp_path / "a.shout"
    path.write_text("abc", encoding="utf-8")
    (record,) = read([str(tmp_path)], None, {".shout": lambda: shout, ".txt": lambda: shout})
    assert record.text == "ABC"


def test_a_line_of_50_megabytes(tmp_path):
    path = tmp_path / "a.txt"
    text = "長い文。" * (50_000_000 // 12)
    path.write_text(f"短い。\n{text}\n終わり。\n", encoding="utf-8")
    assert [len(record.text) for record in records(str(path))] == [3, len(text), 4]


def test_odd_entries_of_a_folder(tmp_path):
    (tmp_path / "a.txt").write_text("文。\n", encoding="utf-8")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    (tmp_path / "メモ").write_text("覚え書き。\n", encoding="utf-8")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "through").symlink_to("a.txt/x")
    broken = ["gone.txt", "self", "through"]
    for options, names in [
        (ReadOptions(), ["a.txt", "link.txt"]),
        (ReadOptions(input_format="txt"), ["a.txt", "link.txt", "メモ"]),  # every file, whatever its name
    ]:
        found = list(read([tmp_path], options))
        assert [Path(r.source.path).name for r in found if isinstance(r, Record)] == names
        assert [Path(r.source.path).name for r in found if isinstance(r, Failed)] == broken


def test_files_without_a_reader_are_counted_by_kind(tmp_path):
    for name in (
        "a.txt",
        "b.doc",
        "c.DOC",
        "d.xls",
        "e.doc.gz",
        "f",
        "g.v2 の議事録",
        ".hidden.doc",
        "o.jsonl.part",
    ):
        (tmp_path / name).write_text("文。\n", encoding="utf-8")
    (tmp_path / "下").mkdir()
    (tmp_path / "下" / "h.doc").write_text("文。\n", encoding="utf-8")
    passed_over = PassedOver()
    assert len(list(read([tmp_path], passed_over=passed_over))) == 1
    assert str(passed_over) == "7 files passed over: 4 doc, 2 without an extension, 1 xls"
    passed_over = PassedOver()
    assert len(list(documents([tmp_path / "f", tmp_path], passed_over=passed_over))) == 2  # a named file is text
    assert len(passed_over) == 7


def test_an_empty_path_is_not_the_working_folder():
    assert [str(item.error) for item in read(["", " "])] == ["arg:1: the text is empty", "arg:2: the text is empty"]
    with pytest.raises(UsageError, match="a path is empty"):
        documents([""])


def test_a_file_that_goes_away_is_one_failure(tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("文。\n", encoding="utf-8")
    stream = documents([tmp_path / "a.txt", tmp_path / "b.txt"])
    next(stream)
    (tmp_path / "b.txt").unlink()
    (failed,) = stream
    assert str(failed.error).endswith("b.txt: cannot be read: no such file or directory")


def test_the_package_is_light():
    code = (
        "import sys, jnlp.io, jnlp.io.specs; "
        "print(*{'numpy', 'torch', 'pyarrow', 'pypdf', 'pydantic', 'rich', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "\n"


def test_every_format_is_where_its_spec_says():
    assert all(callable(load()) for load in (*builtin_readers().values(), *builtin_writers().values()))
    names = {extension[1:] for spec in READERS for extension in spec.extensions}
    assert {spec.name for spec in READERS} <= names  # so that --input-format takes each name


def test_options_have_a_command_line_form():
    assert build(ReadOptions, {"text-pair": "仮説", "unit": "paragraph"}) == ReadOptions(
        text_pair="仮説", unit=Unit.PARAGRAPH
    )


def test_folders_deeper_than_the_stack(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(1100):
        os.mkdir("d")  # noqa: PTH102 - the whole path is too long for one call
        os.chdir("d")
    Path("a.txt").write_text("深い。\n", encoding="utf-8")
    os.chdir(tmp_path)
    (record,) = records("d")
    assert record.text == "深い。"
    while Path("d").exists():  # pytest's own removal is recursive
        os.rename("d", "e")  # noqa: PTH104
        shallow = Path("e/d")
        if shallow.exists():
            shallow.rename("d")
        for left in Path("e").iterdir():
            left.unlink()
        Path("e").rmdir()


def test_a_name_that_is_no_unicode_can_be_written(tmp_path):
    """日本.txt as an old archive wrote it, in Shift_JIS."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + "/日本.txt".encode("cp932")))
    try:
        path.write_text("文。\n", encoding="utf-8")
    except OSError:
        pytest.skip("this file system has Unicode names only")
    for argument in (tmp_path, path):
        (record,) = records(argument)
        assert record.id == f"{tmp_path}/\\udc93\\udcfa\\udc96{{.txt:1"
        assert record.text == "文。"


def test_a_text_that_is_no_unicode_is_one_failure():
    good, bad = read(["文。", "\udcff文"])
    assert isinstance(good, Record)
    assert isinstance(bad, Failed)
    assert str(bad.error) == "arg:2: not text in the terminal's encoding (put it into a file)"


def test_what_is_being_written_into_a_folder_is_not_read_from_it(tmp_path):
    (tmp_path / "a").write_text("文。\n", encoding="utf-8")
    (tmp_path / "poetry.lock").write_text("錠。\n", encoding="utf-8")
    (tmp_path / "o.parquet.part").mkdir()
    for name in ("o.jsonl.part", "o.jsonl.part.state", "o.jsonl.part.lock", "o.parquet.part/part-00000.txt"):
        (tmp_path / name).write_text("途中。\n", encoding="utf-8")
    assert [record.text for record in records(tmp_path, input_format="txt")] == ["文。", "錠。"]
    assert records(tmp_path) == []
    assert [record.text for record in records(tmp_path / "o.jsonl.part")] == ["途中。"]


@pytest.mark.parametrize("target", ["nowhere", "link"])
def test_a_link_that_leads_nowhere_is_no_text(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to(target)
    (failed,) = failures("link")
    assert str(failed.error).startswith("link: cannot be read: ")


@pytest.mark.parametrize("unit", [Unit.LINE, Unit.PARAGRAPH])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_line_without_an_end_is_bounded(newline, unit, monkeypatch):
    monkeypatch.setattr("jnlp.text.stream.LONGEST_LINE", 100_000)
    text = newline.join(["前。", "長い" * 200_000, "", "後。", "長" * 300_000])
    stream = io.BytesIO(text.encode())
    found = list(read(["-"], ReadOptions(unit=unit), stdin=stream))
    assert [item.text for item in found if isinstance(item, Record)] == ["前。", "後。"]
    assert [item.source.line for item in found if isinstance(item, Failed)] == [2, 5]
    assert [item.source.line for item in found if isinstance(item, Record)] == [1, 4]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_row_without_an_end_is_bounded(form, monkeypatch):
    monkeypatch.setattr("jnlp.text.stream.LONGEST_LINE", 100_000)
    rows = ["text", "一", "長い" * 200_000, "二"] if form == "csv" else ['"一"', '"' + "長い" * 200_000 + '"', '"二"']
    found = list(read(["-"], ReadOptions(input_format=form), stdin=io.BytesIO("\n".join(rows).encode())))
    assert [getattr(item, "text", None) for item in found] == ["一", None, "二"]
    assert "the line is longer than" in str(found[1].error)


def test_pages_and_front_matter_say_author_and_date(tmp_path):
    (tmp_path / "a.html").write_text(
        "<head><title>題</title><META content='2024-04-01' NAME=date>"
        "<meta property='article:author' content='田中 &amp; 鈴木'>"
        "<meta name=author content=''></head>本文",
        encoding="utf-8",
    )
    (tmp_path / "b.md").write_text('---\ntitle: 題\nauthor: "田中"\ndate: 2024-04-01\n---\n本文\n', encoding="utf-8")
    (tmp_path / "c.md").write_text("---\nauthor: [田中, 鈴木]\ntags: a\n---\n# 見出し\n", encoding="utf-8")
    page, note, list_of_authors = documents([tmp_path])
    assert (page.fields["author"], page.fields["date"]) == ("田中 & 鈴木", "2024-04-01")
    assert (note.fields["title"], note.fields["author"], note.fields["date"]) == ("題", "田中", "2024-04-01")
    assert list_of_authors.fields["title"] == "見出し"
    assert "author" not in list_of_authors.fields


def test_a_json_value_of_a_folder_is_a_document_of_an_index(tmp_path):
    path = tmp_path / "設定.json"
    path.write_text('{\n  "説明": "在庫の設定"\n}\n', encoding="utf-8")
    (record,) = documents([tmp_path])
    assert (record.text, record.source.line, record.fields["kind"]) == (path.read_text("utf-8"), None, "jsonl")
    for failed in (*documents([path]), *read([tmp_path])):
        assert "one JSON value" in str(failed.error)
