"""A tokenised text with masks: token ids, the positions of the masks, and the mapping back to the text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jnlp.errors import RecordError
from jnlp_fill_mask.masks import SPELLINGS, find_masks, respell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jnlp.types import IntArray, Tokenizer


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text with masks, tokenised as one string in which the masks are the model's own special token.

    Args:
        text: The text as it was given.
        spans: The character offsets of its masks.
        ids: int64 `[t]`, special tokens included.
        offsets: int64 `[t, 2]`, the character offsets of the tokens in `text`; empty for special tokens.
        masks: int64 `[masks]`, the positions of the masks in `ids`.
        head, tail: The number of special tokens before and after the text.
    """

    text: str
    spans: list[tuple[int, int]]
    ids: IntArray
    offsets: IntArray
    masks: IntArray
    head: int
    tail: int

    def filled_ids(self, pieces: Sequence[int], /) -> IntArray:
        """Return the ids with the first masks replaced, one piece each; the others stay masks."""
        ids = self.ids.copy()
        ids[self.masks[: len(pieces)]] = pieces
        return ids

    def replaced_ids(self, pieces: Sequence[int], /) -> IntArray:
        """Return the ids with the first mask replaced by any number of pieces, starting at the mask's position."""
        at = int(self.masks[0])
        return np.concatenate([self.ids[:at], np.asarray(pieces, dtype=np.int64), self.ids[at + 1 :]])

    def sequence(self, fills: Mapping[int, int], tokenizer: Tokenizer, /) -> str:
        """Return the text with the masks of `fills` (mask number → piece) filled, otherwise unchanged.

        Pieces that touch are decoded together, since some are bytes of one character.
        """
        parts: list[str] = []
        end = 0
        for run in self._runs(fills):
            start, stop = self.spans[run[0]][0], self.spans[run[-1]][1]
            parts += [self.text[end:start], tokenizer.decode([fills[mask] for mask in run])]
            end = stop
        return "".join([*parts, self.text[end:]])

    def _runs(self, fills: Mapping[int, int]) -> list[list[int]]:
        runs: list[list[int]] = []
        for mask in sorted(fills):
            if runs and runs[-1][-1] == mask - 1 and self.spans[mask - 1][1] == self.spans[mask][0]:
                runs[-1].append(mask)
            else:
                runs.append([mask])
        return runs


def read_prompts(texts: Sequence[object], tokenizer: Tokenizer, mask_token: str | None, /) -> list[Prompt]:
    """Return the prompts of texts.

    Raises:
        RecordError: A text without a mask, a pair, or a mask that the tokenizer does not see.
    """
    spellings = (*SPELLINGS, tokenizer.mask_token, *([mask_token] if mask_token else []))
    found = [_locate_masks(text, spellings) for text in texts]
    encoded = tokenizer.encode([respell(text, spans, tokenizer.mask_token) for text, spans in found])
    prompts = []
    for (text, spans), tokens in zip(found, encoded, strict=True):
        masks = np.flatnonzero(tokens.ids == tokenizer.mask_id)
        if len(masks) != len(spans):
            raise RecordError(f"the text has {len(spans)} masks, but the model's tokenizer sees {len(masks)}")
        of_text = np.flatnonzero(tokens.offsets[:, 1] > tokens.offsets[:, 0])
        head, tail = int(of_text[0]), len(tokens.ids) - 1 - int(of_text[-1])
        offsets = _in_text(tokens.offsets, spans, len(tokenizer.mask_token))
        prompts.append(Prompt(text, spans, tokens.ids, offsets, masks, head, tail))
    return prompts


def _in_text(offsets: IntArray, spans: list[tuple[int, int]], length: int) -> IntArray:
    """Return offsets in the text as it was given, from those in the text whose masks were respelled in `length`."""
    starts, ends = np.array(spans).T
    grown = np.cumsum(length - (ends - starts))  # how much longer the respelled text is, up to each mask's end
    passed = np.searchsorted(ends + grown, offsets, side="right")
    mapped: IntArray = offsets - np.concatenate([[0], grown])[passed]
    return mapped


def _locate_masks(text: object, spellings: tuple[str, ...]) -> tuple[str, list[tuple[int, int]]]:
    if not isinstance(text, str):
        raise RecordError("fill-mask reads one text, not a pair")
    spans = find_masks(text, spellings)
    if not spans:
        raise RecordError(
            "no mask in the text", hint="write <mask> where a word is missing; --mask-token names another spelling"
        )
    return text, spans
