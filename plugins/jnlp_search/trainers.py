"""What the trainers of embedders and rerankers take."""

from __future__ import annotations

from jnlp.training.contrastive import EmbedderOptions
from jnlp.training.reranking import RerankerOptions
from jnlp.types import TrainerSpec

EMBEDDER: TrainerSpec[EmbedderOptions] = TrainerSpec(
    "embedder",
    "Train an embedder from pairs that belong together.",
    EmbedderOptions,
    "jnlp.training.contrastive:make_trainer",
    pairs=True,
)

RERANKER: TrainerSpec[RerankerOptions] = TrainerSpec(
    "reranker",
    "Train a reranker, a cross-encoder, from pairs.",
    RerankerOptions,
    "jnlp.training.reranking:make_trainer",
    pairs=True,
)
