"""Cuts a document into passages: whole sentences up to a token budget, with exact offsets."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from jnlp.errors import UsageError
from jnlp.types import Chunk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jnlp.types import Chunker, IntArray, Mark, Tokenizer

BATCH = 256
"""Sentences tokenised at once."""

LONGEST = 4_000
"""Maximum characters of a sentence; a longer one is cut, to bound memory."""

PAUSES = "、,，;；:：・ 　\n)）」』】"
"""Characters after which a too long sentence is preferably cut."""


SECTIONS = frozenset({"heading", "slide", "sheet"})
"""Kinds of marks that begin a section."""


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence or part of one.

    `fresh`: it begins a paragraph or a section; `gap`: the tokens of the white space before it; `heading`: it is one.
    """

    start: int
    end: int
    tokens: int
    fresh: bool
    gap: int = 0
    heading: bool = False


def sentence_chunker(
    text: str, tokenizer: Tokenizer, budget: int, overlap: int, outline: Sequence[Mark], /
) -> Iterator[Chunk]:
    """Yield passages of whole sentences, in order.

    A blank line or a heading ends a passage that is at least half full, and a heading begins the passage of its text.
    Adjacent passages of running text overlap: a passage begins with the last sentences of the one before, as many as
    fit into `overlap` tokens. A sentence over the budget is cut.

    Args:
        text: The document.
        tokenizer: The embedding model's tokenizer.
        budget: Maximum tokens of a passage, special tokens and prefix not counted.
        overlap: Maximum tokens that adjacent passages share.
        outline: The headings of the document.
    """
    held: list[_Sentence] = []
    for unit in _units(text, tokenizer, budget, outline):
        total = _length(held)
        if held and (total + unit.gap + unit.tokens > budget or (unit.fresh and 2 * total >= budget)):
            body, heads = _without_last_headings(held)
            if body and heads and _length([*heads, unit]) <= budget:
                yield Chunk(body[0].start, body[-1].end, _length(body))
                held = heads
            else:
                yield Chunk(held[0].start, held[-1].end, total)
                held = [] if unit.fresh else _tail(held, min(overlap, budget - unit.gap - unit.tokens))
        held.append(unit)
    if held:
        yield Chunk(held[0].start, held[-1].end, _length(held))


def paragraph_chunker(
    text: str, tokenizer: Tokenizer, budget: int, overlap: int, outline: Sequence[Mark], /
) -> Iterator[Chunk]:
    """Yield each paragraph as one passage; `sentence_chunker` cuts a paragraph over the budget.

    Args:
        text: The document.
        tokenizer: The embedding model's tokenizer.
        budget: Maximum tokens of a passage, special tokens and prefix not counted.
        overlap: Maximum tokens that the parts of a long paragraph share.
        outline: Not used.
    """
    from jnlp.text import paragraphs

    del outline
    for start, end in paragraphs(text):
        yield from _cut_span(text, (start, end), tokenizer, budget, overlap)


def heading_chunker(
    text: str, tokenizer: Tokenizer, budget: int, overlap: int, outline: Sequence[Mark], /
) -> Iterator[Chunk]:
    """Yield each section, with its heading, as one passage; `sentence_chunker` cuts a section over the budget.

    A heading without text of its own is put to the section below it.

    Args:
        text: The document.
        tokenizer: The embedding model's tokenizer.
        budget: Maximum tokens of a passage, special tokens and prefix not counted.
        overlap: Maximum tokens that the parts of a long section share.
        outline: The headings, slides and sheets of the document.
    """
    titles = {mark.start: mark.title for mark in outline if mark.kind in SECTIONS}
    starts = sorted({0, *titles})
    begin = 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        own = text[start:end].strip()
        if end < len(text) and own == titles.get(start, "").strip():
            continue
        yield from _cut_span(text, (begin, end), tokenizer, budget, overlap)
        begin = end


def _cut_span(text: str, span: tuple[int, int], tokenizer: Tokenizer, budget: int, overlap: int) -> Iterator[Chunk]:
    start, end = span
    for chunk in sentence_chunker(text[start:end], tokenizer, budget, overlap, ()):
        yield Chunk(start + chunk.start, start + chunk.end, chunk.tokens)


def bundled_chunker(name: str, /) -> Chunker:
    """Return one of this plugin's chunkers by name.

    Raises:
        UsageError: There is no such chunker.
    """
    known: dict[str, Chunker] = {
        "sentences": sentence_chunker,
        "headings": heading_chunker,
        "paragraphs": paragraph_chunker,
    }
    if name not in known:
        raise UsageError(f"no chunker is called '{name}'", hint=f"there are: {', '.join(known)}")
    return known[name]


def _without_last_headings(held: list[_Sentence]) -> tuple[list[_Sentence], list[_Sentence]]:
    """Divide sentences into those up to the last that is not a heading, and the headings after it."""
    last = next((at for at in range(len(held), 0, -1) if not held[at - 1].heading), 0)
    return held[:last], held[last:]


def _length(held: list[_Sentence]) -> int:
    """Return the tokens of a passage, including the white space between its sentences."""
    return sum(part.tokens for part in held) + sum(part.gap for part in held[1:])


def _tail(held: list[_Sentence], room: int) -> list[_Sentence]:
    """Return the last sentences that fit into `room` tokens, never all of them."""
    for first in range(1, len(held)):
        if _length(held[first:]) <= room:
            return held[first:]
    return []


def _units(text: str, tokenizer: Tokenizer, budget: int, outline: Sequence[Mark]) -> Iterator[_Sentence]:
    """Yield sentences, and parts of sentences over the budget, with their length in tokens."""
    titles = {mark.start: mark.title for mark in outline if mark.kind in SECTIONS}
    spans = _trim(text, sorted(titles))
    special = len(tokenizer.encode([""])[0].ids)
    last = 0
    while batch := list(islice(spans, BATCH)):
        encoded = tokenizer.encode([text[start:end] for start, end in batch])
        # more white space than the budget has room for ends a passage whatever its tokens are
        befores = [last, *(end for _, end in batch[:-1])]
        gaps = tokenizer.encode(
            [text[before : min(start, before + LONGEST)] for before, (start, _) in zip(befores, batch, strict=True)]
        )
        for (start, end), tokens, gap in zip(batch, encoded, gaps, strict=True):
            fresh = start in titles or text.count("\n", last, start) >= 2
            heading = start in titles and end - start <= len(titles[start])
            counts = (max(1, len(tokens.ids) - special), fresh, len(gap.ids) - special)
            sentence = _Sentence(start, end, *counts, heading)
            if sentence.tokens <= budget:
                yield sentence
            else:
                yield from _cut_sentence(sentence, text[start:end], tokens.offsets, budget)
            last = end


def _trim(text: str, sections: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the spans of sentences without outer white space, none longer than `LONGEST`, none over two sections."""
    from jnlp.text.sentences import sentences

    starts = [0, *(start for start in sections if start > 0)]
    for origin, stop in zip(starts, [*starts[1:], len(text)], strict=True):
        section = text if len(starts) == 1 else text[origin:stop]
        for first, last in sentences(section):
            for begin in range(first, last, LONGEST):
                piece = section[begin : min(begin + LONGEST, last)]
                if bare := piece.strip():
                    start = origin + begin + piece.index(bare[0])
                    yield start, start + len(bare)


def _cut_sentence(whole: _Sentence, sentence: str, offsets: IntArray, budget: int) -> Iterator[_Sentence]:
    """Yield parts of a sentence of at most `budget` tokens, cut after a pause in the last quarter if there is one."""
    ends = [int(end) for _, end in offsets if end > 0]  # special tokens have the span (0, 0)
    index, start = 0, 0
    fresh, gap = whole.fresh, whole.gap
    while start < len(sentence):
        stop = min(index + budget, len(ends))
        if stop < len(ends):
            stop = next((i for i in range(stop, stop - budget // 4, -1) if sentence[ends[i - 1] - 1] in PAUSES), stop)
        end = ends[stop - 1] if index < stop < len(ends) else len(sentence)
        # Byte pieces share their character's end, and a combining mark belongs to the character before it.
        end = max(end, start + 1)
        while end < len(sentence) and unicodedata.combining(sentence[end]):
            end += 1
        part = sentence[start:end].strip()
        if part:
            begin = whole.start + sentence.index(part[0], start)
            yield _Sentence(begin, begin + len(part), max(1, stop - index), fresh, gap)
        index, start, fresh, gap = stop, end, False, 0
