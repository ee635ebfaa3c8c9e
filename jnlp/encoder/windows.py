"""Splits long texts into overlapping windows, and joins the results of the windows.

Nothing is cut silently: `Framed.cut` counts the characters that no window has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jnlp.errors import JnlpError, RecordError
from jnlp.types import Overflow, ProblemType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jnlp.encoder.tokenizer import Tokenizer
    from jnlp.types import Encoded, FloatArray, IntArray, Logits, Text

OVERLAP = 8
"""Adjacent windows share an eighth of their tokens."""


@dataclass(frozen=True, slots=True)
class Window:
    """One sequence for the network.

    Args:
        ids: int64 `[t]`, special tokens, and the prefix or the first of a pair, included.
        types: int64 `[t]`, token types (all 0, except for models that mark the texts of a pair).
        offsets: int64 `[t, 2]`, character offsets in the text (for a pair, in the second); (0, 0) for other tokens.
        span: The character offsets that the window covers.
        tokens: The number of tokens of the text.
        core: The range in `ids` that is farthest from the window's ends. The cores of a text's windows tile its tokens;
            the first core includes the tokens before the text, the last one those after it.
    """

    ids: IntArray
    types: IntArray
    offsets: IntArray
    span: tuple[int, int]
    tokens: int
    core: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Framed:
    """A text's tokens, the tokens around them in every window, and where the windows are.

    Args:
        before: Special tokens, and the prefix or the first of a pair.
        types: Token types of the tokens before the text, of the text, and of those after it.
        body: The text's tokens.
        after: Special tokens.
        ranges: Token ranges in `body`, one for each window.
        length: The text's length in characters.
        cut: The number of characters that no window has.
    """

    before: IntArray
    types: tuple[IntArray, int, int]
    body: Encoded
    after: IntArray
    ranges: tuple[tuple[int, int], ...]
    length: int
    cut: int

    def __len__(self) -> int:
        return len(self.ranges)

    def __iter__(self) -> Iterator[Window]:
        return map(self.window, range(len(self)))

    def window(self, number: int, /) -> Window:
        """Return a window by its number."""
        (start, end), last = self.ranges[number], len(self) - 1
        head, size = len(self.before), end - start
        offsets = np.zeros((head + size + len(self.after), 2), dtype=np.int64)
        offsets[head : head + size] = self.body.offsets[start:end]
        # cores meet halfway through the overlap
        low = head + (_middle(self.ranges[number - 1], (start, end)) - start) if number else 0
        high = head + (_middle((start, end), self.ranges[number + 1]) - start) if number < last else len(offsets)
        return Window(
            ids=np.concatenate([self.before, self.body.ids[start:end], self.after]),
            types=np.concatenate(
                [self.types[0], np.full(size, self.types[1]), np.full(len(self.after), self.types[2])]
            ),
            offsets=offsets,
            span=self.span(number),
            tokens=size,
            core=(low, high),
        )

    def span(self, number: int, /) -> tuple[int, int]:
        """Return the characters that a window covers; white space between two windows belongs to the first."""
        start, end = self.ranges[number]
        return int(self.body.offsets[start, 0]) if number else 0, _reach(self.body.offsets, end, self.length)


def _middle(left: tuple[int, int], right: tuple[int, int]) -> int:
    return (left[1] + right[0]) // 2


def _reach(offsets: IntArray, end: int, length: int) -> int:
    """Return the end, in characters, of a window that ends before token `end`."""
    if end == len(offsets):
        return length
    previous = int(offsets[end - 1, 1]) if end else 0
    return max(previous, int(offsets[end, 0]))


def frame(
    texts: Sequence[Text], tokenizer: Tokenizer, max_length: int, overflow: Overflow, /, *, prefix: str = ""
) -> list[Framed]:
    """Tokenise texts or pairs and lay out their windows.

    A text over `max_length` tokens, including special and prefix tokens, is split into windows that share an eighth.
    For a pair, the second text is split, and the first is repeated in every window, up to half the length (more if the
    second is short); what is cut off the first is counted.

    Raises:
        RecordError: A text is too long and `overflow` is ERROR.
        JnlpError: The model's length leaves no room for the text.
    """
    firsts = [text[0] for text in texts if isinstance(text, tuple)]
    seconds = [text[1] if isinstance(text, tuple) else text for text in texts]
    heads = iter(tokenizer.bodies(firsts)) if firsts else iter(())
    bodies = tokenizer.bodies(seconds, prefix=prefix)
    framed = []
    for text, second, body in zip(texts, seconds, bodies, strict=True):
        if isinstance(text, tuple):
            before, types, after, lost = _pair(text[0], next(heads), len(body.ids), tokenizer, max_length, overflow)
        else:
            before, types, body, after = _single(body, tokenizer, prefix)
            lost = 0
        room = max_length - len(before) - len(after)
        _check(len(body.ids), room, max_length, overflow)
        ranges = cuts(len(body.ids), room) if overflow is Overflow.WINDOW else ((0, min(len(body.ids), room)),)
        cut = len(second) - _reach(body.offsets, ranges[-1][1], len(second))
        framed.append(Framed(before, types, body, after, ranges, len(second), cut + lost))
    return framed


def _check(tokens: int, room: int, max_length: int, overflow: Overflow) -> None:
    if room < 1:
        raise JnlpError(
            f"the model's length of {max_length} tokens has no room for the text next to its prefix and special tokens"
        )
    if tokens > room and overflow is Overflow.ERROR:
        raise RecordError(
            f"the text is {tokens} tokens long, and the model reads {room} of it at once",
            hint="--on-overflow window reads it in parts",
        )


def _single(
    body: Encoded, tokenizer: Tokenizer, prefix: str
) -> tuple[IntArray, tuple[IntArray, int, int], Encoded, IntArray]:
    """Return the tokens before and after a text's own; the prefix moves from the body to what is before."""
    from jnlp.types import Encoded

    opening, closing = tokenizer.template.single
    own = next((i for i, end in enumerate(body.offsets[:, 1]) if end > 0), len(body.ids)) if prefix else 0
    before = np.concatenate([opening, body.ids[:own]])
    types = np.zeros(len(before), dtype=np.int64), 0, 0
    return before, types, Encoded(body.ids[own:], body.offsets[own:]), closing


def _pair(
    text: str, first: Encoded, second: int, tokenizer: Tokenizer, max_length: int, overflow: Overflow
) -> tuple[IntArray, tuple[IntArray, int, int], IntArray, int]:
    """Return the tokens before and after the second text, and the characters cut off the first."""
    opening, between, closing = tokenizer.template.pair
    room = max_length - len(opening) - len(between) - len(closing)
    _check(len(first.ids) + second, room, max_length, overflow)
    keep = min(len(first.ids), max(room // 2, room - max(second, 1)))
    before = np.concatenate([opening, first.ids[:keep], between])
    a, b, c, d, e = tokenizer.template.types
    types = np.repeat([a, b, c], [len(opening), keep, len(between)]).astype(np.int64), d, e
    return before, types, closing, len(text) - _reach(first.offsets, keep, len(text))


def cuts(tokens: int, room: int, /) -> tuple[tuple[int, int], ...]:
    """Return evenly spaced token ranges of at most `room` that cover `tokens`; neighbours share an eighth or more."""
    if tokens <= room:
        return ((0, tokens),)
    step = room - room // OVERLAP
    count = 1 + -(-(tokens - room) // step)
    starts = [(tokens - room) * k // (count - 1) for k in range(count)]
    return tuple((start, start + room) for start in starts)


def centred(tokens: int, at: Sequence[int], room: int, /) -> tuple[int, int]:
    """Return the range of at most `room` of `tokens` tokens in which the positions `at` are most central.

    Raises:
        RecordError: The positions are further apart than `room`.
    """
    low, high = min(at), max(at)
    if high - low >= room:
        raise RecordError(f"masks are {high - low + 1} tokens apart, and the model reads {room} at once")
    start = min(max((low + high + 1 - room) // 2, 0), max(tokens - room, 0))
    return start, min(start + room, tokens)


# --- joins: windows to texts -----------------------------------------------------------------------------------


def mean_by_tokens(vectors: FloatArray, owner: IntArray, tokens: IntArray, texts: int, /) -> FloatArray:
    """Return one vector for each text: the mean of its windows' vectors `[windows, d]`, weighted by their tokens."""
    weights = np.maximum(tokens, 1).astype(np.float64)
    total = np.zeros((texts, *vectors.shape[1:]))
    np.add.at(total, owner, vectors * weights[:, None])
    share = np.bincount(owner, weights, minlength=texts)[:, None]
    mean: FloatArray = (total / share).astype(np.float32)
    return mean


def mean_logits(logits: Logits, /) -> FloatArray:
    """Return the logits of each text, float32 `[n, k]`: the mean over its windows, weighted by their tokens."""
    return mean_by_tokens(logits.values, logits.owner, logits.tokens, len(logits.cut))


def max_positive(logits: Logits, /) -> tuple[FloatArray, IntArray]:
    """Return for each text and label the highest probability among its windows, and the window that has it.

    Returns:
        float32 `[n, k]`, and int64 `[n, k]`: window indices in `logits`, whose `spans` are the places in the text.
    """
    scores = probabilities(logits.values, logits.problem_type)
    starts = np.searchsorted(logits.owner, np.arange(len(logits.cut)))
    ends = [*starts[1:], len(scores)]
    windows = [start + scores[start:end].argmax(axis=0) for start, end in zip(starts, ends, strict=True)]
    best = np.asarray(windows, dtype=np.int64).reshape(-1, scores.shape[1])
    return np.take_along_axis(scores, best, axis=0), best


def probabilities(values: FloatArray, problem_type: ProblemType, /) -> FloatArray:
    """Return probabilities of logits `[…, k]`: softmax, one sigmoid per label, or the value itself in a regression."""
    if problem_type is ProblemType.REGRESSION:
        return values
    if problem_type is ProblemType.MULTI_LABEL or values.shape[-1] == 1:
        sigmoid: FloatArray = (1 / (1 + np.exp(-values.astype(np.float64)))).astype(np.float32)
        return sigmoid
    shifted = np.exp(values.astype(np.float64) - values.max(axis=-1, keepdims=True))
    softmax: FloatArray = (shifted / shifted.sum(axis=-1, keepdims=True)).astype(np.float32)
    return softmax
