"""The task `embed`: texts to vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from jnlp.errors import UsageError
from jnlp.types import Option, Pooling, Purpose, TaskSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Apply, FloatArray, Models


@dataclass(frozen=True, slots=True)
class EmbedOptions:
    """Options of `embed`."""

    purpose: Annotated[Purpose, Option(help="What the vectors are for; the model supplies the prefix.")] = (
        Purpose.SIMILARITY
    )
    pooling: Annotated[Pooling | None, Option(help="How token states become one vector; default: the model's.")] = None
    unit_length: Annotated[bool, Option(help="Scale vectors to length 1, so that a dot product is the cosine.")] = True
    dimension: Annotated[
        int | None, Option(help="Keep only the first N dimensions (for Matryoshka models).", ge=1, metavar="N")
    ] = None


@dataclass(frozen=True, slots=True)
class Embedding:
    """A text's vector: float32 `[d]`."""

    vector: FloatArray


EMBED: TaskSpec[EmbedOptions, Embedding] = TaskSpec(
    "embed",
    "Turn texts into vectors.",
    EmbedOptions,
    make="jnlp.embed:make",
    result=Embedding,
    rows="jnlp.embed:rows",
)


def make(models: Models, options: EmbedOptions, /) -> Apply[Embedding]:
    """Return the function from texts to vectors."""
    from jnlp.encoder.vectors import unit

    embedder = models.embedder(pooling=options.pooling)
    if options.dimension is not None and options.dimension > embedder.dimension:
        raise UsageError(
            f"--dimension {options.dimension} is more than the model has", hint=f"it has {embedder.dimension}"
        )

    def apply(texts: Sequence[object]) -> list[Embedding]:
        vectors = embedder.embed([str(text) for text in texts], purpose=options.purpose).vectors
        vectors = vectors[:, : options.dimension]
        if options.unit_length:
            vectors = unit(vectors)
        return [Embedding(vector) for vector in vectors]

    return apply


def rows(text: str, result: Embedding, /) -> list[dict[str, str]]:
    """Return the row of the terminal table: the text, the dimension, and the first numbers."""
    head = " ".join(f"{value:+.3f}" for value in result.vector[:6])
    return [{"text": text, "dimension": str(len(result.vector)), "vector": f"{head} …"}]
