"""A pre-training recipe as a value: everything that determines the result of a run, except the corpus."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, ClassVar

from jnlp.errors import JnlpError
from jnlp.strict_json import dumps
from jnlp.training.schedule import warmup_stable_decay
from jnlp_pretrain.clean import Clean
from jnlp_pretrain.corpus import Source  # noqa: TC001 - pydantic reads the annotations
from jnlp_pretrain.tokenizer_train import SPECIAL, TokenizerRecipe

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKINGS = ("naive", "best-fit", "none")
OPTIMISERS = ("muon", "adamw", "stable-adamw")


@dataclass(frozen=True, slots=True)
class Shape:
    """The model's shape; heads have 64 dimensions, every third layer is global, as in ModernBERT-Ja.

    Args:
        hidden: Width.
        intermediate: Width of the MLP.
        layers: Depth.
        max_length: The model's maximum length in tokens.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    hidden: int = 256
    intermediate: int = 1024
    layers: int = 10
    max_length: int = 8192


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a stage with packs of one length.

    Args:
        length: Maximum tokens of a pack.
        share: The share of the stage's tokens; the shares of a stage sum to 1.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    length: int
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the run, with its own learning-rate schedule and data mix.

    Args:
        tokens: Tokens to train on, including repeats.
        rows: The lengths of packs, one after another. A pack holds pieces of documents, trained as one sequence.
        packing: `naive` cuts a document when a pack is full, `best-fit` combines whole documents, `none` makes each
            document its own pack. Attention never crosses documents.
        mask: The share of tokens to predict (80-10-10).
        warmup: The share of the stage in which the rate rises.
        warmup_tokens: The same in tokens; if over 0, it replaces `warmup`.
        decay: The share of the stage in which the rate falls.
        peak: The factor of the optimiser's rates while they are stable.
        batch: Tokens per step.
        micro_batch: Tokens per forward pass.
        global_theta, local_theta: RoPE bases of the global and the local layers; the last stage's are the model's.
        repeats: The share of sequences of 64 tokens or more that say things twice (a sentence again later, a name),
            with one piece replaced in both places and masked in one, so that the model learns to look far back.
        mix: Weights by source, instead of the sources' own.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    tokens: int
    rows: tuple[Span, ...] = (Span(1024),)
    packing: str = "naive"
    mask: float = 0.3
    warmup: float = 0.02
    warmup_tokens: int = 0
    decay: float = 0.3
    peak: float = 1.0
    batch: int = 8192
    micro_batch: int = 4096
    global_theta: float = 160_000.0
    local_theta: float = 10_000.0
    repeats: float = 0.0
    mix: dict[str, float] = field(default_factory=dict)

    def rate(self, done: float) -> float:
        """Return the factor of the optimiser's rates after the share `done` of the stage."""
        warmup = self.warmup_tokens / self.tokens if self.warmup_tokens else self.warmup
        return self.peak * warmup_stable_decay(done, warmup, self.decay)

    def length(self, done: float) -> int:
        """Return the pack length after the share `done` of the stage."""
        return self.rows[_within([span.share for span in self.rows], done)[0]].length


@dataclass(frozen=True, slots=True)
class Optimisation:
    """The optimiser's settings.

    Args:
        name: `muon` (for the matrices of the layers; AdamW for the rest), `adamw` or `stable-adamw`.
        lr: Peak rate of AdamW.
        matrix_lr: Peak rate of Muon.
        weight_decay: For matrices.
        clip: Largest gradient norm.
        dtype: `bf16` (autocast) or `fp32`.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str = "muon"
    lr: float = 2e-3
    matrix_lr: float = 4e-3
    weight_decay: float = 0.05
    clip: float = 1.0
    dtype: str = "bf16"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole pre-training run.

    Args:
        name: The model's name.
        stages: One after another.
        shape: The model's shape.
        sources: The data; if empty, every file is its own source.
        tokenizer: The tokenizer's training.
        clean: What to remove from the corpus.
        optimisation: The optimiser.
        embeddings: `cooccurrence` initialises token embeddings from PPMI and SVD, `random` as ModernBERT does.
        held_out: The share of documents of each source that is never trained on.
        seed: The random seed.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str
    stages: tuple[Stage, ...]
    shape: Shape = field(default_factory=Shape)
    sources: tuple[Source, ...] = ()
    tokenizer: TokenizerRecipe = field(default_factory=TokenizerRecipe)
    clean: Clean = field(default_factory=Clean)
    optimisation: Optimisation = field(default_factory=Optimisation)
    embeddings: str = "cooccurrence"
    held_out: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        problem = next(_problems(self), None)
        if problem:
            raise JnlpError(f"recipe {self.name}: {problem}")

    @property
    def tokens(self) -> int:
        """The tokens of all stages."""
        return sum(stage.tokens for stage in self.stages)

    def digest(self) -> str:
        """Return a short hash of everything in the recipe."""
        return fingerprint(asdict(self))

    def stage(self, progress: float) -> tuple[int, float]:
        """Return the number of the stage at `progress` in [0, 1] of the run, and the share of it that is done."""
        return _within([stage.tokens / self.tokens for stage in self.stages], progress)

    def rate(self, progress: float) -> float:
        """Return the factor of the optimiser's rates at `progress` in [0, 1] of the run."""
        number, done = self.stage(progress)
        return self.stages[number].rate(done)


def fingerprint(value: object, size: int = 12) -> str:
    """Return a short hash of a JSON value."""
    text = dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:size]


def _within(shares: list[float], progress: float) -> tuple[int, float]:
    """Return the index of the share, of consecutive ones, that contains `progress`, and how much of it is done."""
    start = 0.0
    for number, share in enumerate(shares):
        if progress < start + share - 1e-9:
            return number, max(progress - start, 0.0) / share
        start += share
    return len(shares) - 1, 1.0


def _problems(recipe: Recipe) -> Iterator[str]:
    if not recipe.stages:
        yield "it has no stage"
    yield from _outside(recipe)
    names = [source.name for source in recipe.sources]
    for name in names:
        if names.count(name) > 1:
            yield f"two sources are called {name!r}"
        if name in ("", ".", "..") or set(name) & set("/\\"):
            yield f"{name!r} is not a valid source name: it becomes a part of file names"
    if recipe.shape.hidden % 64:
        yield f"hidden {recipe.shape.hidden} is not a multiple of 64"
    choices = (
        ("embeddings", recipe.embeddings, ("cooccurrence", "random")),
        ("optimisation.name", recipe.optimisation.name, OPTIMISERS),
        ("optimisation.dtype", recipe.optimisation.dtype, ("bf16", "fp32")),
        ("clean.unit", recipe.clean.unit, ("document", "line")),
        *((f"sources.{s.name}.unit", s.unit, ("document", "line")) for s in recipe.sources),
        *((f"stages.{n}.packing", s.packing, PACKINGS) for n, s in enumerate(recipe.stages)),
    )
    for key, value, allowed in choices:
        if value not in allowed:
            yield f"{key} is {value!r}, not one of {', '.join(allowed)}"
    for number, stage in enumerate(recipe.stages):
        for problem in _stage_problems(stage, {source.name for source in recipe.sources}):
            yield f"stages.{number}: {problem}"
        longest = max((span.length for span in stage.rows), default=0)
        if longest > recipe.shape.max_length:
            yield f"stages.{number}: rows of {longest} are longer than shape.max_length, {recipe.shape.max_length}"


def _outside(recipe: Recipe) -> Iterator[str]:
    """Yield a message for each number that is out of range."""
    shape, optimisation = recipe.shape, recipe.optimisation
    yield from _under(1, {f"shape.{key}": getattr(shape, key) for key in ("hidden", "intermediate", "layers")})
    yield from _under(8, {"shape.max_length": shape.max_length})
    yield from _under(len(SPECIAL) + 257, {"tokenizer.vocabulary": recipe.tokenizer.vocabulary})
    yield from _under(1, {f"tokenizer.{key}": getattr(recipe.tokenizer, key) for key in ("characters", "max_piece")})
    yield from _under(0, {f"optimisation.{key}": getattr(optimisation, key) for key in ("weight_decay", "clip")})
    rates = {f"optimisation.{key}": getattr(optimisation, key) for key in ("lr", "matrix_lr")}
    shares = {"held_out": recipe.held_out, "tokenizer.coverage": recipe.tokenizer.coverage}
    for source in recipe.sources:
        yield from _under(0, {f"sources.{source.name}.weight": source.weight})
        shares[f"sources.{source.name}.keep"] = source.keep
    for number, stage in enumerate(recipe.stages):
        of = f"stages.{number}"
        sizes = ("micro_batch", "batch", "global_theta", "local_theta")
        yield from _under(1, {f"{of}.{key}": getattr(stage, key) for key in sizes})
        yield from _under(0, {f"{of}.mix.{name}": weight for name, weight in stage.mix.items()})
        rates[f"{of}.peak"] = stage.peak
        shares |= {f"{of}.{key}": getattr(stage, key) for key in ("mask", "warmup", "decay", "repeats")}
        shares[f"{of}.warmup_tokens / tokens"] = stage.warmup_tokens / max(stage.tokens, 1)
        if not stage.mask:
            yield f"{of}.mask is 0: nothing would be predicted"
    for key, value in rates.items():
        if not 0 < value < math.inf:
            yield f"{key} is {value:g}, not over 0"
    for key, value in shares.items():
        if not 0 <= value <= 1:
            yield f"{key} is {value:g}, not between 0 and 1"


def _under(least: float, values: dict[str, float]) -> Iterator[str]:
    for key, value in values.items():
        if not value >= least:
            yield f"{key} is {value:g}, and has to be {least:g} at least"


def _stage_problems(stage: Stage, sources: set[str]) -> Iterator[str]:
    if stage.tokens < 1:
        yield f"{stage.tokens} tokens are none"
    if abs(sum(span.share for span in stage.rows) - 1) > 1e-6:
        yield "the shares of its rows do not sum to 1"
    for span in stage.rows:
        if span.length < 8:
            yield f"rows of {span.length} tokens are too short"
        elif stage.micro_batch % span.length or stage.batch % stage.micro_batch:
            yield (
                f"rows of {span.length} do not fill a micro-batch of {stage.micro_batch},"
                f" or those a batch of {stage.batch}"
            )
    if unknown := sorted(stage.mix.keys() - sources):
        yield f"its mix names {unknown[0]}, which is not a source"
