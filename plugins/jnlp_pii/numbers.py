"""Rules for numbers: phone, postal code, My Number, card, account, passport, licence, birthday.

They read a text as `reading.read` returns it: digits and signs are half-width, hyphens are `-`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jnlp.patterns import deferred
from jnlp_pii.checks import is_card, is_corporate_number, is_date, is_my_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp_pii.net import Found

_BEFORE = r"(?<![0-9])(?<![0-9A-Za-z_#=/.][-.])(?<![_#=/.+$¥\\%-])"
"""Not inside a longer number, a code, a path or a price."""

_AFTER = r"(?![0-9A-Za-z_]|[-./][0-9A-Za-z])"
_GAP = r"(?: ?- ?| |\.)"
_THREE = "011|01[5789]|02[2-9]|04[2-9]|05[2-589]|07[235-9]|08[234-9]|09[235-9]"
_FIVE = (
    "01267|01372|01374|01377|01392|01397|01398|01456|01457|01466|0154[78]|0155[88]|01558|01564|01586|01587|0163[245]"
)
_FIVE += "|01648|01654|01655|01656|01658|04992|04994|04996|04998|05769|05979|07468|08387|08388|08396|08477|08512|08514"
_FIVE += "|09496|09802|09912|09913|09969"
_PHONE = deferred(
    rf"{_BEFORE}(?<![A-Za-z])(?:"
    rf"(?P<mobile>0[5789]0{_GAP}\d{{4}}{_GAP}\d{{4}}|0[5789]0\d{{8}}|\(0[5789]0\) ?\d{{4}}{_GAP}\d{{4}}"
    rf"|0[5789]0\(\d{{4}}\)\d{{4}})"
    rf"|(?P<free>(?:0120|0570|0990){_GAP}\d{{3}}{_GAP}\d{{3}}|0120\d{{6}}|0120{_GAP}\d{{2}}{_GAP}\d{{4}}"
    rf"|0800{_GAP}\d{{3}}{_GAP}\d{{4}}|0800\d{{7}})"
    rf"|(?P<fixed>0[346]{_GAP}\d{{4}}{_GAP}\d{{4}}|(?:{_THREE}){_GAP}\d{{3}}{_GAP}\d{{4}}"
    rf"|0[1-9]\d{{2}}{_GAP}\d{{2}}{_GAP}\d{{4}}|(?:{_FIVE}){_GAP}\d{_GAP}\d{{4}}"
    rf"|\(0[346]\) ?\d{{4}}-\d{{4}}|0[346]\(\d{{4}}\) ?\d{{4}}|\((?:{_THREE})\) ?\d{{3}}-\d{{4}}"
    rf"|(?:{_THREE})\(\d{{3}}\) ?\d{{4}}"
    rf"|\(0[1-9]\d{{2}}\) ?\d{{2}}-\d{{4}}|0[1-9]\d{{2}}\(\d{{2}}\) ?\d{{4}})"
    rf"|(?P<plain>0[1-9]\d{{8}})"
    rf"){_AFTER}"
)
_ABROAD = deferred(
    rf"(?<![0-9A-Za-z+])\+81[- ]?(?:\(0\)[- ]?)?(?:[5789]0[- ]?\d{{4}}[- ]?\d{{4}}"
    rf"|[1-9]\d{{0,3}}[- ]\d{{1,4}}[- ]\d{{4}}|[1-9]\d{{8}}){_AFTER}"
)
_PHONE_WORDS = deferred(
    r"(?:電話|でんわ|TEL|Tel|tel|携帯|ケータイ|連絡先|FAX|Fax|fax|ファックス|ファクス|Phone|phone|内線|℡|☎"
    r"|📞)[^0-9\n。]{0,12}$"
)

_POSTAL = deferred(rf"(?:〒 ?)(\d{{3}} ?-? ?\d{{4}}){_AFTER}")
_POSTAL_BARE = deferred(rf"{_BEFORE}(?<![A-Za-z])\d{{3}}-?\d{{4}}{_AFTER}")
_POSTAL_WORDS = deferred(r"(?:郵便番号|〒|Zip|ZIP|zip)[^0-9\n。]{0,8}$")
PREFECTURE = deferred(
    r"\s{0,2}(?:北海道|東京都|大阪府|京都府|(?:青森|岩手|宮城|秋田|山形|福島|茨城|栃木|群馬|埼玉|千葉|神奈川|新潟"
    r"|富山|石川|福井|山梨|長野|岐阜|静岡|愛知|三重"
    r"|滋賀|兵庫|奈良|和歌山|鳥取|島根|岡山|広島|山口|徳島|香川|愛媛|高知|福岡|佐賀|長崎|熊本|大分|宮崎|鹿児島|沖縄)県)"
)

_TWELVE = deferred(rf"{_BEFORE}(?<![A-Za-z])(\d{{4}}([ -]?)\d{{4}}\2\d{{4}}){_AFTER}")
_MY_NUMBER_WORDS = deferred(r"(?:マイ ?ナンバー|個人番号|My ?Number)[^0-9。\n]{0,15}$", re.IGNORECASE)
_THIRTEEN = deferred(rf"{_BEFORE}(?<![A-SU-Za-z])T?(\d(?:[ -]?\d{{4}}){{3}}){_AFTER}")
_CORPORATE_WORDS = deferred(r"(?:法人番号|登録番号|インボイス|会社法人等)[^0-9。\n]{0,15}$")
_CARD = deferred(
    rf"{_BEFORE}(?<![A-Za-z])(?:\d{{4}}([ -])\d{{4}}\1\d{{4}}\1\d{{1,7}}|\d{{4}}([ -])\d{{6}}\2\d{{4,5}}"
    rf"|\d{{13,19}}){_AFTER}"
)
_CARD_WORDS = deferred(r"(?:カード|VISA|Visa|JCB|Master|AMEX|Amex|[Cc]ard)[^0-9。\n]{0,20}$")
_SIXTEEN = 16

_ACCOUNT = deferred(
    r"(?:口座番号[^0-9。\n]{0,8}|(?:普通|当座|貯蓄)(?:預金)?(?:口座)?(?:番号)?(?:[ :・(／/、,]|No\.?"
    r"|番号){0,4})(\d(?:[ -]?\d){5,7})"
    rf"{_AFTER}(?![円人件個名年月日%])"
)
_POST_BANK = deferred(rf"記号[ :は]{{0,3}}(1\d{{3}}0(?:-\d)?)[ 　、,/・\n]{{0,3}}番号[ :は]{{0,3}}(\d{{2,8}}){_AFTER}")
_PASSPORT = deferred(
    rf"(?:旅券|パスポート|[Pp]assport|PASSPORT)[^0-9A-Z。\n]{{0,15}}(?:No\.? ?)?([A-Z]{{2}} ?\d{{7}}){_AFTER}"
)
_LICENCE = deferred(rf"(?:運転)?免許(?:証|書)?[^0-9。\n]{{0,12}}(\d{{4}}[ -]?\d{{4}}[ -]?\d{{4}}|\d{{12}}){_AFTER}")

_KANJI = "〇零元一二三四五六七八九十"
_DATE = deferred(
    rf"(?:(?P<era>明治|大正|昭和|平成|令和|(?<![A-Za-z])[MTSHRmtshr](?=[0-9. ])) ?\.? "
    rf"?)?(?<![0-9])(?P<year>\d{{1,4}}|[{_KANJI}]{{1,4}})(?:年 ?|[./-])"
    rf"(?P<month>\d{{1,2}}|[{_KANJI}]{{1,3}})(?:月 ?|[./-])(?P<day>\d{{1,2}}|[{_KANJI}]{{1,4}})(?:日|(?![0-9]))"
)
_DATE_EIGHT = deferred(r"(?:生年月日|誕生日)[^0-9。\n]{0,8}((?:19|20)\d{2})(\d{2})(\d{2})(?![0-9])")
_BORN_BEFORE = deferred(
    r"(?:生年月日|誕生日|お?誕生|生まれ(?:た日|年月日|は|:)|出生(?:日|年月日)?|DOB|D\.O\.B\.?|Birth(?:day|date)?"
    r"|Date of birth)[^0-9一-鿿。\n]{0,10}$",
    re.IGNORECASE,
)
_BORN_AFTER = deferred(
    r"(?:\([^)]{1,8}\))? ?(?:に?(?:生まれ|生れ|うまれ|誕生(?!し|日会))|生(?![一-鿿ぁ-ん])|が(?:私の)?誕生日)"
)
_YEAR_DIGITS = 4


def phones(text: str, /) -> Iterator[Found]:
    """Yield phone numbers of Japan; ten digits without signs only after a word such as 電話."""
    for hit in _PHONE.finditer(text):
        digits = re.sub(r"\D", "", hit[0])
        if len(set(digits[3:])) < 2 and digits[3] == "0":
            continue
        if hit["plain"] and not _PHONE_WORDS.search(text, max(0, hit.start() - 20), hit.start()):
            continue
        if hit[0].count(".") == 1:
            continue
        yield *hit.span(), "phone"
    for hit in _ABROAD.finditer(text):
        yield *hit.span(), "phone"


def postal_codes(text: str, /) -> Iterator[Found]:
    """Yield postal codes: after 〒 or 郵便番号, or before a prefecture."""
    for hit in _POSTAL.finditer(text):
        yield *hit.span(1), "postal-code"
    for hit in _POSTAL_BARE.finditer(text):
        before = _POSTAL_WORDS.search(text, max(0, hit.start() - 14), hit.start())
        if before or ("-" in hit[0] and PREFECTURE.match(text, hit.end())):
            yield *hit.span(), "postal-code"


def public_numbers(text: str, /) -> Iterator[Found]:
    """Yield 個人番号 and 法人番号: with a right check digit, after their name (or T)."""
    for hit in _TWELVE.finditer(text):
        named = _MY_NUMBER_WORDS.search(text, max(0, hit.start() - 28), hit.start())
        if named and is_my_number(re.sub(r"\D", "", hit[1])):
            yield *hit.span(1), "my-number"
    for hit in _THIRTEEN.finditer(text):
        named = _CORPORATE_WORDS.search(text, max(0, hit.start() - 24), hit.start())
        if (named or hit[0][0] == "T") and is_corporate_number(re.sub(r"\D", "", hit[1])):
            yield *hit.span(), "corporate-number"


def cards(text: str, /) -> Iterator[Found]:
    """Yield card numbers: prefix, length and check digit of a brand; without signs 16 digits, or after カード."""
    for hit in _CARD.finditer(text):
        signs = hit[1] or hit[2]
        digits = re.sub(r"\D", "", hit[0])
        likely = signs or len(digits) == _SIXTEEN
        if is_card(digits) and (likely or _CARD_WORDS.search(text, max(0, hit.start() - 30), hit.start())):
            yield *hit.span(), "credit-card"


def in_context(text: str, /) -> Iterator[Found]:
    """Yield numbers that only their name makes personal: account, passport, licence."""
    for hit in _ACCOUNT.finditer(text):
        yield *hit.span(1), "bank-account"
    for hit in _POST_BANK.finditer(text):
        yield *hit.span(1), "bank-account"
        yield *hit.span(2), "bank-account"
    for hit in _PASSPORT.finditer(text):
        yield *hit.span(1), "passport"
    for hit in _LICENCE.finditer(text):
        yield *hit.span(1), "licence"


def birthdays(text: str, /) -> Iterator[Found]:
    """Yield dates that exist and are said to be of a birth."""
    for hit in _DATE.finditer(text):
        if not hit["era"] and len(hit["year"]) != _YEAR_DIGITS:
            continue
        before = _BORN_BEFORE.search(text, max(0, hit.start() - 24), hit.start())
        if (before or _BORN_AFTER.match(text, hit.end())) and is_date(
            hit["era"] or "", hit["year"], hit["month"], hit["day"]
        ):
            yield *hit.span(), "birthday"
    for hit in _DATE_EIGHT.finditer(text):
        if is_date("", *hit.groups()):
            yield hit.start(1), hit.end(3), "birthday"
