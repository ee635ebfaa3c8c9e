"""Batches through a network: under the budget, split where memory runs out, answered in order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jnlp.encoder.batching import BatchRunner
from jnlp.encoder.packing import batches
from jnlp.encoder.torch_backend import TorchBackend, is_out_of_memory
from jnlp.encoder.windows import Window
from jnlp.errors import RecordError
from jnlp.usage import Usage

CPU = TorchBackend(torch.device("cpu"))


def window(length: int, mark: int) -> Window:
    ids = np.full(length, mark, np.int64)
    zeros = np.zeros_like(ids)
    return Window(ids, zeros, np.stack([zeros, zeros], axis=1), (0, 0), length, (0, length))


def limited(most: int, *, padded: bool = False):
    """A network that has memory for so many tokens, and answers each sequence's first id."""

    def forward(packed, _):
        size = len(packed.lengths) * max(packed.lengths) if padded else sum(packed.lengths)
        if size > most:
            raise MemoryError
        return packed.ids[packed.starts].float()[:, None]

    return forward


@pytest.mark.parametrize("padded", [False, True])
def test_the_budget_is_halved_once_for_all_batches_that_are_too_large(padded):
    usage = Usage()
    runner = BatchRunner(CPU, 1024, usage=usage, pads=padded)
    lengths = [8, 16, 24] * 200
    rows = list(runner.map((window(n, mark) for mark, n in enumerate(lengths)), limited(600, padded=padded)))
    assert [int(row[0]) for row in rows] == list(range(600))
    assert 300 <= runner.budget <= 600
    assert usage.budgets == (1024, runner.budget)


def test_one_sequence_that_does_not_fit_is_told():
    with pytest.raises(RecordError, match="one sequence of 40 tokens"):
        list(BatchRunner(CPU, 64).map([window(8, 0), window(40, 1)], limited(30)))


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 400))
def test_padding_counts_where_there_is_padding(lengths, budget):
    groups = batches(lengths, budget, padded=True)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) * max(lengths[i] for i in group) <= budget or len(group) == 1


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_says_that_memory_is_short(error: Exception, memory: bool) -> None:
    assert is_out_of_memory(error) is memory


def test_torch_says_so_in_these_words_when_it_cannot_allocate() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8).fill_(0)
    assert is_out_of_memory(caught.value)
