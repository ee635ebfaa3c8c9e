"""Handles texts longer than the model: a window around a mask, a cut, or an error."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jnlp.encoder import windows
from jnlp.errors import RecordError
from jnlp.types import Overflow

if TYPE_CHECKING:
    from jnlp.types import IntArray, MaskedLM
    from jnlp_fill_mask.prompt import Prompt


def fit(prompt: Prompt, model: MaskedLM, /) -> Prompt:
    """Return a prompt that the model can read, and count windowed texts and cut characters.

    Raises:
        RecordError: It is too long and the policy is an error, or a mask is in the part to cut.
    """
    if len(prompt.ids) <= model.max_length:
        return prompt
    overflow = model.overflow
    if overflow is Overflow.ERROR:
        raise RecordError(
            f"the text is {len(prompt.ids)} tokens long, and the model reads {model.max_length} at once",
            hint="--on-overflow window reads around the mask",
        )
    if overflow is Overflow.TRUNCATE:
        prompt = _truncate(prompt, model.max_length)
        model.count(0, len(prompt.text) - int(prompt.offsets[:, 1].max()))
    else:
        model.count(1, 0)
    return prompt


def _truncate(prompt: Prompt, max_length: int) -> Prompt:
    stop = max_length - prompt.tail
    if prompt.masks[-1] >= stop:
        raise RecordError(
            f"a mask is after the first {max_length} tokens, which is all that is read",
            hint="--on-overflow window reads around the mask",
        )
    kept = np.r_[:stop, len(prompt.ids) - prompt.tail : len(prompt.ids)]
    return replace(prompt, ids=prompt.ids[kept], offsets=prompt.offsets[kept])


def window(prompt: Prompt, length: int, at: int, max_length: int, /) -> tuple[int, int]:
    """Return the range of text tokens, in a sequence of `length`, of the window in which position `at` is most central.

    The special tokens around the text are not in the range; they stay in every window and count.
    """
    special = prompt.head + prompt.tail
    first, stop = windows.centred(length - special, [at - prompt.head], max_length - special)
    return prompt.head + first, prompt.head + stop


def around(ids: IntArray, at: int, prompt: Prompt, max_length: int, /) -> tuple[IntArray, int]:
    """Return the window of at most `max_length` tokens in which position `at` is most central, and `at` in it."""
    if len(ids) <= max_length:
        return ids, at
    first, stop = window(prompt, len(ids), at, max_length)
    tail = ids[len(ids) - prompt.tail :]
    return np.concatenate([ids[: prompt.head], ids[first:stop], tail]), at - first + prompt.head
