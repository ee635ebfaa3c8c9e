"""Scales vectors to length 1, so that their inner product is the cosine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jnlp.types import FloatArray


def unit(vectors: FloatArray, /) -> FloatArray:
    """Return float32 vectors `[n, d]` scaled to length 1; a zero vector stays zero."""
    import numpy as np

    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: FloatArray = (vectors / np.maximum(norms, np.finfo(np.float32).tiny)).astype(np.float32)
    return scaled
