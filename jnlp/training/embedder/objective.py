"""The objective of fitting an embedder: steps of several kinds of rows, and the scores that select the epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from jnlp.encoder.vectors import unit
from jnlp.training.embedder.grad_cache import backward
from jnlp.training.embedder.hard_negatives import by_document, mine
from jnlp.training.embedder.losses import (
    also_answers,
    cosent,
    info_nce,
    match_rankings,
    match_similarities,
    match_vectors,
)
from jnlp.training.embedder.pair_batches import draw, pair_batches
from jnlp.training.embedder.scoring import evaluate
from jnlp.training.epochs import Stateless

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from jnlp.training.embedder.pair_batches import Batch, GradedIds, Ids, PairIds, TextIds
    from jnlp.training.embedder.scoring import Held
    from jnlp.training.embedder.sequences import SequenceEncoder


@dataclass(frozen=True, slots=True)
class Contrast:
    """How vectors are compared in the losses.

    Args:
        batch_size: Documents per step.
        temperature: Of InfoNCE.
        symmetric: Train documents to find their queries too.
        widths: Widths at which the loss is taken, the full one among them.
        mine: Hard negatives that a document meets in its batch, from the second epoch on.
        grouped: In the first epoch they are other documents of its group.
        margin: See `hard_negatives.mine`.
        skip: Likewise.
        graded_temperature: Of CoSENT; its paper multiplies cosines by 20.
    """

    batch_size: int
    temperature: float
    symmetric: bool
    widths: tuple[int, ...]
    mine: int = 0
    margin: float = 0.95
    skip: int = 0
    graded_temperature: float = 0.05
    grouped: bool = False


@dataclass(frozen=True, slots=True)
class Lesson:
    """How a teacher's vectors are learned from.

    Args:
        projection: From the model's width to the teacher's; trained along, and left behind.
        weight: The weight of the teacher's losses; the rows' own losses have 1.
        temperature: What the teacher's cosines are divided by.
        margin: Documents that it finds nearer than this share of the answer's cosine are no negatives; 0: all are.
    """

    projection: nn.Linear
    weight: float
    temperature: float
    margin: float

    def loss(self, vectors: Tensor, taught: NDArray[np.float32], contrast: Contrast, /) -> Tensor:
        """Return the loss of single texts: their vectors and their similarities against the teacher's."""
        goal = torch.from_numpy(taught).to(vectors.device)
        losses = (
            match_vectors(vectors[:, :w], goal, self.projection.weight)
            + match_similarities(vectors[:, :w], goal, contrast.temperature, self.temperature)
            for w in contrast.widths
        )
        return self.weight * _mean(losses)


@dataclass(frozen=True, slots=True)
class Step:
    """Sequences of one step, the loss of their vectors, and a function that gets the vectors afterwards."""

    sequences: list[Ids]
    loss: Callable[[Tensor], Tensor]
    seen: Callable[[Tensor], None] = lambda _: None


class Rows(Protocol):
    """Rows of one kind, from which an epoch takes its steps."""

    def steps(self, epoch: int, rng: np.random.Generator, /) -> Iterator[Step]:
        """Yield the steps of an epoch; they depend on `rng` and on `state()` alone."""
        ...

    def state(self) -> dict[str, Any]:
        """Return the state that further steps depend on."""
        ...

    def load_state(self, state: dict[str, Any], /) -> None:
        """Go back to where `state` was taken."""
        ...


class PairRows:
    """Queries with their documents: InfoNCE, with hard negatives found by the vectors of the epoch before."""

    def __init__(self, data: PairIds, contrast: Contrast, width: int, lesson: Lesson | None = None, /) -> None:
        self.data, self.contrast, self.lesson = data, contrast, lesson
        wanted = contrast.mine > 0
        self._queries = np.zeros((len(data.queries) if wanted else 0, width), np.float32)
        self._documents = np.zeros((len(data.documents) if wanted else 0, width), np.float32)
        self._near: list[list[int]] | None = None
        self._mined = 0  # the epoch whose negatives are there

    def steps(self, epoch: int, rng: np.random.Generator, /) -> Iterator[Step]:
        """Yield batches of documents with their queries; from the second epoch on hard negatives are with them."""
        if self.contrast.mine and epoch != self._mined:
            self._near, self._mined = self._find_near(), epoch
        near = self.data.siblings if self.contrast.grouped and not epoch else self._near
        batches = pair_batches(self.data, rng, self.contrast.batch_size, near=near, count=self.contrast.mine)
        for batch in batches:
            yield self._step(batch)

    def _step(self, batch: Batch) -> Step:
        data, contrast = self.data, self.contrast
        asked = len(batch.queries)

        def loss(vectors: Tensor) -> Tensor:
            owner, hidden = (torch.from_numpy(x).to(vectors.device) for x in (batch.owner, batch.hidden))
            queries, documents = vectors[:asked], vectors[asked:]
            taught = self._taught(batch, vectors.device)
            extra = vectors.new_zeros(())
            if self.lesson is not None and taught is not None:
                extra = self._taught_loss(queries, documents, taught, hidden)
                if self.lesson.margin:
                    hidden = hidden | also_answers(taught, owner, self.lesson.margin)
            args = (owner, hidden, contrast.temperature, contrast.symmetric)
            return extra + _mean(info_nce(queries[:, :w], documents[:, :w], *args) for w in contrast.widths)

        def seen(vectors: Tensor) -> None:
            rows = vectors.cpu().numpy()
            self._queries[batch.queries], self._documents[batch.documents] = rows[:asked], rows[asked:]

        sequences = [data.queries[i] for i in batch.queries] + [data.documents[i] for i in batch.documents]
        return Step(sequences, loss, seen) if contrast.mine else Step(sequences, loss)

    def _taught(self, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor] | None:
        if self.data.taught is None:
            return None
        queries, documents = self.data.taught
        return (
            torch.from_numpy(queries[batch.queries]).to(device),
            torch.from_numpy(documents[batch.documents]).to(device),
        )

    def _taught_loss(self, queries: Tensor, documents: Tensor, taught: tuple[Tensor, Tensor], hidden: Tensor) -> Tensor:
        """Return the teacher's loss: soft labels over the documents, and the vectors of both sides."""
        lesson, contrast = self.lesson, self.contrast
        assert lesson is not None
        temperatures = (contrast.temperature, lesson.temperature)
        losses = (
            match_rankings(queries[:, :w], documents[:, :w], taught, hidden, *temperatures)
            + match_vectors(queries[:, :w], taught[0], lesson.projection.weight)
            + match_vectors(documents[:, :w], taught[1], lesson.projection.weight)
            for w in contrast.widths
        )
        return lesson.weight * _mean(losses)

    def _find_near(self) -> list[list[int]]:
        data, contrast = self.data, self.contrast
        found = mine(
            unit(self._queries),
            unit(self._documents),
            data.positives,
            2 * contrast.mine,
            margin=contrast.margin,
            skip=contrast.skip,
        )
        return by_document(data.owner, found, len(data.documents))

    def state(self) -> dict[str, Any]:
        """Return the vectors seen last and the negatives of this epoch."""
        vectors = {"queries": torch.from_numpy(self._queries), "documents": torch.from_numpy(self._documents)}
        return vectors | {"near": self._near, "mined": self._mined}

    def load_state(self, state: dict[str, Any], /) -> None:
        """Go back to them."""
        self._queries[:], self._documents[:] = state["queries"].cpu().numpy(), state["documents"].cpu().numpy()
        self._near, self._mined = state["near"], state["mined"]


class GradedRows(Stateless):
    """Pairs with a grade: CoSENT."""

    def __init__(self, data: GradedIds, contrast: Contrast, /) -> None:
        self.data, self.contrast = data, contrast

    def steps(self, epoch: int, rng: np.random.Generator, /) -> Iterator[Step]:
        """Yield batches of pairs in random order."""
        del epoch
        size = self.contrast.batch_size
        order = draw(len(self.data.grades), self.data.weight, rng)
        for start in range(0, len(order), size):
            yield self._step(order[start : start + size])

    def _step(self, batch: list[int]) -> Step:
        data, contrast = self.data, self.contrast

        def loss(vectors: Tensor) -> Tensor:
            grades = torch.from_numpy(data.grades[batch]).to(vectors.device)
            first, second = vectors[: len(batch)], vectors[len(batch) :]
            temperature = contrast.graded_temperature
            return _mean(cosent(first[:, :w], second[:, :w], grades, temperature) for w in contrast.widths)

        return Step([data.first[i] for i in batch] + [data.second[i] for i in batch], loss)


class TextRows(Stateless):
    """Texts alone: what a teacher says of them."""

    def __init__(self, data: TextIds, contrast: Contrast, lesson: Lesson, /) -> None:
        self.data, self.contrast, self.lesson = data, contrast, lesson

    def steps(self, epoch: int, rng: np.random.Generator, /) -> Iterator[Step]:
        """Yield batches of texts in random order."""
        del epoch
        order = draw(len(self.data.texts), self.data.weight, rng)
        for start in range(0, len(order), self.contrast.batch_size):
            yield self._step(order[start : start + self.contrast.batch_size])

    def _step(self, batch: list[int]) -> Step:
        taught = self.data.taught[batch]
        return Step(
            [self.data.texts[i] for i in batch], lambda vectors: self.lesson.loss(vectors, taught, self.contrast)
        )


class EmbedderObjective:
    """An encoder, the rows that it learns from, and those that choose the epoch: what `epochs.fit` fits.

    Args:
        encoder: The encoder.
        rows: What it learns from.
        held: What chooses the epoch.
        cache_tokens: Steps of more tokens go through GradCache.
        projection: Of a lesson; it is trained along with the encoder.
    """

    def __init__(
        self,
        encoder: SequenceEncoder,
        rows: Sequence[Rows],
        held: Held,
        /,
        *,
        cache_tokens: int,
        projection: nn.Linear | None = None,
    ) -> None:
        self.encoder, self.rows, self.held, self.cache_tokens = encoder, rows, held, cache_tokens
        parts: dict[str, nn.Module] = {"encoder": encoder.module}
        self.module = torch.nn.ModuleDict(parts if projection is None else parts | {"projection": projection})

    def batches(self, epoch: int, rng: np.random.Generator, /) -> list[Step]:
        """Return the steps of all kinds of rows in random order."""
        steps = [step for rows in self.rows for step in rows.steps(epoch, rng)]
        return [steps[i] for i in rng.permutation(len(steps))]

    def backward(self, batch: Step, /) -> tuple[Tensor, int]:
        """Accumulate the gradients of a step in the encoder."""
        loss, vectors = backward(self.encoder, batch.sequences, batch.loss, self.cache_tokens)
        batch.seen(vectors)
        return loss, sum(map(len, batch.sequences))

    def evaluate(self) -> dict[str, float]:
        """Return retrieval and rank-correlation figures by set, and `score`, the mean of their main ones."""
        return evaluate(self.encoder, self.held)

    def state(self) -> dict[str, Any]:
        """Return what each kind of rows keeps."""
        return {"rows": [rows.state() for rows in self.rows]}

    def load_state(self, state: dict[str, Any], /) -> None:
        """Go back to it."""
        for rows, saved in zip(self.rows, state["rows"], strict=True):
            rows.load_state(saved)


def _mean(losses: Iterator[Tensor]) -> Tensor:
    return torch.stack(list(losses)).mean()
