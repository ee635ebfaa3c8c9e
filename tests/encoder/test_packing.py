"""One row of tokens, and batches under a budget."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jnlp.encoder.packing import batches, pack
from jnlp.encoder.pooling import PIECE, mean_of_pieces, pool
from jnlp.types import Pooling

lengths = st.lists(st.integers(1, 60), max_size=40)


def test_pack():
    packed = pack([[5, 6, 7], [8], [9, 10]], types=[[0, 0, 1], [0], [1, 1]])
    assert packed.ids.tolist() == [5, 6, 7, 8, 9, 10]
    assert packed.positions.tolist() == [0, 1, 2, 0, 0, 1]
    assert packed.cu_seqlens.tolist() == [0, 3, 4, 6]
    assert packed.starts.tolist() == [0, 3, 4]
    assert packed.lengths == (3, 1, 2)
    assert packed.types.tolist() == [0, 0, 1, 0, 1, 1]


@pytest.mark.parametrize("sequences", [[], [[1], []]])
def test_pack_refuses_nothing(sequences):
    with pytest.raises(ValueError, match="at least one"):
        pack(sequences)


@given(lengths, st.integers(1, 100))
def test_batches_take_each_once_under_the_budget(lengths, budget):
    groups = batches(lengths, budget)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        assert sum(lengths[i] for i in group) <= budget or len(group) == 1
    ordered = [lengths[i] for group in groups for i in group]
    assert ordered == sorted(lengths, reverse=True)


def test_pool():
    import torch

    packed = pack([[1, 1, 1], [1], [1, 1]])
    states = torch.arange(12.0).view(6, 2)
    assert pool(states, packed, Pooling.CLS).tolist() == [[0, 1], [6, 7], [8, 9]]
    assert pool(states, packed, Pooling.MEAN).tolist() == [[2, 3], [6, 7], [9, 10]]
    assert pool(states.bfloat16(), packed, Pooling.MEAN).dtype == torch.float32
    np.testing.assert_array_equal(pool(states, packed, Pooling.MEAN)[0], states[:3].mean(0))


def test_pieces_give_the_mean_of_the_whole_and_its_gradient():
    import torch

    packed = pack([[1] * length for length in (1, 300, PIECE, 2 * PIECE, PIECE + 1, 5)])
    states = torch.randn(len(packed.ids), 3)
    found = []
    for mean in (mean_of_pieces, lambda x, batch: pool(x, batch, Pooling.MEAN)):
        leaf = states.clone().requires_grad_()
        vectors = mean(leaf, packed)
        (vectors * torch.arange(1.0, 7)[:, None]).sum().backward()
        found.append((vectors, leaf.grad))
    for got, wanted in zip(*found, strict=True):
        torch.testing.assert_close(got, wanted)
