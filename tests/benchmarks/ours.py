"""jnlp as a contender: token ids in, mean-pooled vectors out, through the encoder that every task uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.benchmarks.contenders import THREADS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.benchmarks.serve import Runs


def load(precision: str, folder: Path) -> Runs:
    """Load a folder; the batch size is jnlp's own choice, in tokens."""
    from jnlp.encoder.load import Runtime, load_embedder
    from jnlp.encoder.pooling import pool
    from jnlp.encoder.windows import Window

    embedder = load_embedder(folder, runtime=Runtime(device="cpu", dtype=precision, threads=THREADS))
    encoder, runner = embedder._encoder, embedder._reader.runner

    def window(ids: NDArray[np.int64]) -> Window:
        zeros = np.zeros_like(ids)
        return Window(ids, zeros, np.stack([zeros, zeros], axis=1), (0, 0), len(ids), (0, len(ids)))

    def runs(texts: Sequence[NDArray[np.int64]], batch: int, /) -> NDArray[np.float32]:
        rows = runner.map(map(window, texts), lambda packed, _: pool(encoder(packed), packed, embedder.pooling))
        return np.asarray(list(rows), dtype=np.float32)

    return runs
