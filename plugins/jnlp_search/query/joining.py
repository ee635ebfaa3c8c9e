"""Passages of one document put together: overlapping ones into one, and the sentences around one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jnlp.strict_json import dumps
from jnlp.text import sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp_search.store.entries import Passage

LONGEST = 2_000
"""Characters of an overlap that is looked for where offsets do not say it (HTML)."""


def overlap(first: Passage, second: Passage, /) -> int:
    """Return how many characters at the beginning of a passage are the end of the one before it; 0: they do not meet.

    Args:
        first: The one that begins earlier.
        second: A later one of the same document.
    """
    if second.start >= first.stop:
        return 0
    if _is_slice(first) and _is_slice(second):
        return min(first.stop, second.stop) - second.start
    longest = min(len(first.text), len(second.text), LONGEST)
    return next((size for size in range(longest, 0, -1) if first.text.endswith(second.text[:size])), 0)


def join(passages: Sequence[Passage], /) -> Passage:
    """Return overlapping passages as one, which has the number and the place of the first of them.

    Args:
        passages: In the order of the document; each overlaps the one before it.
    """
    whole, *others = passages
    for passage in others:
        if passage.stop > whole.stop:
            text = whole.text + passage.text[overlap(whole, passage) :]
            whole = replace(whole, stop=passage.stop, text=text, place=_joined_place(whole, passage))
    return whole


def headings_at(within: Sequence[Sequence[str]], text: str, at: int, /) -> tuple[str, ...] | None:
    """Return the heading path of a sentence in a passage; None if it is that of the passage's beginning.

    Args:
        within: The heading paths that begin in the passage, in order.
        text: The passage; the last title of each path is in it.
        at: The offset of the sentence.
    """
    found, seen = None, 0
    for path in within:
        start = text.find(path[-1], seen)
        if start > at:
            break
        if start >= 0:
            found, seen = tuple(path), start + 1
    return found


def _joined_place(first: Passage, second: Passage) -> str | None:
    """Return the place of the first, with the headings of the second."""
    place, other = first.read_place(), second.read_place()
    paths = [*place.get("within", []), other.get("headings"), *other.get("within", [])]
    known = [place.get("headings")]
    for path in paths:
        if path and path not in known:
            known.append(path)
    if len(known) > 1:
        place["within"] = known[1:]
    return dumps(place) if place else None


def around(hit: Passage, neighbours: Sequence[Passage], count: int, /) -> tuple[str, str]:
    """Return the sentences before and after a passage, at most `count` of each, without outer white space.

    Args:
        hit: The passage.
        neighbours: Passages of its document, in their order; it may be among them.
        count: How many sentences.
    """
    before = [passage for passage in neighbours if passage.start < hit.start]
    after = [passage for passage in neighbours if passage.stop > hit.stop]
    # of the passages before, what is not in the hit or in the next of them
    heads = [
        passage.text[: len(passage.text) - overlap(passage, following)]
        for passage, following in zip(before, [*before[1:], hit], strict=False)
    ]
    tails = [passage.text[overlap(former, passage) :] for former, passage in zip([hit, *after], after, strict=False)]
    return _last(_lines(heads), count), _first(_lines(tails), count)


def _lines(parts: Sequence[str]) -> str:
    return "\n".join(filter(None, (part.strip() for part in parts)))


def _last(text: str, count: int) -> str:
    spans = list(sentences(text))[-count:]
    return text[spans[0][0] :].strip() if spans else ""


def _first(text: str, count: int) -> str:
    spans = list(sentences(text))[:count]
    return text[: spans[-1][1]].strip() if spans else ""


def _is_slice(passage: Passage) -> bool:
    return len(passage.text) == passage.stop - passage.start
