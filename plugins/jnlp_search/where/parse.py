"""Parses a condition: `year >= 2020 and (kind = 'pdf' or path like '規程/%')`. The grammar is in docs/search.md."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jnlp.errors import UsageError
from jnlp.patterns import deferred
from jnlp.surrogates import lone_surrogate
from jnlp_search.where.tree import (
    All,
    Any,
    Column,
    Compare,
    Condition,
    Missing,
    Moment,
    Not,
    Op,
    Value,
    read_moment,
    read_number,
    whole_year,
)

if TYPE_CHECKING:
    from typing import NoReturn

LONGEST = 20_000
"""Maximum characters of a condition."""

DEEPEST = 50
"""Maximum nesting of parentheses and `not`."""

MOST = 500
"""Maximum values in a condition; SQLite limits expressions to a depth of 1,000."""

_WIDE = str.maketrans("＝！＜＞（），", "=!<>(),")
_SIGNS = {"≧": ">=", "≦": "<=", "≠": "!=", "==": "=", "<>": "!="}
_WORDS = frozenset({"and", "or", "not", "in", "like", "is", "null", "true", "false"})
_TOKEN = deferred(
    r"""\s*(?:
      (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    | (?P<name>\[[^\]]+\])
    | (?P<date>\d{4}[-/]\d{1,2}(?:[-/]\d{1,2}
        (?:[Tt]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:[Zz]|[+-]\d{2}:?\d{2})?)?)?)(?![\w./:-])
    | (?P<number>[+-]?[\d.][\w.]*(?:(?<=[eE])[+-]\d+)?)
    | (?P<sign>[<＜][=＝>＞]?|[>＞][=＝]?|[!！][=＝]|[=＝]{1,2}|[≧≦≠()（）,，])
    | (?P<word>[^\W\d][\w.-]*)
    | (?P<end>$)
    | (?P<bad>.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ATOM = "a column, 'not' or '('"
_VALUE = "a value: '…', a number, a date, true or false"


@dataclass(frozen=True, slots=True)
class _Token:
    """A token of a condition: `kind` is a group of `_TOKEN`, or `key` for a keyword."""

    kind: str
    text: str
    position: int


def parse(text: str, /) -> Condition:
    """Return the tree of a condition.

    Raises:
        UsageError: It is not a condition; the message names the position and what was expected there.

    Example:
        >>> parse("年度 >= 2020")
        Compare(column=Column(name='年度', position=1), op=<Op.GREATER_OR_EQUAL: '>='>, value=2020)
    """
    if len(text) > LONGEST:
        raise UsageError(f"where: a condition of {len(text):,} characters", hint=f"at most {LONGEST:,}")
    if lone_surrogate(text) is not None:
        raise UsageError("where: the condition has bytes that are not text", hint="type it in the terminal's encoding")
    return _Parser(text).whole()


class _Parser:
    """Recursive descent: or → and → not → comparison."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = self._depth = self._values = 0

    def whole(self) -> Condition:
        condition = self._any()
        if self._next.kind != "end":
            self._fail("'and', 'or' or the end")
        return condition

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *texts: str) -> bool:
        """Consume the next token if it is one of these signs or words."""
        if self._next.kind in ("sign", "key") and self._next.text in texts:
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            self._fail(f"'{text}'")

    def _any(self) -> Condition:
        items = [self._all()]
        while self._take("or"):
            items.append(self._all())
        return items[0] if len(items) == 1 else Any(tuple(items))

    def _all(self) -> Condition:
        items = [self._one()]
        while self._take("and"):
            items.append(self._one())
        return items[0] if len(items) == 1 else All(tuple(items))

    def _one(self) -> Condition:
        self._depth += 1
        if self._depth > DEEPEST:
            self._fail(f"at most {DEEPEST} parentheses within one another")
        if self._take("not"):
            found: Condition = Not(self._one())
        elif self._take("("):
            found = self._any()
            self._expect(")")
        else:
            found = self._comparison()
        self._depth -= 1
        return found

    def _comparison(self) -> Condition:
        column = self._column()
        if self._take("is"):
            negated = self._take("not")
            self._expect("null")
            self._count()
            return Not(Missing(column)) if negated else Missing(column)
        negated = self._take("not")
        if self._take("in"):
            found: Condition = self._list(column)
        elif self._take("like"):
            found = Compare(column, Op.LIKE, self._pattern())
        elif negated:
            self._fail("'in' or 'like'")
        else:
            return self._relation(column)
        return Not(found) if negated else found

    def _column(self) -> Column:
        token = self._next
        if token.kind not in ("name", "word"):
            self._fail(_ATOM)
        self._at += 1
        return Column(token.text, token.position)

    def _relation(self, column: Column) -> Condition:
        token = self._next
        for op in ("!=", *(op.value for op in Op if op is not Op.LIKE)):
            if self._take(op):
                value = self._value(column)
                if isinstance(value, bool) and op not in ("=", "!="):
                    self._fail("'=' or '!=' before true and false", token)
                return Not(Compare(column, Op.EQUAL, value)) if op == "!=" else Compare(column, Op(op), value)
        self._fail("a comparison: = != < <= > >= like in is")

    def _list(self, column: Column) -> Condition:
        self._expect("(")
        items = [Compare(column, Op.EQUAL, self._value(column))]
        while self._take(","):
            items.append(Compare(column, Op.EQUAL, self._value(column)))
        self._expect(")")
        return Any(tuple(items))

    def _pattern(self) -> str:
        token = self._next
        if token.kind != "text":
            self._fail("a pattern in quotes: '規程/%'")
        self._at += 1
        self._count()
        return unicodedata.normalize("NFC", token.text)

    def _value(self, column: Column) -> Value:
        token = self._next
        self._count()
        value = _value(token)
        if value is None:
            self._fail("a date that exists" if token.kind == "date" else _VALUE)
        if column.name == "mtime" and isinstance(value, str):
            value = read_moment(value) or self._fail("a date: 2024-05-01")
        if column.name == "mtime" and isinstance(value, int) and 1000 <= value < 9999:
            value = whole_year(value)
        self._at += 1
        return value

    def _count(self) -> None:
        self._values += 1
        if self._values > MOST:
            self._fail(f"at most {MOST} values")

    def _fail(self, expected: str, token: _Token | None = None) -> NoReturn:
        token = token or self._next
        found = "the end" if token.kind == "end" else f"'{self._text[token.position - 1 :][:20].split()[0]}'"
        raise UsageError(
            f"where, character {token.position}: expected {expected}; found {found}",
            hint="such as: year >= 2020 and kind in ('pdf', 'md') and not path like '下書き/%'",
        )


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while not found or found[-1].kind != "end":
        match = _TOKEN.match(text, at)
        assert match is not None
        kind = match.lastgroup or "bad"
        at = match.end()
        found.append(_token(kind, match[kind], match.start(kind) + 1))
    return found


def _token(kind: str, raw: str, position: int) -> _Token:
    if kind == "text":
        return _Token(kind, raw[1:-1].replace(raw[0] * 2, raw[0]), position)
    if kind == "name":
        return _Token(kind, raw[1:-1].strip(), position)
    if kind == "sign":
        plain = raw.translate(_WIDE)
        return _Token(kind, _SIGNS.get(plain, plain), position)
    if kind == "word" and raw.lower() in _WORDS:
        return _Token("key", raw.lower(), position)
    return _Token(kind, raw, position)


def _value(token: _Token) -> Value | Moment | None:
    """Return the value that a token is, or None."""
    if token.kind == "text":
        return unicodedata.normalize("NFC", token.text)
    if token.kind == "date":
        return read_moment(token.text)
    if token.kind == "number":
        number = read_number(token.text)
        return read_moment(token.text) if number is None else number  # 2024年5月1日
    if token.kind == "key" and token.text in ("true", "false"):
        return token.text == "true"
    return None
