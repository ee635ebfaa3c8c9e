"""Optimisers: AdamW, StableAdamW, and Muon for the matrices of the encoder with AdamW for everything else."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from jnlp.encoder.runtime import has_bf16

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import nn

_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_QUINTIC = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised: for matrices (Jordan et al. 2024, "Muon").

    Matrices of one shape are orthogonalised together, and in fp32 on processors without bf16. `torch.optim.Muon`
    does neither and takes 16 times as long there (docs/log.md). The update has the root mean square 0.2, that of
    AdamW, so that both take the same learning rate (Liu et al. 2025, "Muon is scalable for LLM training", eq. 4).

    Args:
        params: Matrices.
        lr: Learning rate.
        momentum: Nesterov momentum.
        weight_decay: Decoupled decay.
    """

    def __init__(
        self, params: Iterable[Tensor], *, lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update all matrices once."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for param in group["params"]:
                if param.grad is not None:
                    shapes[param.shape].append(param)
            for params in shapes.values():
                self._step_together(params, group["lr"], group["momentum"], group["weight_decay"])

    def _step_together(self, params: list[Tensor], lr: float, momentum: float, weight_decay: float) -> None:
        for param in params:
            if "momentum" not in (state := self.state[param]):
                state["momentum"] = torch.zeros_like(param)
        averages = [self.state[param]["momentum"] for param in params]
        gradients = [cast("Tensor", param.grad) for param in params]
        torch._foreach_lerp_(averages, gradients, 1 - momentum)
        updates = orthogonalise(torch.stack(torch._foreach_lerp(gradients, averages, momentum)))
        rows, columns = params[0].shape
        scale = 0.2 * max(rows, columns) ** 0.5
        torch._foreach_mul_(params, 1 - lr * weight_decay)
        torch._foreach_add_(params, updates.to(params[0].dtype).unbind(), alpha=-lr * scale)


class StableAdamW(torch.optim.Optimizer):
    """AdamW with update clipping (Wortsman et al. 2023, "Stable and low-precision training for large-scale
    vision-language models", algorithm 2): where the second moment lags behind the gradients of a tensor, so that the
    root mean square of g / sqrt(v) is over 1, its rate is divided by that.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate.
        betas: Decay of the moments; both are averages without bias from the first step.
        eps: Added to the root of the second moment.
        weight_decay: Decoupled decay.
    """  # noqa: D205 - the sentence ends after its source

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update all parameters once."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    self._step_one(param, param.grad, group)

    def _step_one(self, param: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[param]
        if not state:
            state |= {"step": 0, "first": torch.zeros_like(param), "second": torch.zeros_like(param)}
        state["step"] += 1
        first, second = (_without_bias(beta, state["step"]) for beta in group["betas"])
        state["first"].lerp_(gradient, 1 - first)
        state["second"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        ratio = (gradient.square() / state["second"].clamp(min=group["eps"] ** 2)).mean().sqrt()
        rate = group["lr"] / ratio.clamp(min=1.0)  # stays on the device: nothing waits for it
        param.mul_(1 - rate * group["weight_decay"])
        param.sub_(rate * state["first"] / state["second"].sqrt().add_(group["eps"]))


def _without_bias(beta: float, step: int) -> float:
    """Return the decay at a step that makes a running average unbiased (Adafactor, section 7.1)."""
    return float(beta * (1 - beta ** (step - 1)) / (1 - beta**step))


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Return matrices `[n, r, c]` with the same singular vectors and singular values near 1 (Newton-Schulz).

    It computes in bf16 where the device does, else in fp32: emulated bf16 is tens of times slower.
    """
    a, b, c = _QUINTIC
    x = matrices.bfloat16() if has_bf16(str(matrices.device)) else matrices.float()
    wide = x.shape[-2] <= x.shape[-1]
    x = x if wide else x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return cast("Tensor", x if wide else x.mT)


def optimisers(
    model: nn.Module, name: str, *, lr: float, matrix_lr: float, weight_decay: float, layer_decay: float = 1.0
) -> list[torch.optim.Optimizer]:
    """Return the optimisers of a model.

    Args:
        model: Its parameters are divided: matrices inside layers, embeddings, and vectors (no decay).
        name: `adamw`, `stable-adamw`, or `muon` (AdamW for embeddings, head and vectors).
        lr: Peak rate of AdamW or StableAdamW.
        matrix_lr: Peak rate of Muon.
        weight_decay: For matrices inside layers and the head.
        layer_decay: What the rate of AdamW is multiplied by for each layer further from the head, and once more for the
            embeddings (Clark et al. 2020, "ELECTRA", appendix B); 1 has one rate.
    """
    matrices, vectors, embeddings, layers = [], [], [], []
    for key, param in model.named_parameters():
        if not param.requires_grad:
            continue
        if param.ndim < 2:
            vectors.append(param)
        elif "embeddings" in key or "decoder" in key:
            embeddings.append(param)
        elif name == "muon" and ".layers." in key:
            layers.append(param)
        else:
            matrices.append(param)
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": [*vectors, *embeddings], "weight_decay": 0.0},
    ]
    if layer_decay < 1:
        groups = _by_depth(model, groups, lr, layer_decay)
    groups = [group for group in groups if group["params"]]
    if name == "stable-adamw":
        return [StableAdamW(groups, lr=lr)]
    adamw = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), eps=1e-8, fused=True)
    return [adamw, Muon(layers, lr=matrix_lr, weight_decay=weight_decay)] if layers else [adamw]


def _by_depth(model: nn.Module, groups: list[dict[str, Any]], lr: float, decay: float) -> list[dict[str, Any]]:
    """Divide groups by the depth of their parameters, each with its rate."""
    names = {id(param): name for name, param in model.named_parameters()}
    found = {name: _LAYER.search(name) for name in names.values()}
    last = 1 + max((int(match[1]) for match in found.values() if match), default=-1)

    def distance(param: Tensor) -> int:
        name = names[id(param)]
        match = found[name]
        return last - int(match[1]) if match else last + 1 if "embeddings" in name else 0

    divided = []
    for group in groups:
        for depth in sorted({distance(param) for param in group["params"]}):
            params = [param for param in group["params"] if distance(param) == depth]
            divided.append(group | {"params": params, "lr": lr * decay**depth})
    return divided


def update(
    model: nn.Module, optimisers: Sequence[torch.optim.Optimizer], factor: float, /, *, clip: float = 0.0
) -> None:
    """Take one step by the gradients that are there, and clear them.

    Args:
        model: Whose gradients are clipped.
        optimisers: The steps' makers, each with its peak rates.
        factor: Of the peak rates, in this step.
        clip: Largest norm of all gradients together; 0 does not clip.
    """
    if clip:
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
        optimiser.step()
        optimiser.zero_grad()


def load_states(optimisers: Sequence[torch.optim.Optimizer], states: Sequence[dict[str, Any]], /) -> None:
    """Bring optimisers to saved states; their peak rates stay those that they were made with."""
    for optimiser, state in zip(optimisers, states, strict=True):
        peaks = [group.get("initial_lr", group["lr"]) for group in optimiser.param_groups]
        optimiser.load_state_dict(state)
        for group, peak in zip(optimiser.param_groups, peaks, strict=True):
            group["initial_lr"] = peak
