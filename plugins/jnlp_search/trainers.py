"""The specs of the trainers of embedders and rerankers."""

from __future__ import annotations

from jnlp.training.embedder.reranker import RerankerOptions
from jnlp.training.embedder.trainer import EmbedderOptions
from jnlp.types import TrainerSpec

EMBEDDER: TrainerSpec[EmbedderOptions] = TrainerSpec(
    "embedder",
    "Train an embedder from pairs of related texts.",
    EmbedderOptions,
    "jnlp.training.embedder.trainer:make_trainer",
    pairs=True,
    single="teacher",
)

RERANKER: TrainerSpec[RerankerOptions] = TrainerSpec(
    "reranker",
    "Train a reranker, a cross-encoder, from pairs.",
    RerankerOptions,
    "jnlp.training.embedder.reranker:make_trainer",
    pairs=True,
)
