"""Embeddings in shared batches: for the routes, and for the queries of searches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.types import Embeddings, Overflow, Purpose
from jnlp_serve.batching import Lane
from jnlp_serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jnlp.engine import Engine
    from jnlp.types import Chunker, Classifier, Embedder, FloatArray, MaskedLM, Models, Pooling, TokenStates
    from jnlp_serve.service import Service

AT_ONCE = 8
"""Texts of one call that go through the batcher; larger calls (indexing) are batches by themselves."""


@dataclass(frozen=True, slots=True)
class EmbedKey:
    """What texts of one batch have in common: the purpose, and what is done with long ones."""

    purpose: Purpose = Purpose.SIMILARITY
    overflow: Overflow | None = None


@dataclass(frozen=True, slots=True)
class Embedded:
    """One text's vector, float32 `[d]`, not normalised, and its counts as in `Embeddings`."""

    vector: FloatArray
    windows: int
    cut: int
    tokens: int


def embed_lane(embedder: Embedder, key: EmbedKey, /) -> Lane:
    """Return the lane of an embedder."""

    def apply(texts: Sequence[Any], /) -> list[Embedded]:
        made = embedder.embed(texts, purpose=key.purpose, overflow=key.overflow)
        tokens = made.windows if made.tokens is None else made.tokens
        rows = zip(made.vectors, made.windows.tolist(), made.cut.tolist(), tokens.tolist(), strict=True)
        return [Embedded(*row) for row in rows]

    return Lane("embed", apply)


def states_lane(embedder: Embedder, purpose: Purpose, /) -> Lane:
    """Return the lane that gives the states of each text's tokens: float32 `[t, d]`, special tokens included."""

    def apply(texts: Sequence[Any], /) -> list[FloatArray]:
        return [
            np.concatenate(
                [part.states[part.core[0] : part.core[1]] for part in embedder.states(text, purpose=purpose)]
            )
            for text in texts
        ]

    return Lane("embed_all", apply)


def _core(part: TokenStates) -> FloatArray:
    return part.states[part.core[0] : part.core[1]]


def purpose_of(name: str | None, /, where: str = "prompt_name") -> Purpose:
    """Return the purpose that a client calls `name`; None is the similarity of texts.

    Raises:
        ApiError: There is no such purpose.
    """
    if name is None:
        return Purpose.SIMILARITY
    known = {purpose.value: purpose for purpose in Purpose} | {"passage": Purpose.DOCUMENT, "sts": Purpose.SIMILARITY}
    if name not in known:
        raise ApiError(422, f"{where}: there is no '{name[:80]}'", hint=f"one of {', '.join(known)}")
    return known[name]


def vectors_of(found: Sequence[Embedded], /, *, unit: bool, dimensions: int | None = None) -> FloatArray:
    """Return vectors, float32 `[n, d]`, cut to the first dimensions and scaled to length 1 if asked.

    Raises:
        ApiError: There are more dimensions asked for than the model has.
    """
    from jnlp.encoder.vectors import unit as scaled

    vectors = np.stack([one.vector for one in found])
    if dimensions is not None and dimensions > vectors.shape[1]:
        raise ApiError(422, f"dimensions: the model has {vectors.shape[1]}")
    vectors = vectors[:, :dimensions]
    return scaled(vectors) if unit else vectors


class ServedModels:
    """The engine as indexes see it: the queries of concurrent searches are embedded in shared batches."""

    def __init__(self, engine: Engine, service: Service, /) -> None:
        self._engine, self._service = engine, service
        self._lanes: dict[tuple[str, EmbedKey], Lane] = {}

    @property
    def settings(self) -> Any:
        """The engine's settings."""
        return self._engine.settings

    def specs(self) -> Any:
        """Return the registered models by name."""
        return self._engine.specs()

    def readers(self) -> dict[str, Callable[[], object]]:
        """Return the readers by file name ending."""
        return self._engine.readers()

    def store(self, name: str, /) -> Any:
        """Return a kind of index."""
        return self._engine.store(name)

    def chunker(self, name: str, /) -> Chunker:
        """Return a chunker."""
        return self._engine.chunker(name)

    def models(self, asked: str | None = None, default: str | None = None, /) -> Models:
        """Return models whose embedders share batches."""
        return _Models(self._engine.models(asked, default), self)

    def share(self, embedder: Embedder, texts: Sequence[str], key: EmbedKey) -> Embeddings:
        """Embed texts in a batch with those of other requests; waits for them."""
        lane = self._lanes.setdefault((embedder.fingerprint, key), embed_lane(embedder, key))
        found = self._service.batcher.submit(lane, texts).future.result()
        for result in found:
            if isinstance(result, BaseException):
                raise result
        counts = [np.asarray([getattr(one, name) for one in found]) for name in ("windows", "cut", "tokens")]
        return Embeddings(np.stack([one.vector for one in found]), *counts)


class _Models:
    """Models whose embedder shares batches; the other heads are the engine's own."""

    def __init__(self, models: Models, shared: ServedModels) -> None:
        self._models, self._shared = models, shared

    def embedder(self, model: str | None = None, /, *, pooling: Pooling | None = None, bulk: bool = False) -> Embedder:
        made: Any = _SharedEmbedder(self._models.embedder(model, pooling=pooling, bulk=bulk), self._shared)
        return made  # type: ignore[no-any-return]

    def masked_lm(self, model: str | None = None, /) -> MaskedLM:
        return self._models.masked_lm(model)

    def classifier(self, model: str | None = None, /) -> Classifier:
        return self._models.classifier(model)


class _SharedEmbedder:
    """An embedder that embeds a few texts at once through the batcher, and is otherwise the model's own."""

    def __init__(self, embedder: Embedder, shared: ServedModels) -> None:
        self._embedder, self._shared = embedder, shared

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    def embed(
        self, texts: Sequence[str], /, *, purpose: Purpose = Purpose.SIMILARITY, overflow: Overflow | None = None
    ) -> Embeddings:
        if not 0 < len(texts) <= AT_ONCE:
            return self._embedder.embed(texts, purpose=purpose, overflow=overflow)
        return self._shared.share(self._embedder, texts, EmbedKey(purpose, overflow))
