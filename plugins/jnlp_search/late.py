"""Late chunking: a document goes through the model as a whole, and each passage pools its own tokens' states.

So a passage knows its surroundings: whom 同社 means, which contract 本契約 is (Günther et al. 2024, "Late chunking").
Documents over the model's length go through in overlapping windows, and each token's state is that of the window in
which it has most text around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jnlp.types import Purpose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Embedder, FloatArray


def late_vectors(embedder: Embedder, text: str, spans: Sequence[tuple[int, int]], /) -> FloatArray:
    """Return the mean state of the tokens of each passage, float32 `[n, d]`.

    Args:
        embedder: A model whose vectors are means over tokens.
        text: The document.
        spans: The offsets of its passages, ascending.
    """
    sums = np.zeros((len(spans), embedder.dimension), np.float32)
    counts = np.zeros(len(spans), np.int64)
    starts, stops = (np.array(side, np.int64) for side in zip(*spans, strict=True)) if spans else (counts, counts)
    for window in embedder.states(text, purpose=Purpose.DOCUMENT):
        own = slice(*window.core)
        offsets, states = window.offsets[own], window.states[own]
        real = offsets[:, 1] > offsets[:, 0]  # special tokens and the prefix have the span (0, 0)
        offsets, states = offsets[real], states[real]
        if not len(offsets):
            continue
        # passages that meet the window, and of each the tokens that meet it
        first = int(np.searchsorted(stops, offsets[0, 0], side="right"))
        last = int(np.searchsorted(starts, offsets[-1, 1], side="left"))
        for passage in range(first, last):
            low = int(np.searchsorted(offsets[:, 1], starts[passage], side="right"))
            high = int(np.searchsorted(offsets[:, 0], stops[passage], side="left"))
            sums[passage] += states[low:high].sum(axis=0)
            counts[passage] += high - low
    lost = [passage for passage, count in enumerate(counts.tolist()) if not count]
    if lost:  # no token is in them: they are embedded alone
        alone = [text[slice(*spans[passage])] for passage in lost]
        sums[lost] = embedder.embed(alone, purpose=Purpose.DOCUMENT).vectors
    return np.divide(sums, np.maximum(counts, 1)[:, None], dtype=np.float32)
