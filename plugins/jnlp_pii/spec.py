"""The spec of the task `pii`: categories, options and results."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

from jnlp.types import Option, TaskSpec

CATEGORIES = {
    "name": "氏名",
    "phone": "電話番号",
    "email": "メールアドレス",
    "postal-code": "郵便番号",
    "address": "住所",
    "birthday": "生年月日",
    "my-number": "個人番号",
    "corporate-number": "法人番号",
    "credit-card": "カード番号",
    "bank-account": "口座番号",
    "passport": "旅券番号",
    "licence": "免許証番号",
    "url": "URL",
    "ip": "IPアドレス",
}
"""The categories, and what a label calls them."""


class Style(StrEnum):
    """What replaces a value: ［氏名1］, or <NAME_1> for programs and models that read ASCII better."""

    LABEL = "label"
    TOKEN = "token"


@dataclass(frozen=True, slots=True)
class PiiOptions:
    """Which personal data is found, and what happens to it."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    mask: Annotated[bool, Option("Write the text with personal data masked.")] = False
    mask_with: Annotated[
        str | None,
        Option(
            "What masks: one character for each one masked, or a longer text for the whole.",
            metavar="TEXT",
            none="category",
        ),
    ] = None
    pseudonymise: Annotated[
        bool, Option("Write the text with a label for each value (［氏名1］); the same value has the same label.")
    ] = False
    style: Annotated[Style, Option("What --pseudonymise writes: ［氏名1］ or <NAME_1>.")] = Style.LABEL
    map: Annotated[
        Path | None,
        Option(
            "Keep which label is which value in FILE, for `jnlp pii restore`; only you can read it.",
            metavar="FILE",
            local=True,
        ),
    ] = None
    categories: Annotated[
        tuple[str, ...], Option("Find these categories alone.", metavar="NAMES", choices=tuple(CATEGORIES))
    ] = ()
    without: Annotated[
        tuple[str, ...], Option("Find all categories but these.", metavar="NAMES", choices=tuple(CATEGORIES))
    ] = ()
    allow: Annotated[
        tuple[str, ...],
        Option(
            "Values that are no personal data (your own number, @example.co.jp), or files of them.",
            metavar="VALUES",
            local=True,
        ),
    ] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """Personal data at `[start, end)` of the original text.

    Args:
        start: The first character.
        end: The character after the last one.
        category: One of `CATEGORIES`.
        text: The data; with `--mask` or `--pseudonymise` what replaces it.
    """

    start: int
    end: int
    category: str
    text: str


@dataclass(frozen=True, slots=True)
class Pii:
    """The personal data of a text, in order."""

    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class RewrittenPii:
    """The text without the personal data that was found, and where that was in the original."""

    text: str
    spans: tuple[Span, ...] = ()


PII: TaskSpec[PiiOptions, Pii] = TaskSpec(
    "pii",
    "Find, mask or pseudonymise personal data; restore it.",
    PiiOptions,
    "jnlp_pii.logic:make",
    Pii,
    rows="jnlp_pii.tables:rows",
    command="jnlp_pii.cli:pii",
    tally="jnlp_pii.tables:Tally",
    finish="jnlp_pii.logic:finish",
)
