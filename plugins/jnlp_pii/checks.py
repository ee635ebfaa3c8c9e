"""Checks of numbers and dates: what only looks like a number of its kind fails them."""

from __future__ import annotations

from datetime import date
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from jnlp.patterns import deferred

_CARDS = deferred(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|(?:222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]\d|[689]\d{2})\d{10}|6(?:011|4[4-9]\d|5\d{2})\d{12}|62\d{14,17}"
)
"""Prefixes and lengths of Visa, Mastercard, American Express, JCB, Diners Club, Discover and UnionPay."""

_ERAS = {"明治": 1867, "大正": 1911, "昭和": 1925, "平成": 1988, "令和": 2018}
_LETTERS = {"M": "明治", "T": "大正", "S": "昭和", "H": "平成", "R": "令和"}
_DIGITS = dict(zip("〇一二三四五六七八九", range(10), strict=True)) | {"元": 1, "零": 0}
_THIS_CENTURY = 1868, 2100


def is_my_number(digits: str, /) -> bool:
    """Return whether 12 digits have the check digit of a 個人番号 (Order of the Ministry of Internal Affairs 85, 2014).

    Example:
        >>> is_my_number("123456789018"), is_my_number("123456789012")
        (True, False)
    """
    total = sum(int(d) * (n + 1 if n <= 6 else n - 5) for n, d in enumerate(reversed(digits[:11]), start=1))
    rest = total % 11
    return len(digits) == 12 and len(set(digits)) > 1 and int(digits[11]) == (0 if rest <= 1 else 11 - rest)


def is_corporate_number(digits: str, /) -> bool:
    """Return whether 13 digits have the check digit of a 法人番号 (Order of the Ministry of Finance 70, 2014).

    Example:
        >>> is_corporate_number("7000012050002"), is_corporate_number("7000012050003")
        (True, False)
    """
    total = sum(int(d) * (1 if n % 2 else 2) for n, d in enumerate(reversed(digits[1:]), start=1))
    return len(digits) == 13 and int(digits[0]) == 9 - total % 9


def is_card(digits: str, /) -> bool:
    """Return whether digits have a card brand's prefix and length, and Luhn's check digit.

    Example:
        >>> is_card("4111111111111111"), is_card("4111111111111112"), is_card("1234567812345670")
        (True, False, False)
    """
    if not _CARDS.fullmatch(digits):
        return False
    doubled = [int(d) * (1 + n % 2) for n, d in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def is_date(era: str, year: str, month: str, day: str, /) -> bool:
    """Return whether a date exists; `era` is "" for a year of the common era, else 昭和 or S.

    Example:
        >>> is_date("昭和", "六十", "2", "29"), is_date("", "2000", "2", "29"), is_date("S", "61", "02", "29")
        (False, True, False)
    """
    years = number(year) + (_ERAS[_LETTERS.get(era.upper(), era)] if era else 0)
    if not _THIS_CENTURY[0] <= years <= _THIS_CENTURY[1]:
        return False
    try:
        date(years, number(month), number(day))
    except ValueError:
        return False
    return True


def number(text: str, /) -> int:
    """Return a number written in digits, in kanji (六十三, 一九八八), or as 元; 0 where it is none.

    Example:
        >>> number("63"), number("六十三"), number("一九八八"), number("元")
        (63, 63, 1988, 1)
    """
    if text.isdecimal():
        return int(text)
    if "十" in text:
        tens, _, ones = text.partition("十")
        return _DIGITS.get(tens, 0 if tens else 1) * 10 + _DIGITS.get(ones, 0)
    return int("".join(str(_DIGITS.get(character, 0)) for character in text) or "0")


def is_public_ip(text: str, /) -> bool:
    """Return whether a text is an IP address that a person can have: not private, local, reserved or an example.

    Example:
        >>> is_public_ip("133.242.10.5"), is_public_ip("192.168.0.1"), is_public_ip("2001:db8::1")
        (True, False, False)
    """
    try:
        address = IPv6Address(text) if ":" in text else IPv4Address(text)
    except AddressValueError:
        return False
    return address.is_global and not address.is_multicast
