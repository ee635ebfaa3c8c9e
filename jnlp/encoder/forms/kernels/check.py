"""`python -m jnlp.encoder.forms.kernels.check KIND LIBRARY`: tries newly built kernels against plain torch.

A miscompiled library can give wrong results or crash the process. `… check build` builds the kernels instead.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from jnlp.encoder.forms import kernels as built
from jnlp.encoder.forms.kernels.binding import Binding
from jnlp.errors import JnlpError

if TYPE_CHECKING:
    from torch import Tensor

    from jnlp.encoder.modernbert import ModernBert
    from jnlp.encoder.packing import Packed

LEAST = {"fp32": 0.99999, "bf16": 0.999, "int8": 0.99}
"""Minimum cosine between a token's states and the reference in fp32."""

_LENGTHS = (1, 33, 150, 300)
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def problem(binding: Binding, /) -> str | None:
    """Return what is wrong with the kernels' answers, or None."""
    from jnlp.encoder.packing import pack

    generator = torch.Generator().manual_seed(0)
    packed = pack([torch.randint(7, 90, (n,), generator=generator).numpy() for n in _LENGTHS])
    with torch.inference_mode():
        wanted = _model()(packed)
        with built.trial(binding):
            for products, states in binding.steps:
                cosine = float(F.cosine_similarity(_answer(products, states, packed).float(), wanted).min())
                if not cosine >= (least := min(LEAST[products], LEAST[states])):
                    return f"in {products} a state has a cosine of {cosine:.4f} to plain torch's, under {least}"
    return None


def _model() -> ModernBert:
    from jnlp.encoder.attention import reference
    from jnlp.encoder.modernbert import ModernBert, ModernBertConfig

    config = ModernBertConfig(
        vocab_size=96, hidden_size=128, intermediate_size=192, num_hidden_layers=4, num_attention_heads=2
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ModernBert(config).requires_grad_(requires_grad=False).eval()
    model.attend = reference
    return model


def _answer(products: str, states: str, packed: Packed) -> Tensor:
    from jnlp.encoder.forms.cpu_kernels import compile_steps

    made = compile_steps(_model().to(_DTYPES[states]), products, lambda _, make: make())
    assert made is not None  # the model fits the kernels
    return made(packed)


def main(arguments: list[str], /) -> int:
    """Print what is wrong with a library, if anything, and return the exit status."""
    if arguments == ["build"]:
        built.build()
        return 0
    kind, library = arguments
    try:
        made = Binding(Path(library), next(each for each in built.KINDS if each.name == kind))
    except (OSError, AttributeError) as error:
        sys.stdout.write(f"it does not load ({error})\n")
        return 1
    wrong = problem(made)
    if wrong:
        sys.stdout.write(f"{wrong}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except JnlpError as error:
        sys.exit(str(error))
