"""Parses a query: words, `"a phrase"` that must occur, and `-word` that must not."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jnlp.errors import UsageError
from jnlp.patterns import deferred
from jnlp.surrogates import lone_surrogate

_PART = deferred(
    r"""(?P<space>^|(?<=\s))(?P<minus>[-－])(?:["“＂](?P<unwanted>[^"”＂]+)["”＂]|(?P<word>[^\s"“”＂-][^\s"“”＂]*))
      | ["“＂](?P<phrase>[^"”＂]+)["”＂]""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Wording:
    """A query in its parts.

    Args:
        text: The words to search for, including those of phrases.
        phrases: Texts that must occur in a passage.
        excluded: Texts that must not.
    """

    text: str
    phrases: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


def read_query(query: str, /) -> Wording:
    """Return the parts of a query.

    Raises:
        UsageError: It is empty or not text, or only excludes.

    Example:
        >>> read_query('解約 "三か月前" -賃貸')
        Wording(text='解約 三か月前', phrases=('三か月前',), excluded=('賃貸',))
    """
    if not query.strip():
        raise UsageError("the query is empty", hint="give words or a question")
    if lone_surrogate(query) is not None:
        raise UsageError("the query has bytes that are not text", hint="type it in the terminal's own encoding")
    phrases: list[str] = []
    excluded: list[str] = []

    def plain(match: re.Match[str]) -> str:
        if match["minus"]:
            excluded.append(match["unwanted"] or match["word"])
            return ""
        phrases.append(match["phrase"])
        return match["phrase"]

    text = " ".join(_PART.sub(plain, query).split()) if _PART.search(query) else query
    if not text.strip():
        raise UsageError("the query has no words to look for", hint="add a word or a question to what must not occur")
    return Wording(text, tuple(phrases), tuple(excluded))
