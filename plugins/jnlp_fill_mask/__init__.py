"""Fill the masks of a text: a jnlp plugin with one task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp import hookimpl
from jnlp.lazy import attributes

if TYPE_CHECKING:
    from jnlp.hookspecs import Register
    from jnlp_fill_mask.spec import FILL_MASK, CandidateFill, Fill, Filled, FillMaskOptions, MaskFill, WindowedFilled

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
    register("fill-mask", "jnlp_fill_mask.spec:FILL_MASK", summary="Fill the masks of a text.")


if not TYPE_CHECKING:
    __getattr__ = attributes(__name__, {"jnlp_fill_mask.spec": [name for name in __all__ if name not in globals()]})
