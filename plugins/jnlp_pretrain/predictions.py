"""The cross-entropy of predicted tokens and its gradients, a few hundred predictions at a time.

For a whole vocabulary, the logits of a batch, their softmax and its gradient are about 100 MB each, and move through
memory several times. Slices of predictions fit the caches instead. The gradients are computed in the forward pass, so
only those of states, weights and bias are kept for the backward pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from torch import Tensor

SLICE = 256
"""Predictions in a slice: with 20,000 pieces, 10 MB of logits in bf16 and 20 MB of fp32 probabilities."""

_TINY = torch.finfo(torch.float32).tiny  # a true id's probability is at least this: its loss at most 87


def cross_entropy(states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of `softmax(states @ weight.T + bias)`, a scalar in fp32.

    On a CPU it is computed in slices; elsewhere by torch's own functions. Under autocast, products have its dtype; the
    softmax is in fp32.

    Args:
        states: `[m, d]`, m over 0.
        weight: `[vocabulary, d]`.
        bias: `[vocabulary]`, or None.
        targets: The true ids, int64 `[m]`.
    """
    if states.device.type != "cpu":
        return F.cross_entropy(F.linear(states, weight, bias).float(), targets)
    loss: Tensor = _CrossEntropy.apply(states, weight, bias, targets)  # type: ignore[no-untyped-call]
    return loss


class _CrossEntropy(torch.autograd.Function):
    """Computes the gradients of the mean in `forward`; `backward` scales them by the incoming gradient."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        count, vocabulary = len(states), len(weight)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else weight.dtype
        x, w = states.to(dtype), weight.to(dtype)
        b = torch.zeros(vocabulary, dtype=dtype) if bias is None else bias.to(dtype)
        errors = torch.empty((count, vocabulary), dtype=dtype)  # the gradient with respect to the logits
        logits = torch.empty((min(SLICE, count), vocabulary), dtype=dtype)
        softmax = torch.empty(logits.shape)
        grad_states = torch.empty((count, len(w[0])), dtype=dtype)
        grad_bias, loss = torch.zeros(vocabulary), torch.zeros(())
        with torch.autocast("cpu", enabled=False):
            for start in range(0, count, SLICE):
                part = slice(start, min(start + SLICE, count))
                rows, wanted = part.stop - part.start, targets[part, None]
                torch.addmm(b, x[part], w.t(), out=logits[:rows])
                p = torch.softmax(logits[:rows], -1, dtype=torch.float32, out=softmax[:rows])
                of_wanted = p.gather(1, wanted)
                loss -= of_wanted.clamp(min=_TINY).log().sum()
                p.scatter_(1, wanted, of_wanted - 1)
                grad_bias += p.sum(0)
                errors[part] = p
                torch.mm(errors[part], w, out=grad_states[part])
            grad_weight = errors.t() @ x
        ctx.grads = tuple(
            grad.to(of.dtype).div_(count)
            for grad, of in ((grad_states, states), (grad_weight, weight), (grad_bias, weight))
        )
        return loss / count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        grads = [grad.mul_(above) if due else None for grad, due in zip(ctx.grads, ctx.needs_input_grad, strict=False)]
        del ctx.grads
        return *grads, None
