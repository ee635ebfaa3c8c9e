"""All rules over one text: which personal data it has, in order and apart, with offsets in the original."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError, UsageError
from jnlp.patterns import deferred
from jnlp_pii import net, numbers
from jnlp_pii.names import names
from jnlp_pii.places import places
from jnlp_pii.reading import read
from jnlp_pii.spec import CATEGORIES, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from jnlp_pii.net import Found
    from jnlp_pii.spec import PiiOptions

_Rule = tuple["Callable[[str], Iterator[Found]]", tuple[str, ...], "re.Pattern[str]"]

_DIGITS = deferred(r"[0-9]{2}")
RULES: tuple[_Rule, ...] = (
    (net.urls, ("url",), deferred("://")),
    (net.emails, ("email",), deferred(r"@|[\[(](?:at|アット|あっと)")),
    (net.addresses, ("ip",), deferred(r"[0-9]\.[0-9]|[0-9A-Fa-f]:|::")),
    (numbers.cards, ("credit-card",), deferred(r"[0-9]{4}")),
    (numbers.public_numbers, ("my-number", "corporate-number"), deferred(r"[0-9]{4}")),
    (
        numbers.in_context,
        ("bank-account", "passport", "licence"),
        deferred("口座|普通|当座|貯蓄|記号|旅券|パスポ|免許|(?i:passport)"),
    ),
    (numbers.birthdays, ("birthday",), deferred("生|誕|(?i:birth|DOB|D.O.B)")),
    (numbers.phones, ("phone",), deferred(r"0[0-9]|\+81")),
    (numbers.postal_codes, ("postal-code",), deferred(r"[0-9]{3} ?-? ?[0-9]{4}")),
    (places, ("address",), deferred("[市区町村郡]")),
    (
        names,
        ("name",),
        deferred("さん|さま|[様氏殿君生輩長任査授士師宛名者人]|くん|ちゃん|と申|フリガナ|ふりがな|カナ"),
    ),
)
"""Each rule, its categories, and a sign that a text must have for the rule to be worth its time; the first wins."""


class Detector:
    """Finds the personal data of texts.

    Args:
        options: Which categories, and which values are none.

    Raises:
        UsageError: `--categories` and `--without` leave nothing.
        JnlpError: A file of `--allow` cannot be read.

    Example:
        >>> [span.text for span in Detector(PiiOptions()).spans("山田さん、０９０－１２３４－５６７８です。")]
        ['山田', '０９０－１２３４－５６７８']
    """

    def __init__(self, options: PiiOptions, /) -> None:
        self.categories = {
            name
            for name in CATEGORIES
            if (not options.categories or name in options.categories) and name not in options.without
        }
        if not self.categories:
            raise UsageError("no category is left to find", hint="leave out --categories or --without")
        self._rules = [rule for rule in RULES if self.categories.intersection(rule[1])]
        self._allowed, self._domains = _allowed(options.allow)

    def spans(self, text: str, /) -> tuple[Span, ...]:
        """Return the personal data of a text, in order; of two that overlap, what the stricter rule finds."""
        seen = read(text)
        kept: list[tuple[int, int, str]] = []
        for rule, _, sign in self._rules:
            if sign.search(seen.text):
                kept += _apart([f for f in rule(seen.text) if f[2] in self.categories], kept)
        found = (
            Span(*(place := seen.span(start, end)), category, text[slice(*place)]) for start, end, category in kept
        )
        return tuple(sorted((s for s in found if not self._is_allowed(s)), key=lambda s: s.start))

    def _is_allowed(self, span: Span) -> bool:
        key = value_of(span.category, span.text)
        return key in self._allowed or (span.category == "email" and key.endswith(self._domains))


def value_of(category: str, text: str, /) -> str:
    """Return what two spellings of one value have in common: ０９０－１２３４ and 0901234.

    Example:
        >>> value_of("phone", "０９０－１２３４－５６７８") == value_of("phone", "(090)1234-5678")
        True
    """
    plain = read(text).text.casefold()
    if category in ("email", "url", "ip"):
        return plain
    if category == "birthday":
        return re.sub(r"\s", "", plain)
    spaceless = re.sub(r"[\s・=]" if category == "name" else r"[\s\-().]", "", plain)
    return f"0{spaceless[3:].removeprefix('0')}" if category == "phone" and spaceless.startswith("+81") else spaceless


def _apart(found: Iterable[Found], kept: list[Found]) -> list[Found]:
    """Return what of `found` overlaps nothing before it."""
    new: list[Found] = []
    taken = sorted((start, end) for start, end, _ in kept)
    for start, end, category in sorted(found, key=lambda f: (f[0], -f[1])):
        if new and start < new[-1][1]:
            continue
        if any(start < stop and begin < end for begin, stop in taken):
            continue
        new.append((start, end, category))
    return new


def _allowed(items: Iterable[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the values of `--allow`, as each category would spell them, and the domains of e-mail addresses."""
    lines: list[str] = []
    for item in items:
        path = Path(item)
        try:
            lines += path.read_text("utf-8-sig").splitlines() if path.is_file() else [item]
        except (OSError, UnicodeDecodeError) as error:
            raise JnlpError(f"{item}: cannot be read as UTF-8 ({error})", hint="one value a line") from error
    values = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    keys = frozenset(
        value_of(category, value) for value in values for category in ("email", "phone", "name", "birthday")
    )
    return keys, tuple(read(value).text.casefold() for value in values if value.startswith("@"))
