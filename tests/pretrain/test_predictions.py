"""The sliced cross-entropy is the cross-entropy, and so are its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import nn

from jnlp_pretrain.predictions import SLICE, cross_entropy

if TYPE_CHECKING:
    from torch import Tensor

VOCABULARY, WIDTH = 300, 32


def _plain(states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(states, weight, bias).float(), targets)


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("count", [1, SLICE - 1, SLICE, 2 * SLICE + 3])
def test_slices_give_the_loss_and_gradients_of_the_whole(count: int, *, bias: bool, bf16: bool) -> None:
    torch.manual_seed(count)
    states = torch.randn(count, WIDTH, requires_grad=True)
    weight = nn.Parameter(torch.randn(VOCABULARY, WIDTH) * 0.3)
    given = nn.Parameter(torch.randn(VOCABULARY)) if bias else None
    inputs = [x for x in (states, weight, given) if x is not None]
    targets = torch.randint(0, VOCABULARY, (count,))
    found = []
    for compute in (cross_entropy, _plain):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = compute(states, weight, given, targets) / 3
        found.append((loss.detach(), *torch.autograd.grad(loss, inputs)))
    for ours, theirs in zip(*found, strict=True):
        assert ours.dtype == theirs.dtype
        assert float((ours - theirs).abs().max() / theirs.abs().max()) < (0.02 if bf16 else 1e-5)


def test_what_was_thought_impossible_costs_much_and_not_without_end() -> None:
    states, weight = torch.tensor([[100.0, 0.0]], requires_grad=True), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    loss = cross_entropy(states, weight, None, torch.tensor([1]))
    loss.backward()
    assert loss.item() == pytest.approx(87.3, abs=0.1)
    assert states.grad is not None
    assert states.grad.tolist() == [[2.0, 0.0]]  # as for any finite loss


def test_weights_that_do_not_learn_get_no_gradient() -> None:
    states, weight = torch.randn(3, WIDTH, requires_grad=True), torch.randn(VOCABULARY, WIDTH)
    cross_entropy(states, weight, None, torch.tensor([1, 2, 3])).backward()
    assert states.grad is not None
    assert weight.grad is None
