"""What `jnlp pii` finds, and what only looks like it."""

from __future__ import annotations

import time

import pytest

from jnlp.errors import JnlpError, UsageError
from jnlp_pii.checks import is_card, is_corporate_number, is_date, is_my_number, is_public_ip
from jnlp_pii.detector import Detector, value_of
from jnlp_pii.spec import CATEGORIES, PiiOptions

ALL = Detector(PiiOptions())


def found(text, detector=ALL):
    return [(span.category, span.text) for span in detector.spans(text)]


@pytest.mark.parametrize(
    ("text", "category", "value"),
    [
        ("電話は０９０ー１２３４－５６７８です", "phone", "０９０ー１２３４－５６７８"),
        ("03-1234-5678まで", "phone", "03-1234-5678"),
        ("（03）3581-1111", "phone", "（03）3581-1111"),
        ("045(123)4567へ", "phone", "045(123)4567"),
        ("0466-22-1234", "phone", "0466-22-1234"),
        ("フリーダイヤル0120-123-456", "phone", "0120-123-456"),
        ("+81-90-1234-5678", "phone", "+81-90-1234-5678"),
        ("TEL:0312345678", "phone", "0312345678"),
        ("08012345678に", "phone", "08012345678"),
        ("taro.yamada@gmail.comまで", "email", "taro.yamada@gmail.com"),
        ("ｔａｒｏ＠ｙａｈｏｏ．ｃｏ．ｊｐ", "email", "ｔａｒｏ＠ｙａｈｏｏ．ｃｏ．ｊｐ"),
        ("taro[at]gmail.com", "email", "taro[at]gmail.com"),
        ("〒１００－０００１", "postal-code", "１００－０００１"),
        ("郵便番号は1000001です", "postal-code", "1000001"),
        ("100-0001 東京都", "postal-code", "100-0001"),
        ("マイナンバーは1234 5678 9018です", "my-number", "1234 5678 9018"),
        ("個人番号：１２３４５６７８９０１８", "my-number", "１２３４５６７８９０１８"),
        ("法人番号7000012050002", "corporate-number", "7000012050002"),
        ("登録番号T7000012050002", "corporate-number", "T7000012050002"),
        ("カード 4111-1111-1111-1111", "credit-card", "4111-1111-1111-1111"),
        ("3782 822463 10005", "credit-card", "3782 822463 10005"),
        ("みずほ銀行新宿支店 普通 1234567", "bank-account", "1234567"),
        ("口座番号：７６５４３２１", "bank-account", "７６５４３２１"),
        ("旅券番号はTR1234567です", "passport", "TR1234567"),
        ("運転免許証番号：301234567890", "licence", "301234567890"),
        ("生年月日：昭和63年4月5日", "birthday", "昭和63年4月5日"),
        ("1990年1月2日生まれ", "birthday", "1990年1月2日"),
        ("平成元年三月三日生", "birthday", "平成元年三月三日"),
        ("S61.2.3生まれ", "birthday", "S61.2.3"),
        ("生年月日 19880405", "birthday", "19880405"),
        ("https://a.kaisha.jp/x?token=abc123DEF", "url", "https://a.kaisha.jp/x?token=abc123DEF"),
        ("https://u:pass@git.kaisha.jp/", "url", "https://u:pass@git.kaisha.jp/"),
        ("接続元：2400:4050:1234::1", "ip", "2400:4050:1234::1"),
        ("133.242.10.5から", "ip", "133.242.10.5"),
        ("大阪府大阪市北区梅田三丁目1番3号に住む", "address", "大阪府大阪市北区梅田三丁目1番3号"),
        ("住所は横浜市中区本町６丁目５０番地の１０です", "address", "横浜市中区本町６丁目５０番地の１０"),
        ("さいたま市浦和区高砂3-15-1", "address", "さいたま市浦和区高砂3-15-1"),
        (
            "東京都千代田区丸の内1-1-1 丸の内ビル3階まで",
            "address",
            "東京都千代田区丸の内1-1-1 丸の内ビル3階",
        ),
        ("山田さんが来た", "name", "山田"),
        ("鈴木一郎様", "name", "鈴木一郎"),
        ("田中　花子さま", "name", "田中　花子"),
        ("石川 ひなたさん", "name", "石川 ひなた"),
        ("千葉さんと行く", "name", "千葉"),
        ("中村先生", "name", "中村"),
        ("小林誠と申します", "name", "小林誠"),
        ("氏名：高橋 健一", "name", "高橋 健一"),
        ("フリガナ：ヤマダ タロウ", "name", "ヤマダ タロウ"),
        ("マイケル・ジャクソンさん", "name", "マイケル・ジャクソン"),
    ],
)
def test_found_with_its_place_in_the_original(text, category, value):
    assert found(text) == [(category, value)]
    (span,) = ALL.spans(text)
    assert text[span.start : span.end] == value


@pytest.mark.parametrize(
    "text",
    [
        "注文番号は0312345678901です",
        "お問い合わせ番号 1234-5678-9018",
        "バージョン 10.0.1.2、192.168.0.1、127.0.0.1、ANSI 4.9.4.1",
        "user@example.comと入力する。npm i foo@1.2.3",
        "icon@2x.png",
        "1999年5月5日に発売された",
        "生年月日：昭和63年2月30日",
        "カード 4111-1111-1111-1112、1234-5678-1234-5678",
        "マイナンバー 123456789012",
        "法人番号 7000012050003",
        "普通300円、普通1234567円",
        "東京都千代田区に住む。1丁目から3丁目まで",
        "試合は3-2-1で終わった。2020-01-02",
        "お客様、皆さん、お母さん、神様、店員さん、たくさん、二号さん",
        "担当：営業部、名前：未記入",
        "https://www.kaisha.jp/page?id=12345678&lang=ja",
        "第3条第2項、ISBN978-4-12-345678-9、AB-123-4567",
        "12:34:56に開始。C++ std::vector::begin",
        "",
    ],
)
def test_what_only_looks_like_it_is_not_found(text):
    assert found(text) == []


def test_invisible_and_composed_characters_keep_offsets():
    text = "㍻の話。㈱山\u200b田さん、０９０\u2060-1234-5678"
    assert found(text) == [("name", "山\u200b田"), ("phone", "０９０\u2060-1234-5678")]


def test_a_full_name_is_found_again_without_its_title():
    assert found("山田太郎さん。山田太郎は東京の人。") == [("name", "山田太郎")] * 2
    assert found("ジャクソンさん、ジャクソンビル") == [("name", "ジャクソン")]


def test_categories_are_switched_on_and_off():
    text = "山田さん 090-1234-5678"
    assert found(text, Detector(PiiOptions(categories=("phone",)))) == [("phone", "090-1234-5678")]
    assert found(text, Detector(PiiOptions(without=("phone",)))) == [("name", "山田")]
    with pytest.raises(UsageError, match="no category"):
        Detector(PiiOptions(categories=("phone",), without=("phone",)))


def test_allowed_values_are_no_personal_data(tmp_path):
    path = tmp_path / "自社.txt"
    path.write_text("# 代表\n03-1234-5678\n@kaisha.co.jp\n", "utf-8")
    allowed = Detector(PiiOptions(allow=(str(path), "山田")))
    assert found("山田さん、０３（１２３４）５６７８、info@kaisha.co.jp、佐藤さん", allowed) == [("name", "佐藤")]
    bad = tmp_path / "悪い.txt"
    bad.write_bytes(b"\xff\xfe\x80")
    with pytest.raises(JnlpError):
        Detector(PiiOptions(allow=(str(bad),)))


def test_spellings_of_one_value():
    assert value_of("phone", "０９０－１２３４－５６７８") == value_of("phone", "+81-90-1234-5678") == "09012345678"
    assert value_of("name", "山田　太郎") == value_of("name", "山田太郎")


def test_checks():
    assert is_my_number("123456789018")
    assert not is_my_number("123456789019")
    assert not is_my_number("000000000000")
    assert is_corporate_number("7000012050002")
    assert is_card("5555555555554444")
    assert is_card("3530111333300000")
    assert not is_card("6666666666666666")
    assert is_date("大正", "元", "8", "1")
    assert not is_date("", "1999", "13", "1")
    assert is_public_ip("133.242.0.1")
    assert not is_public_ip("10.0.0.1")
    assert not is_public_ip("999.1.1.1")


def test_every_category_has_an_example_here():
    shown = {
        mark.args[1][n][1]
        for mark in test_found_with_its_place_in_the_original.pytestmark
        for n in range(len(mark.args[1]))
    }
    assert shown == set(CATEGORIES)


@pytest.mark.parametrize(
    "unit",
    [
        "0",
        "1-",
        "a@",
        "a.",
        "市1",
        "山田",
        "さん",
        "さん ",
        "http://",
        "?token=",
        ":",
        "::1",
        "〒",
        "生年月日",
        "1990年",
        "三丁目",
        "東京都",
        "氏名：",
        "(",
    ],
)
def test_time_is_linear_in_the_length(unit):
    def seconds(size):
        text = (unit * size)[:size]
        start = time.process_time()
        ALL.spans(text)
        return time.process_time() - start

    seconds(500)
    short, long = seconds(3_000), seconds(12_000)
    assert long < max(0.3, 12 * short), (short, long)
