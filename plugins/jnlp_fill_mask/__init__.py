"""Fill the masks of a text: a jnlp plugin with one task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp import hookimpl
from jnlp_fill_mask.spec import FILL_MASK, CandidateFill, Fill, Filled, FillMaskOptions, MaskFill, WindowedFilled

if TYPE_CHECKING:
    from jnlp.hookspecs import Register

__all__ = [
    "FILL_MASK",
    "CandidateFill",
    "Fill",
    "FillMaskOptions",
    "Filled",
    "MaskFill",
    "WindowedFilled",
    "register_tasks",
]

jnlp_api = 1


@hookimpl
def register_tasks(register: Register) -> None:
    """Register `fill-mask`."""
    register("fill-mask", "jnlp_fill_mask.spec:FILL_MASK", summary=FILL_MASK.summary)
