"""`python -m jnlp.encoder.forms.kernels.check LIBRARY`: tries newly built kernels against plain torch.

A miscompiled library can give wrong results or crash the process.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from jnlp.encoder.forms import kernels as built

if TYPE_CHECKING:
    from torch import Tensor

    from jnlp.encoder.forms.kernels.library import Kernels
    from jnlp.encoder.modernbert import ModernBert
    from jnlp.encoder.packing import Packed

LEAST = {"fp32": 0.99999, "bf16": 0.999, "int8": 0.99}
"""Minimum cosine between a token's states and the reference in fp32."""

_LENGTHS = (1, 33, 150, 300)


def problem(kernels: Kernels, /) -> str | None:
    """Return what is wrong with the kernels' answers, or None."""
    from jnlp.encoder.packing import pack

    generator = torch.Generator().manual_seed(0)
    packed = pack([torch.randint(7, 90, (n,), generator=generator).numpy() for n in _LENGTHS])
    with torch.inference_mode():
        wanted = _model()(packed)
        for precision, least in LEAST.items():
            if precision != "fp32" and precision not in kernels.steps:
                continue
            cosine = float(F.cosine_similarity(_answer(precision, packed).float(), wanted).min())
            if not cosine >= least:
                return f"in {precision} a state has a cosine of {cosine:.4f} to plain torch's, under {least}"
    return None


def _model() -> ModernBert:
    from jnlp.encoder.modernbert import ModernBert, ModernBertConfig

    config = ModernBertConfig(
        vocab_size=96, hidden_size=128, intermediate_size=192, num_hidden_layers=4, num_attention_heads=2
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ModernBert(config).requires_grad_(requires_grad=False).eval()


def _answer(precision: str, packed: Packed) -> Tensor:
    from jnlp.encoder.forms.cpu_kernels import compile_steps
    from jnlp.encoder.forms.cpu_torch import TorchForward

    model = _model()
    if precision == "fp32":
        return TorchForward(model)(packed)
    made = compile_steps(model.bfloat16(), precision, lambda _, make: make())
    assert made is not None  # the model fits the kernels
    return made(packed)


def main(library: str, /) -> int:
    """Print what is wrong with a library, if anything, and return the exit status."""
    try:
        made = built.open_library(Path(library))
    except (OSError, AttributeError) as error:
        sys.stdout.write(f"it does not load ({error})\n")
        return 1
    with built.trial(made):
        wrong = problem(made)
    if wrong:
        sys.stdout.write(f"{wrong}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
