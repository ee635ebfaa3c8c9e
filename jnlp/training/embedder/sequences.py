"""Runs token sequences of any length through an encoder with gradients, to one pooled vector each.

On a CPU, the sequences of a chunk are put into rows of equal length, several short ones in each, because one dense call
is faster than attention for each sequence. On a GPU they stay one packed batch for the flash kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from jnlp.encoder.packing import batches, pack
from jnlp.encoder.pooling import pool
from jnlp.training.dense_encoder import LONGEST, DenseEncoder, can_compile
from jnlp.training.micro_batches import micro_tokens, precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from jnlp.encoder.modernbert import ModernBert
    from jnlp.types import Pooling

    Ids = NDArray[np.int64]

CPU_ROWS = 8
"""Rows of a chunk on a CPU: few enough for the caches."""

WORTH_COMPILING = 2_000_000
"""Minimum tokens of a run for which compiling, about half a minute, saves time."""


def first_fit(lengths: Sequence[int], room: int, /) -> list[list[int]]:
    """Put sequences into rows of `room` tokens: longest first, each into the first row with enough space."""
    rows: list[list[int]] = []
    space: list[int] = []
    opened = 0  # rows before it are full
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        row = next((r for r in range(opened, len(rows)) if space[r] >= lengths[index]), len(rows))
        if row == len(rows):
            rows.append([])
            space.append(room)
        rows[row].append(index)
        space[row] -= lengths[index]
        while opened < len(rows) and space[opened] == 0:
            opened += 1
    return rows


@dataclass(frozen=True, slots=True)
class SequenceEncoder:
    """An encoder and the way sequences go through it.

    Args:
        module: The encoder; in training mode or not, with gradients or not.
        pooling: How states become one vector.
        device: Where the module is.
        row: Tokens of a row; no sequence is longer.
        pad: The id of padding.
        rows: The module over rows of equal length; None keeps the sequences in one packed batch.
    """

    module: ModernBert
    pooling: Pooling
    device: torch.device
    row: int
    pad: int
    rows: DenseEncoder | None

    def chunks(self, lengths: Sequence[int], /) -> list[list[int]]:
        """Split sequences into chunks for one forward pass each."""
        if self.rows is None:
            return batches(lengths, micro_tokens(self.module.config, self.device))
        rows = first_fit(lengths, self.row)
        groups = (rows[start : start + CPU_ROWS] for start in range(0, len(rows), CPU_ROWS))
        return [[index for row in group for index in row] for group in groups]

    def __call__(self, sequences: Sequence[Ids], /) -> Tensor:
        """Return fp32 `[n, d]`, the pooled states of one chunk's sequences, in order."""
        if self.rows is None:
            packed = pack(sequences).to(self.device)
            with precision(self.device):
                return pool(self.module(packed), packed, self.pooling).float()
        filled, kept = self._fill_rows(sequences)
        packed = pack(filled).to(self.device)
        with precision(self.device):
            states = self.rows(packed, self.row)
        return pool(states, packed, self.pooling).float()[kept]

    def kept_tokens(self, most: int, /) -> int:
        """Return the tokens whose whole graph may be kept: `most`, or as many as fit a GPU's memory."""
        return min(most, micro_tokens(self.module.config, self.device)) if self.device.type == "cuda" else most

    def all(self, sequences: Sequence[Ids], /) -> Tensor:
        """Return fp32 `[n, d]` of any number of sequences without gradients."""
        out = torch.empty(len(sequences), self.module.config.hidden_size, device=self.device)
        with torch.no_grad():
            for chunk in self.chunks([len(sequence) for sequence in sequences]):
                out[chunk] = self([sequences[i] for i in chunk])
        return out

    def _fill_rows(self, sequences: Sequence[Ids]) -> tuple[list[Ids], list[int]]:
        """Fill rows with sequences in order, and with padding of its own; return all, and where the sequences are."""
        filled: list[Ids] = []
        kept: list[int] = []
        room, rows = 0, 0
        for sequence in sequences:
            if len(sequence) > room:
                filled += self._padding(room)
                room, rows = self.row, rows + 1
            kept.append(len(filled))
            filled.append(sequence)
            room -= len(sequence)
        filled += self._padding(room)
        # one number of rows, so that one form is compiled
        missing = CPU_ROWS - rows if self.rows is not None and self.row in self.rows.compiled else 0
        return filled + self._padding(self.row) * missing, kept

    def _padding(self, room: int) -> list[Ids]:
        return [np.full(room, self.pad, np.int64)] if room else []


def sequence_encoder(
    module: ModernBert, pooling: Pooling, device: torch.device, longest: int, /, *, tokens: int
) -> SequenceEncoder:
    """Return the way of a module's sequences: rows on a CPU, where they are short enough and nothing is dropped out.

    Args:
        module: The encoder, on its device.
        pooling: How states become one vector.
        device: Where it is.
        longest: The longest sequence.
        tokens: About how many will go through it: compiling must pay.
    """
    config = module.config
    row = max(128, -(-longest // 64) * 64)
    drops = config.embedding_dropout or config.attention_dropout or config.mlp_dropout
    in_rows = device.type == "cpu" and row <= LONGEST and not drops
    compiled = (row,) if can_compile() and tokens >= WORTH_COMPILING else ()
    rows = DenseEncoder(module, compiled) if in_rows else None
    return SequenceEncoder(module, pooling, device, row, config.pad_token_id or 0, rows)
