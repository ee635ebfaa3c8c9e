"""Vectors of queries and passages as the index keeps and compares them: of length 1, and finite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.encoder.vectors import unit
from jnlp.errors import JnlpError
from jnlp.types import Purpose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Embedder, FloatArray


def embed_passages(embedder: Embedder, model: str, texts: Sequence[str], /) -> FloatArray:
    """Return the vectors of passages, float32 `[n, d]` of length 1; arguments and errors as in `checked_unit`."""
    return checked_unit(embedder.embed(texts, purpose=Purpose.DOCUMENT).vectors, model)


def checked_unit(vectors: FloatArray, model: str, /) -> FloatArray:
    """Return a model's vectors `[n, d]` scaled to length 1.

    Args:
        vectors: As the model gave them.
        model: Its name, for the message.

    Raises:
        JnlpError: A number is NaN or infinite.
    """
    import numpy as np

    scaled = unit(vectors)
    if not np.isfinite(scaled).all():
        raise JnlpError(
            f"model {model} gives vectors that are not finite", hint="its weights are damaged: fetch it again"
        )
    return scaled
