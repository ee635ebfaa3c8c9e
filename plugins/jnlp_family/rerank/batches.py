"""Pairs of question and passage as rows of one length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from jnlp.encoder.packing import Packed, send

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from jnlp_family.rerank.material import Asked, Material, Ragged

    Ids = NDArray[np.int64]

QUESTION = 45
"""Tokens of a question that are read in training; one in a hundred is longer."""

BEGIN, END, PAD = 1, 2, 3
"""Ids of `tiny-search`'s tokenizer."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Pairs, each followed by padding, which is a sequence by itself.

    Args:
        packed: All rows, one after another.
        length: Tokens of a row.
        firsts: Where each pair begins, int64 `[r]`.
        tokens: Tokens without padding.
    """

    packed: Packed
    length: int
    firsts: torch.Tensor
    tokens: int

    def to(self, device: torch.device, /) -> Rows:
        """Return the rows on a device."""
        return Rows(self.packed.to(device), self.length, send(self.firsts, device), self.tokens)


def rows(material: Material, questions: Ids, passages: Ids, starts: Ids, room: int, /) -> Rows:
    """Return the rows of pairs: `<s> question </s> window of the passage </s>`.

    Args:
        material: The texts.
        questions: Of each pair the question's number, int64 `[r]`.
        passages: The passage's.
        starts: Where its window of `material.room` tokens begins.
        room: Tokens of a window, at most as many: the middle of those.
    """
    length = QUESTION + room + 3
    ids = np.full((len(questions), length), PAD, np.int64)
    held = _lengths(material.passages, passages)
    spare = np.clip(np.minimum(held - starts, material.room) - room, 0, None)
    asked = np.minimum(_lengths(material.questions, questions), QUESTION)
    shown = np.minimum(held - starts, room)
    ids[:, 0] = BEGIN
    _fill(ids, np.ones_like(asked), material.questions, questions, np.zeros_like(asked), asked)
    lines = np.arange(len(ids))
    ids[lines, 1 + asked] = END
    _fill(ids, 2 + asked, material.passages, passages, starts + spare // 2, shown)
    whole = asked + shown + 3
    ids[lines, whole - 1] = END
    lengths = np.stack([whole, length - whole], axis=1).ravel()
    ends = np.cumsum(lengths)
    positions = np.arange(ids.size) - np.repeat(ends - lengths, lengths)
    packed = Packed(
        torch.from_numpy(ids.ravel()),
        torch.from_numpy(positions),
        torch.from_numpy(np.concatenate([[0], ends]).astype(np.int32)),
        tuple(lengths.tolist()),
    )
    return Rows(packed, length, torch.from_numpy(lines * length), int(whole.sum()))


def _lengths(texts: Ragged, numbers: Ids) -> Ids:
    return texts.ends[numbers] - texts.begins()[numbers]


def _fill(ids: Ids, places: Ids, texts: Ragged, numbers: Ids, starts: Ids, counts: Ids) -> None:
    """Write `counts` tokens of texts, from `starts` on, into rows at `places`."""
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    sources = np.repeat(texts.begins()[numbers] + starts, counts) + within
    lines = np.repeat(np.arange(len(ids)), counts)
    ids[lines, np.repeat(places, counts) + within] = texts.ids[sources]


def choices(asked: Asked, wrong: int, batch: int, rng: np.random.Generator, /) -> Iterator[tuple[Ids, Ids]]:
    """Yield the questions of a pass in random batches, with the columns of their passages, the right one first.

    Args:
        asked: Those of training.
        wrong: Wrong passages of a question, drawn again in each pass, the first more often. A question with fewer is
            left out.
        batch: Questions at once; the last, smaller batch is left out.
        rng: Draws.
    """
    counts = (asked.passages >= 0).sum(axis=1) - 1
    order = rng.permutation(np.flatnonzero(counts >= wrong))
    for first in range(0, len(order) - batch + 1, batch):
        lines = order[first : first + batch]
        worth = -np.log(np.arange(1, asked.passages.shape[1]) + 2.0) + rng.gumbel(
            size=(batch, asked.passages.shape[1] - 1)
        )
        worth[np.arange(worth.shape[1])[None, :] >= counts[lines][:, None]] = -np.inf
        drawn = np.argsort(-worth, axis=1)[:, :wrong] + 1
        yield lines, np.concatenate([np.zeros((batch, 1), np.int64), drawn], axis=1)
