"""Chinese and Korean: reported where clear, read where a page declares it, never seen in Japanese."""

from __future__ import annotations

from contextlib import suppress

import pytest

from jnlp.errors import RecordError
from jnlp.text import ForeignTextError, UndecodableError, decode, decode_page, detect
from jnlp.text.charset import declared

# fmt: off
CHINESE = [
    "这是一个很好的问题，我们都不知道。", "北京是中华人民共和国的首都。", "今天天气很好，我们去公园玩吧。",
    "请在此处填写您的姓名和联系电话", "产品说明书：使用前请仔细阅读。", "他说他明天会来，但是现在还没有消息。",
    "关于进一步加强安全生产工作的通知", "软件下载 - 最新版本 2.0 发布了",
]
TAIWANESE = [
    "這是一個很好的問題，我們都不知道。", "台北是中華民國的首都，也是最大的城市。", "今天天氣很好，我們去公園玩吧。",
    "請在此處填寫您的姓名和聯絡電話", "人工智慧是電腦科學的一個分支。", "他說他明天會來，但是現在還沒有消息。",
]
KOREAN = [
    "안녕하세요. 반갑습니다.", "서울은 대한민국의 수도이다.", "오늘은 날씨가 좋아서 공원에 갔습니다.",
    "이름과 전화번호를 입력해 주세요.", "제품 사용 설명서를 잘 읽어 주시기 바랍니다.",
    "가격은 이만 원이고 수량은 세 개입니다.",
]
JAPANESE = [
    "東京都千代田区丸の内一丁目", "日本国憲法第九条", "株式会社日立製作所 代表取締役社長", "椎茸目会椎茸少宜",
    "他所旗旗旭日旗旭日旗", "一二三四五六七八九十", "口腔音母音子音除鼻音口腔音対立調音",
    "混焼皿鶏肉重入鶏肉上焼皿入焼", "国立国会図書館関西館", "春眠暁を覚えず処処啼鳥を聞く",
    "有限会社中国物産東京支店長殿", "国破れて山河在り城春にして草木深し", "日月火水木金土",
    "北海道札幌市中央区北一条西二丁目", "東西南北中央上下左右前後", "ﾃｽﾄ ﾃﾞｰﾀ ｶﾀｶﾅ", "温泉旅館予約確認", "請求書在中",
    "取扱説明書保証書付", "中華人民共和国", "大韓民国首都", "氏名 住所 電話番号 生年月日",
    "山田太郎 鈴木一郎 佐藤花子 高橋健一", "①②③㈱№℡", "不在者投票事務処理要領",
    "人人有我他中大来上国和地到以時要出会可也生能子得下自之年", "私的利用目的以外禁止",
]
# fmt: on


@pytest.mark.parametrize("codec", ["cp932", "euc_jp"])
@pytest.mark.parametrize("text", JAPANESE)
def test_japanese_is_never_reported_as_foreign(text: str, codec: str) -> None:
    data = text.encode(codec, "ignore")
    assert detect(data).codec == codec or text.startswith(("①", "一二"))
    for repeats in (3, 60):
        detect((text + "\n").encode(codec, "ignore") * repeats)


@pytest.mark.parametrize(
    ("text", "codec"),
    [(text, "gb18030") for text in CHINESE]
    + [(text, "big5") for text in TAIWANESE]
    + [(text, "cp949") for text in KOREAN],
)
def test_foreign_text_is_reported(text: str, codec: str) -> None:
    for data in (text.encode(codec), (text + "\n").encode(codec) * 1000):
        with pytest.raises(ForeignTextError) as error:
            decode(data, name="a.txt")
        assert error.value.codec == codec
        assert str(error.value).startswith("a.txt: ")
        assert f"--encoding {codec}" in str(error.value.hint)
        assert decode(data, codec).text == data.decode(codec)


@pytest.mark.parametrize("text", ["今日は晴れです。明日も晴れるでしょう。", "東京都千代田区丸の内一丁目", "会社案内"])
def test_a_damaged_utf_8_file_is_not_foreign(text: str) -> None:
    with pytest.raises(RecordError) as error:
        decode((text * 20).encode() + b"\xff")
    assert not isinstance(error.value, ForeignTextError)


@pytest.mark.parametrize("codec", ["cp932", "euc_jp"])
def test_a_damaged_japanese_file_is_not_foreign(codec: str) -> None:
    whole = "可能になると考えられている。ECC も FFC のバリエーション".encode(codec)
    for place in range(len(whole)):
        for damaged in (whole[:place] + whole[place + 1 :], whole[:place] + b"\xff" + whole[place:]):
            with suppress(UndecodableError):  # any other error fails the test
                decode(damaged)


JA = "昨日は、契約の解約について説明しました。株式会社テスト"
PAGES = [
    ("gb2312", CHINESE[0], "gb18030", "gb18030"),
    ("GBK", "中文", "gb18030", "gb18030"),
    ("big5", TAIWANESE[0], "big5", "big5hkscs"),
    ("euc-kr", KOREAN[0], "cp949", "cp949"),
    ("ks_c_5601-1987", "가격", "cp949", "cp949"),
    ("iso-8859-1", "Le café est fermé à l'été, où êtes-vous ?", "cp1252", "cp1252"),
    ("latin1", "naïve “quoted” text", "cp1252", "cp1252"),
    ("windows-1252", "Größe für Mädchen", "cp1252", "cp1252"),
    ("windows-1251", "Привет, как дела?", "cp1251", "cp1251"),
    ("koi8-r", "Привет, как дела?", "koi8-r", "koi8-r"),
    ("shift_jis", JA, "cp932", "cp932"),
    ("x-sjis", "①㈱表示", "cp932", "cp932"),
    ("EUC-JP", "能力", "euc_jp", "euc_jp"),
    ("iso-2022-jp", JA, "iso2022_jp", "iso2022_jp"),
    ("gb2312", JA, "gb18030", "gb18030"),  # Japanese on a Chinese site
    ("big5", "これは日本語です。東京の会社です。", "big5hkscs", "big5hkscs"),
    # Declarations that are not true.
    ("iso-8859-1", JA, "cp932", "cp932"),
    ("iso-8859-1", JA, "euc_jp", "euc_jp"),
    ("iso-8859-1", "日本", "cp932", "cp932"),
    ("us-ascii", "会社案内", "euc_jp", "euc_jp"),
    ("shift_jis", JA, "euc_jp", "euc_jp"),
    ("euc-jp", JA, "cp932", "cp932"),
    ("utf-8", JA, "cp932", "cp932"),
    ("utf-16", JA, "utf-8", "utf-8"),
    ("shift_jis", JA, "utf-8", "utf-8"),
    ("iso-8859-1", JA, "utf-8", "utf-8"),
    ("gb2312", JA, "euc_jp", "euc_jp"),
    ("gb2312", JA, "cp932", "cp932"),
    ("no-such-thing", JA, "cp932", "cp932"),
    ("utf-7", JA, "cp932", "cp932"),
]


@pytest.mark.parametrize(("label", "text", "codec", "found"), PAGES)
def test_the_charset_of_a_page_counts_where_it_is_true(label: str, text: str, codec: str, found: str) -> None:
    page = f'<html><head><meta charset="{label}"><title>a</title></head><body><p>{text}</p></body></html>'
    assert decode_page(page.encode(codec)).text == page
    assert decode_page(page.encode(codec)).encoding == found
    assert decode_page(page.encode(codec), codec).text == page


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        (b'<META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=gb2312">', "gb18030"),
        (b"<meta content='text/html;charset=big5' http-equiv=x>", "big5hkscs"),
        (b"<meta charset = 'Windows-31J' />", "cp932"),
        (b"<!-- <meta charset=big5> --><meta charset=euc-kr>", "cp949"),
        (b"<?xml version='1.0' encoding='gb2312'?><html>", "gb18030"),
        (b"<metadata charset=big5>", None),
        (b"<meta name=d content='the charset: big5'>", None),
        (b"<meta charset=hex>", None),
        (b"<meta charset=iso-8859-99>", None),
        (b"<!-- <meta charset=big5>", None),
        (b" " * 5000 + b"<meta charset=big5>", None),
        (b"<meta" * 900, None),
        (b"<meta charset=" + b" " * 4000, None),
    ],
)
def test_where_a_page_declares_its_encoding(head: bytes, codec: str | None) -> None:
    assert declared(head) == codec


def test_a_page_that_neither_reading_has_is_an_error() -> None:
    page = b"<meta charset=gb2312>" + CHINESE[0].encode("gb18030") + b"\xff</p>"
    with pytest.raises(RecordError, match=r"^a\.html: byte \d+ \(0xff\) is not gb18030"):
        decode_page(page, name="a.html")
    assert CHINESE[0] in decode_page(page, replace=True).text
