"""A pre-training recipe as a value: everything that decides what a run makes, but for the corpus."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import ClassVar

from jnlp.errors import JnlpError
from jnlp.training.corpus import Source  # noqa: TC001 - pydantic reads the annotations
from jnlp.training.tokenizer_train import TokenizerRecipe


@dataclass(frozen=True, slots=True)
class Shape:
    """The model's shape; heads have 64 dimensions, every third layer is global, as in ModernBERT-Ja.

    Args:
        hidden: Width.
        intermediate: Width of the MLP.
        layers: Depth.
        max_length: Longest sequence the model says it reads.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    hidden: int = 256
    intermediate: int = 1024
    layers: int = 10
    max_length: int = 8192


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the run.

    Args:
        length: Tokens in a row.
        share: The share of the run's tokens; the shares of a recipe are 1 together.
        mask: The share of tokens to predict.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    length: int
    share: float
    mask: float = 0.3


@dataclass(frozen=True, slots=True)
class Optimisation:
    """How the weights move.

    Args:
        name: `muon` (for the matrices of the layers; AdamW for the rest) or `adamw`.
        lr: Peak rate of AdamW.
        matrix_lr: Peak rate of Muon.
        weight_decay: For matrices.
        warmup, decay: The shares of the run over which the rate goes up and down.
        batch: Tokens a step.
        micro_batch: Tokens a forward pass.
        clip: Largest gradient norm.
        dtype: `bf16` (autocast) or `fp32`.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str = "muon"
    lr: float = 2e-3
    matrix_lr: float = 4e-3
    weight_decay: float = 0.05
    warmup: float = 0.02
    decay: float = 0.3
    batch: int = 8192
    micro_batch: int = 4096
    clip: float = 1.0
    dtype: str = "bf16"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole pre-training run.

    Args:
        name: The model's name.
        tokens: Tokens to train on, repeats included.
        shape: The model's shape.
        stages: One after another.
        sources: The data mix; none: every file is a source of its own.
        tokenizer: The tokenizer's training.
        optimisation: The optimiser and the schedule.
        embeddings: `cooccurrence` starts token embeddings from PPMI and SVD, `random` as ModernBERT does.
        held_out: The share of documents of each source that is never trained on.
        seed: Of everything that is drawn.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str
    tokens: int
    shape: Shape = field(default_factory=Shape)
    stages: tuple[Stage, ...] = (Stage(length=1024, share=1.0),)
    sources: tuple[Source, ...] = ()
    tokenizer: TokenizerRecipe = field(default_factory=TokenizerRecipe)
    optimisation: Optimisation = field(default_factory=Optimisation)
    embeddings: str = "cooccurrence"
    held_out: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if abs(sum(stage.share for stage in self.stages) - 1) > 1e-6:
            raise JnlpError(f"recipe {self.name}: the shares of the stages are not 1 together")
        if self.shape.hidden % 64:
            raise JnlpError(f"recipe {self.name}: hidden {self.shape.hidden} is not a multiple of 64")
        choices = (
            ("embeddings", self.embeddings, ("cooccurrence", "random")),
            ("optimisation.name", self.optimisation.name, ("muon", "adamw")),
            ("optimisation.dtype", self.optimisation.dtype, ("bf16", "fp32")),
            *((f"sources.{s.name}.unit", s.unit, ("document", "line")) for s in self.sources),
        )
        for key, value, allowed in choices:
            if value not in allowed:
                raise JnlpError(f"recipe {self.name}: {key} is {value!r}, not one of {', '.join(allowed)}")
        for stage in self.stages:
            if self.optimisation.micro_batch % stage.length or self.optimisation.batch % self.optimisation.micro_batch:
                raise JnlpError(
                    f"recipe {self.name}: rows of {stage.length} do not fill a micro-batch of"
                    f" {self.optimisation.micro_batch}, or those a batch of {self.optimisation.batch}"
                )

    def digest(self) -> str:
        """Return a short hash of everything in the recipe."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def stage(self, progress: float) -> int:
        """Return the number of the stage at `progress` in [0, 1]."""
        done = 0.0
        for number, stage in enumerate(self.stages):
            done += stage.share
            if progress < done - 1e-9:
                return number
        return len(self.stages) - 1
