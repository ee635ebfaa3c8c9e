"""Encodings: short strings, whole files, streams, and what must be refused."""

from __future__ import annotations

import io
import json
import lzma
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jnlp.errors import RecordError, UsageError
from jnlp.text import UndecodableError, decode, detect, open_text
from jnlp.text.stream import CutLine

CODECS = ["utf-8", "utf-8-sig", "cp932", "euc_jp", "iso2022_jp", "utf-16", "utf-32"]
# fmt: off
WORDS = [
    "日本", "東京", "はい", "いいえ", "表示", "ソース", "能", "十", "予定", "機能", "データ", "一覧", "申請",
    "構成", "圧縮", "貼付", "暴力", "欺く", "売る", "大阪", "京都", "北海道", "名前", "住所", "電話番号", "会社",
    "株式会社", "です", "ます", "ありがとう", "こんにちは", "おはよう", "さようなら", "猫", "犬", "いぬ", "ねこ",
    "山", "川", "カタカナ", "テスト", "プログラム", "コンピューター", "インターネット", "漢字", "ひらがな",
    "今日は", "明日", "天気", "晴れ", "雨", "雪", "春夏秋冬", "東西南北", "男女", "父母", "円安", "株価", "経済",
    "政治", "国会", "首相", "新聞", "放送", "音楽", "映画", "本", "机", "学校", "大学", "先生", "学生", "試験",
    "問題", "解答", "契約", "解約", "条件", "第一条", "甲と乙", "人工知能", "自然言語処理", "機械学習", "検索",
    "分類", "毒性", "文書", "段落", "文字", "A社の製品", "100円", "2024年", "「はい」", "どう？", "えっ！",
    "（株）", "終わり。",
]
# fmt: on
HALF_WIDTH = [
    "ﾃｽﾄ",
    "ﾃﾞｰﾀ",
    "ｶﾀｶﾅ",
    "ﾊﾝｶｸ",
    "ﾌﾟﾛｸﾞﾗﾑ",
    "ｺﾝﾋﾟｭｰﾀ",
    "ﾄｳｷｮｳﾄ",
    "ﾃｽﾄﾃﾞｰﾀ",
    "ﾔﾏﾀﾞ ﾀﾛｳ",
    "ﾒｰﾙｱﾄﾞﾚｽ",
    "東京都 ﾄｳｷｮｳﾄ",
    "ﾌｧｲﾙ名",
    "1ﾍﾟｰｼﾞ",
]
DAMAGED_BY_OTHERS = [
    "噂",
    "甲乙",
    "予",
    "暴",
    "表",
    "能",
    "ソ",
    "十",
    "構",
    "貼",
    "申",
]  # a trail byte of \\ or like it
VENDOR = ["①②③", "㈱日立", "Ⅲ章", "№1", "髙島屋", "山﨑", "㍻十年", "5㎏と3㎝"]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("word", WORDS)
def test_short_words_are_read_in_every_codec(word: str, codec: str) -> None:
    assert decode(word.encode(codec)).text == word


@pytest.mark.parametrize("word", [*HALF_WIDTH, *VENDOR, *DAMAGED_BY_OTHERS])
def test_half_width_and_vendor_characters_in_shift_jis(word: str) -> None:
    found = detect(word.encode("cp932"))
    assert found.codec == "cp932"
    assert decode(word.encode("cp932")).text == word


@pytest.mark.parametrize(
    ("data", "text", "codec"),
    [
        (b"\xad\xa1\xa4\xce\xad\xea", "①の㈱", "euc_jp"),
        (b"\x1b$B-!$N-j\x1b(B", "①の㈱", "iso2022_jp"),
        (b"\x1b(ICX\x1b(B", "ﾃﾘ", "iso2022_jp_ext"),
        ("日本".encode("utf-16-le").join([b"\xff\xfe", b""]), "日本", "utf-16"),
        ("\ufeff日本".encode("utf-16-be"), "日本", "utf-16"),
        ("価格は100円です。\n".encode("utf-16-le"), "価格は100円です。\n", "utf-16-le"),
        ("価格は100円です。\n".encode("utf-16-be"), "価格は100円です。\n", "utf-16-be"),
        (b"plain ASCII\r\n", "plain ASCII\r\n", "utf-8"),
        (b"", "", "utf-8"),
        ("café naïve".encode(), "café naïve", "utf-8"),
        ("한국어".encode(), "한국어", "utf-8"),
        ("🎌".encode(), "🎌", "utf-8"),
    ],
)
def test_the_codec_is_named(data: bytes, text: str, codec: str) -> None:
    assert (decode(data).text, decode(data).encoding) == (text, codec)


def test_newlines_stay_and_the_mark_goes() -> None:
    text = "一\r\n二\r三\n"
    for codec in ("utf-8-sig", "utf-16", "utf-32"):
        found = detect(text.encode(codec))
        assert found.bom
        assert decode(text.encode(codec)).text == text
    assert decode(text.encode("utf-8-sig"), "utf-8").text == text


@pytest.mark.parametrize("name", ["Shift_JIS", "sjis", "Windows-31J", "CP932", "ms932"])
def test_shift_jis_means_what_windows_writes(name: str) -> None:
    assert decode("①～㈱".encode("cp932"), name) == decode("①～㈱".encode("cp932"), "cp932")


@pytest.mark.parametrize(
    ("data", "position"),
    [
        ("日本語の文書です。".encode() + b"\xff", 27),
        ("日本語の文書です。".encode("cp932") * 9 + b"\xfd\xff", 162),
        ("日本語の文書です。".encode("euc_jp") * 9 + b"\xa4 \xa4\xa2", 162),
        (b"caf\xe9 cr\xe8me", 3),
    ],
)
def test_an_undecodable_byte_is_named_and_never_latin_1(data: bytes, position: int) -> None:
    with pytest.raises(UndecodableError, match=rf"memo\.txt: byte {position} ") as caught:
        decode(data, name="memo.txt")
    assert caught.value.position == position


DOCUMENT = "契約の期間は、本契約の締結日から１年間とする。甲は乙に対し、代金を支払う。\n"


@pytest.mark.parametrize("codec", ["utf-8", "cp932", "euc_jp"])
@pytest.mark.parametrize(
    ("before", "bad", "after", "lost"),
    [
        (1, b"\xff", 1, 1),  # a byte that no codec has
        (0, b"\xff\xfe\xff", 1, 3),  # at the start
        (1, b"\x80", 0, 1),  # at the end; Python's cp932 has a control character for it
        (400, b"\xff", 400, 1),  # behind the sample that decides
    ],
)
def test_bad_bytes_are_replaced_where_it_is_asked_for(
    codec: str, before: int, bad: bytes, after: int, lost: int
) -> None:
    head, tail = DOCUMENT * before, DOCUMENT * after
    data = (head + "＊").encode(codec) + bad + b"\n" + tail.encode(codec)
    with pytest.raises(UndecodableError):
        decode(data)
    found = decode(data, replace=True)
    assert (found.text, found.encoding) == (head + "＊" + "\ufffd" * lost + "\n" + tail, codec)
    assert decode(data, codec, replace=True).text == found.text
    assert "".join(open_text(Trickle(data), replace=True)) == found.text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data", [b"%PDF-1.7\nabc", b"PK\x03\x04abc", b"\x89PNG\r\n", bytes(range(256)), b"abc\x00def", b"\x1f\x8b\x08\x00"]
)
def test_binary_files_are_refused(data: bytes) -> None:
    with pytest.raises(RecordError, match=r"x\.bin: looks binary"):
        decode(data, name="x.bin")
    with pytest.raises(RecordError, match="looks binary"):
        list(open_text(io.BytesIO(data)))


def test_an_unknown_encoding_is_an_error() -> None:
    for name in ("utf-99", "base64"):
        with pytest.raises(UsageError, match=name):
            decode(b"", name)


@pytest.mark.parametrize("codec", CODECS)
def test_a_stream_equals_the_whole_file(codec: str, tmp_path: Path) -> None:
    text = "ascii only\r\n" * 9000 + "日本語の行です。\n、改行なし\r二\r\n" * 9000 + "最後"
    path = tmp_path / "memo.txt"
    path.write_bytes(text.encode(codec))
    with open_text(path) as stream:
        found = list(stream)
        assert "".join(found) == text
        assert found == list(io.StringIO(text, newline=""))
        assert stream.encoding == detect(path.read_bytes()).codec
    with open_text(path, codec) as stream:
        assert stream.read() == text


class Trickle(io.RawIOBase):
    """A pipe that gives one byte at a time."""

    def __init__(self, data: bytes) -> None:
        self.left = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        view[: len(self.left[:1])] = self.left[:1]
        taken, self.left = len(self.left[:1]), self.left[1:]
        return taken


@given(
    st.text(st.sampled_from("日本語はい、。aA1 \r\nソ表"), max_size=30),
    st.sampled_from(["utf-8", "cp932", "euc_jp", "iso2022_jp", "utf-16"]),
)
@settings(max_examples=60, deadline=None)
def test_a_trickling_stream_equals_the_whole(text: str, codec: str) -> None:
    data = text.encode(codec)
    assert "".join(open_text(Trickle(data))) == decode(data).text  # type: ignore[arg-type]


def test_ascii_lines_of_a_pipe_come_at_once() -> None:
    pipe = Trickle(b"hello there\nworld\n" + "日本".encode())
    lines = iter(open_text(pipe))  # type: ignore[arg-type]
    assert next(lines) == "hello there\n"
    assert len(pipe.left) > 10


@pytest.mark.parametrize(("codec", "bad"), [("utf-8", b"\xff"), ("cp932", b"\xff"), ("euc_jp", b"\xa4 ")])
def test_a_stream_names_the_byte_far_behind_its_look_ahead(codec: str, bad: bytes) -> None:
    good = ("日本語の行です。\n" * 90_000).encode(codec)
    with pytest.raises(UndecodableError, match=rf"far\.txt: byte {len(good)} "):
        list(open_text(io.BytesIO(good + bad), name="far.txt"))


def test_a_missing_file_is_one_line() -> None:
    with pytest.raises(RecordError, match=r"nowhere\.txt: No such file"):
        open_text("nowhere.txt")


CORPUS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "corpus"


@pytest.mark.parametrize("source", ["aozora-003", "wikinews-000", "msdocs-000"])
def test_snippets_of_real_text_are_read(source: str) -> None:
    path = CORPUS / f"{source}.jsonl.xz"
    if not path.is_file():
        pytest.skip(f"no corpus at ../shared/data/corpus/{path.name}")
    with lzma.open(path, "rt", encoding="utf-8") as file:
        texts = [json.loads(next(file))["text"] for _ in range(40)]
    draw = random.Random(7)
    right = total = 0
    for _ in range(300):
        text = draw.choice(texts)
        start = draw.randrange(max(1, len(text) - 30))
        snippet = text[start : start + draw.randint(10, 30)]
        for codec in ("utf-8", "cp932", "euc_jp", "iso2022_jp", "utf-16"):
            data = snippet.encode(codec, "ignore")
            total += 1
            right += decode(data).text == data.decode(codec)
    assert right / total > 0.995


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_byte_order_mark_that_is_asked_for_and_missing(encoding):
    data = "今日は晴れ。".encode(f"{encoding}-le")
    with pytest.raises(RecordError, match=r"^memo\.txt: UTF-\d\d stream does not start with BOM"):
        decode(data, encoding, name="memo.txt")
    assert decode(data, f"{encoding}-le").text == "今日は晴れ。"


@pytest.mark.parametrize("escape", ["\x1b(B", "\x1b(J", "\x1b[1m", "\x1b(0lqk\x1b(B", "\x1b$B", "\x1b$B!!", "\x1b(I"])
@pytest.mark.parametrize("codec", ["utf-8", "cp932", "euc_jp"])
def test_the_escapes_of_a_terminal_are_no_iso_2022_jp(escape: str, codec: str) -> None:
    text = f"{escape}Build\x1b(B\x1b[m: 開始しました。\n消えろ、クズ。\n"
    data = text.encode(codec)
    assert (decode(data).text, decode(data).encoding) == (text, codec)
    assert "".join(open_text(io.BytesIO(data))) == text
    assert "".join(open_text(Trickle(data))) == text  # type: ignore[arg-type]
    late = f"{escape}Build\x1b(B\n" * 20_000 + text
    assert decode(late.encode(codec)).text == late


def test_ascii_with_the_escapes_of_a_terminal_is_ascii() -> None:
    data = b"\x1b[1mBuild\x1b(B\x1b[m done\n" * 9000
    assert (decode(data).text, decode(data).encoding) == (data.decode(), "utf-8")
    pipe = Trickle(data + "日本".encode())
    assert next(iter(open_text(pipe))) == "\x1b[1mBuild\x1b(B\x1b[m done\n"  # type: ignore[arg-type]
    assert len(pipe.left) > 1000


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_lines_after_one_too_long_are_the_same_however_they_come(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jnlp.text.stream.LONGEST_LINE", 9)

    class Pieces(io.BytesIO):
        def read1(self, _: int | None = -1, /) -> bytes:
            return super().read(size)

    ends = ("\n", "\r\n", "\r", "\n\n", "\r\n\r\n")
    text = "".join(f"{'x' * length}{end}" for length in (0, 4, 100, 2, 200, 200, 1) for end in ends)
    whole = list(io.StringIO(text, newline=""))
    found = list(open_text(Pieces(text.encode())))
    assert len(found) == len(whole)
    assert all(ours == line or isinstance(ours, CutLine) for ours, line in zip(found, whole, strict=True))
    assert sum(isinstance(line, CutLine) for line in found) == 15
