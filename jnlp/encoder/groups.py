"""Attention in plain torch: a packed batch as a few dense products with little padding.

Short sequences of similar length are grouped and padded to the longest of them. A long sequence attends alone, or, in a
local layer, in blocks of queries whose keys reach one window further. The plan of a batch is made once for all layers
of a kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

BLOCK = 64
"""Queries in a block of local attention. With 64 keys on each side, two thirds of the scores are within the window."""
SHORT = 192
"""Maximum length of a sequence that is grouped with sequences of other lengths."""
SCORES = 1 << 20
"""Scores that a CPU computes at a time: 2 MiB in bf16, which fit the second-level caches of two cores."""
SCORES_ELSEWHERE = 1 << 23
"""The same on other devices, and with gradients, which keep the scores anyway."""

Indices = np.ndarray[tuple[int], np.dtype[np.int64]]
Grid = np.ndarray[tuple[int, int], np.dtype[np.int64]]
Inside = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Group:
    """A dense product: `count` times so many queries by so many keys.

    Args:
        count: The number n of sequences or blocks.
        queries: Token indices in the batch, int64 `[n x queries]`, or their range.
        keys: The same for the keys.
        mask: Added to the scores, 0 or -inf, `[n, queries or 1, keys]`; None: no key is masked.
    """

    count: int
    queries: Tensor | slice
    keys: Tensor | slice
    mask: Tensor | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The groups of a batch, and the index of each token in their outputs, int64 `[T]` (None: in order)."""

    groups: tuple[Group, ...]
    order: Tensor | None


def attend(q: Tensor, k: Tensor, v: Tensor, lengths: tuple[int, ...], window: int | None, /) -> Tensor:
    """Attend within each sequence, differentiably on any device.

    Args:
        q: Queries, divided by the root of the head size, `[heads, T, head_dim]`.
        k: Keys.
        v: Values.
        lengths: The lengths of the sequences, T in all.
        window: A token attends to |i - j| <= window; None: to its whole sequence.

    Returns:
        `[T, heads, head_dim]`.
    """
    plan = plan_of(lengths, window, q.device, q.dtype)
    parts = []
    for group in plan.groups:
        q_, k_, v_ = (
            _take(x, tokens, group.count) for x, tokens in ((q, group.queries), (k, group.keys), (v, group.keys))
        )
        parts.append(_dense(q_, k_, v_, group.mask).flatten(1, 2))
    out = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    return (out if plan.order is None else out.index_select(1, plan.order)).transpose(0, 1)


def _take(x: Tensor, tokens: Tensor | slice, count: int) -> Tensor:
    """Return tokens of `[heads, T, head_dim]` as `[heads, n, …, head_dim]`."""
    taken = x[:, tokens] if isinstance(tokens, slice) else x.index_select(1, tokens)
    return torch.unflatten(taken, 1, (count, -1))


def _dense(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attend `[heads, n, queries, head_dim]` to `[heads, n, keys, head_dim]`.

    Few scores, and scores in bf16, are computed explicitly: there oneDNN's products are faster than the flash kernel,
    which computes in fp32. Otherwise, and if gradients would keep all scores, the flash kernel is used.
    """
    heads, count, queries, _ = q.shape
    keys = k.shape[2]
    if keys > SHORT and (q.dtype is torch.float32 or torch.is_grad_enabled()):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)
    scores = SCORES if q.device.type == "cpu" and not torch.is_grad_enabled() else SCORES_ELSEWHERE
    if count > (some := max(1, scores // (heads * queries * keys))):
        masks = [None] * count if mask is None else torch.split(mask, some)
        split = (torch.split(x, some, dim=1) for x in (q, k, v))
        return torch.cat([_dense(*part) for part in zip(*split, masks, strict=False)], dim=1)
    if queries > (some := max(BLOCK, scores // (heads * keys))) and mask is None:
        return torch.cat([_explicit(part, k, v, None) for part in torch.split(q, some, dim=2)], dim=2)
    return _explicit(q, k, v, mask)


def _explicit(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    scores = q @ k.mT
    if mask is not None:
        scores = scores + mask if scores.requires_grad else scores.add_(mask)
    return scores.softmax(-1) @ v


@lru_cache(maxsize=8)
def plan_of(lengths: tuple[int, ...], window: int | None, device: torch.device, dtype: torch.dtype, /) -> Plan:
    """Return the groups of a batch with these lengths; cached for the next layers.

    They are made outside inference mode, since training may use the same lengths.
    """
    starts = np.cumsum([0, *lengths[:-1]])
    short = SHORT if window is None else BLOCK + 2 * window
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    long = [i for i in order if lengths[i] > short]
    with torch.inference_mode(False):
        maker = _Maker(np.asarray(lengths), starts, window, device, dtype)
        if window is None:
            for _, equal in groupby(long, key=lambda i: lengths[i]):
                maker.together(list(equal))
        elif long:
            maker.blocks(sorted(long), window)
        for run in _alike([i for i in order if lengths[i] <= short], lengths):
            maker.together(run)
        return maker.plan()


def _alike(order: list[int], lengths: tuple[int, ...]) -> list[list[int]]:
    """Cut sequences in order of length into runs in which the shortest has three quarters of the longest."""
    runs: list[list[int]] = []
    for i in order:
        if not runs or 4 * lengths[i] < 3 * lengths[runs[-1][0]]:
            runs.append([])
        runs[-1].append(i)
    return [sorted(run) for run in runs]


class _Maker:
    """Collects the groups of a batch."""

    def __init__(
        self, lengths: Indices, starts: Indices, window: int | None, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._lengths, self._starts, self._window = lengths, starts, window
        self._device, self._dtype = device, dtype
        self._groups: list[Group] = []
        self._order = np.zeros(int(lengths.sum()), dtype=np.int64)
        self._size = 0

    def together(self, sequences: list[int]) -> None:
        """Add a group of sequences. A shorter one is padded with its last token, and its padding keys are masked."""
        lengths, starts = self._lengths[sequences, None], self._starts[sequences, None]
        places = np.arange(lengths.max())[None]
        inside = places < lengths
        at = np.minimum(places, lengths - 1)
        near = self._window is not None and self._window < lengths.max() - 1
        mask = None
        if near or not inside.all():
            reached = self._put(inside)[:, None, :]
            if near:
                reached = reached & self._near(at, places)
            mask = self._mask(reached)
        self._add(starts + at, inside, starts + at, mask)

    def blocks(self, sequences: list[int], window: int) -> None:
        """Add sequences one after another, cut into blocks of queries at any position."""
        owner = np.repeat(sequences, self._lengths[sequences])
        tokens = np.concatenate([self._starts[i] + np.arange(self._lengths[i]) for i in sequences])
        first = np.arange(0, len(tokens), BLOCK)[:, None]
        places, reach = first + np.arange(BLOCK), first + np.arange(-window, BLOCK + window)
        at, near = np.minimum(places, len(tokens) - 1), np.clip(reach, 0, len(tokens) - 1)
        theirs, ours = self._put(np.where(near == reach, owner[near], -1)), self._put(owner[at])
        reached = (ours[:, :, None] == theirs[:, None, :]) & self._near(at, reach)
        self._add(tokens[at], places < len(tokens), tokens[near], self._mask(reached))

    def _add(self, queries: Grid, inside: Inside, keys: Grid, mask: Tensor | None) -> None:
        self._order[queries[inside]] = self._size + np.flatnonzero(inside)
        self._size += queries.size
        self._groups.append(Group(len(queries), self._tokens(queries), self._tokens(keys), mask))

    def _near(self, queries: Grid, keys: Grid) -> Tensor:
        """Return which keys are within the window of each query: `[n or 1, queries, keys]`, on the device."""
        assert self._window is not None  # asked for in local layers only
        return (self._put(queries)[:, :, None] - self._put(keys)[:, None, :]).abs() <= self._window

    def _mask(self, reached: Tensor) -> Tensor:
        """Return the mask: it is as large as the scores of a head, so it is made on the device."""
        return torch.zeros(reached.shape, dtype=self._dtype, device=self._device).masked_fill_(~reached, float("-inf"))

    def _put(self, values: Grid | Inside) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)

    def _tokens(self, grid: Grid) -> Tensor | slice:
        tokens = grid.ravel()
        if (np.diff(tokens) == 1).all():
            return slice(int(tokens[0]), int(tokens[-1]) + 1)
        return torch.from_numpy(tokens).to(self._device)

    def plan(self) -> Plan:
        """Return the collected groups."""
        in_order = self._size == len(self._order) and bool((np.diff(self._order) == 1).all())
        return Plan(tuple(self._groups), None if in_order else torch.from_numpy(self._order).to(self._device))
