"""The student: a ModernBERT whose embeddings start as the teacher's mean state of each piece, and what it learns from.

The targets are the teacher's states without their mean, turned to the principal axes of its vectors, so that the first
numbers matter most (a Matryoshka order). The layers start by adding nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from jnlp.encoder.packing import pack
from jnlp.training.dense_encoder import DenseEncoder
from jnlp.training.embedder.losses import match_similarities
from jnlp.training.embedder.sequences import first_fit
from jnlp.training.micro_batches import precision

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from jnlp.encoder.modernbert import ModernBert
    from jnlp_family.distill.states import Lessons, Shard

    Ids = NDArray[np.int64]
    Floats = NDArray[np.float32]

ROWS = {128: 24, 384: 8}
"""Lengths of rows, and how many go through the model at once: one form of each is compiled."""

TEMPERATURE, POOLED, SIMILAR = 0.05, 2.0, 0.2
"""Of the similarities, and the weights of the vectors' and the similarities' losses next to that of the tokens."""


@dataclass(frozen=True, slots=True)
class Targets:
    """How the teacher's answers become targets.

    Args:
        vectors: Mean vector of each role, `[2, t]`.
        states: Mean state of each role, `[2, t]`.
        axes: Principal axes of the vectors, `[t, t]`, by columns.
        scale: Standard deviation along each axis, `[t]`.
    """

    vectors: Floats
    states: Floats
    axes: Floats
    scale: Floats

    @classmethod
    def of(cls, shard: Shard, roles: Ids, /) -> Targets:
        """Return those that a shard's answers give; `roles` are of its texts."""
        pooled, kinds = shard.pooled.astype(np.float32), np.unique(roles)
        vectors, states = np.zeros((2, pooled.shape[1]), np.float32), np.zeros((2, pooled.shape[1]), np.float32)
        for kind in kinds:
            own = np.flatnonzero(roles == kind)
            vectors[kind] = pooled[own].mean(axis=0)
            states[kind] = np.mean([shard.of(int(at)).astype(np.float32).mean(axis=0) for at in own], axis=0)
        centred = pooled - vectors[roles]
        axes = np.linalg.svd(centred, full_matrices=False)[2].T
        return cls(vectors, states, np.ascontiguousarray(axes), (centred @ axes).std(axis=0))

    def of_vectors(self, pooled: NDArray[np.float16], roles: Ids, /) -> Tensor:
        """Return the unit target vectors of texts, `[n, t]`."""
        turned = torch.from_numpy((pooled.astype(np.float32) - self.vectors[roles]) @ self.axes)
        return F.normalize(turned, dim=1)

    def of_states(self, states: NDArray[np.float16], roles: Ids, /) -> Tensor:
        """Return the target states of tokens, `[n, t]`; `roles` has one for each."""
        return torch.from_numpy((states.astype(np.float32) - self.states[roles]) @ self.axes)


def embeddings(
    lessons: Lessons, shards: Sequence[int], targets: Targets, alone: NDArray[np.float16], first: int, size: int, /
) -> Floats:
    """Return the mean target state of each piece, scaled to a root mean square of 0.3, `[size, t]`.

    Args:
        lessons: The texts and the teacher's states.
        shards: Which shards to read.
        targets: How states become targets.
        alone: The teacher's state of each piece by itself from id `first` on, which counts as two tokens.
        first: The first id that is a piece.
        size: Number of ids.
    """
    total = np.zeros((size, alone.shape[1]), np.float32)
    count = np.zeros(size, np.float32)
    for number in shards:
        shard = lessons.shard(number)
        ids = np.concatenate([np.append(lessons.ids[row], 2) for row in shard.rows])
        lengths = [len(lessons.ids[row]) + 1 for row in shard.rows]
        states = targets.of_states(shard.states, np.repeat(lessons.roles[list(shard.rows)], lengths)).numpy()
        order = np.argsort(ids, kind="stable")
        found, starts = np.unique(ids[order], return_index=True)
        total[found] += np.add.reduceat(states[order], starts, axis=0)
        count[found] += np.diff(np.append(starts, len(ids)))
    single = alone.astype(np.float32)
    total[first:] += 2 * (single - single.mean(axis=0)) @ targets.axes
    count[first:] += 2
    means = total / np.maximum(count, 1)[:, None]
    unseen = np.flatnonzero(count == 0)
    means[unseen] = means[first:].mean(axis=0) + np.random.default_rng(0).normal(
        0, means[first:].std(), (len(unseen), means.shape[1])
    )
    scaled: Floats = 0.3 * means / np.sqrt((means**2).mean(axis=1, keepdims=True) + 1e-9)
    return scaled.astype(np.float32, copy=False)


@torch.no_grad()
def start(model: ModernBert, tokens: Floats, scale: Floats, /) -> None:
    """Set a student's weights: embeddings, layers that add nothing yet, and a final norm of the targets' scale."""
    for name, weight in model.named_parameters():
        if name.endswith("norm.weight"):
            weight.fill_(1.0)
        elif "tok_embeddings" in name:
            weight.copy_(torch.from_numpy(tokens))
        elif name.endswith("Wo.weight"):
            weight.zero_()
        else:
            weight.normal_(0, model.config.hidden_size**-0.5)
    model.final_norm.weight.copy_(torch.from_numpy(scale / np.sqrt((scale**2).mean())))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows that go through the model at once.

    Args:
        sequences: All sequences, with padding that fills the rows.
        row: Tokens of a row.
        owners: The place in the batch of each text here.
        starts: Where it starts in the chunk.
    """

    sequences: list[Ids]
    row: int
    owners: list[int]
    starts: list[int]


def chunks(sequences: Sequence[Ids], pad: int, /) -> Iterator[Chunk]:
    """Yield a batch's sequences in rows of the lengths of `ROWS`: always as many, so that one form is compiled."""
    shorter = 0
    for row, count in ROWS.items():
        here = [at for at, own in enumerate(sequences) if shorter < len(own) <= row]
        shorter = row
        filled = [[here[at] for at in one] for one in first_fit([len(sequences[at]) for at in here], row)]
        for first in range(0, len(filled), count):
            part = [*filled[first : first + count], *[[]] * count][:count]
            found: list[Ids] = []
            owners: list[int] = []
            starts: list[int] = []
            for number, texts in enumerate(part):
                place = number * row
                for at in texts:
                    found.append(sequences[at])
                    owners.append(at)
                    starts.append(place)
                    place += len(sequences[at])
                if room := (number + 1) * row - place:
                    found.append(np.full(room, pad, np.int64))
            yield Chunk(found, row, owners, starts)


class Student:
    """A model with what it takes to learn.

    Args:
        model: The encoder.
        targets: How the teacher's answers become targets.
        widths: Widths at which vectors are compared.
        compiled: Whether the forms of rows are compiled.
    """

    def __init__(self, model: ModernBert, targets: Targets, widths: Sequence[int], /, *, compiled: bool) -> None:
        self.model = model
        self._targets = targets
        self._widths = [width for width in widths if width <= model.config.hidden_size]
        self._forms = DenseEncoder(model, tuple(ROWS) if compiled else ())
        self._pad = model.config.pad_token_id or 0

    def learn(self, lessons: Lessons, shard: Shard, batch: Sequence[int], /) -> Mapping[str, float]:
        """Add the gradients of a batch of texts, by their places in the shard, and return the mean losses.

        The loss of tokens is 1 - cosine, weighted by the norm of the target; that of vectors 1 - cosine at each width;
        that of similarities `match_similarities` within a chunk.
        """
        sequences = [np.concatenate([[1], lessons.ids[shard.rows[at]], [2]]).astype(np.int64) for at in batch]
        roles = lessons.roles[[shard.rows[at] for at in batch]]
        vectors = self._targets.of_vectors(shard.pooled[list(batch)], roles)
        sums = {"tokens": 0.0, "vectors": 0.0, "similarities": 0.0}
        for chunk in chunks(sequences, self._pad):
            states, lengths = self._states(chunk, sequences)
            pooled = _means(states, lengths)
            inner = torch.ones(len(states), dtype=torch.bool)
            inner[torch.cumsum(lengths, 0) - lengths] = False  # <s> has no target
            taught = np.concatenate([shard.of(batch[at]) for at in chunk.owners])
            target = self._targets.of_states(taught, np.repeat(roles[chunk.owners], (lengths - 1).numpy()))
            weight = target.norm(dim=1)
            tokens = (weight * (1 - F.cosine_similarity(states[inner], target, dim=1))).sum() / weight.sum()
            own = vectors[chunk.owners]
            near = torch.stack([1 - F.cosine_similarity(pooled[:, :w], own[:, :w], dim=1).mean() for w in self._widths])
            similar = match_similarities(pooled, own, TEMPERATURE, TEMPERATURE)
            share = len(chunk.owners) / len(batch)
            loss: Tensor = (tokens + POOLED * near.mean() + SIMILAR * similar) * share
            loss.backward()  # type: ignore[no-untyped-call]
            for name, value in zip(sums, (tokens, near.mean(), similar), strict=True):
                sums[name] += value.item() * share
        return sums

    @torch.no_grad()
    def embed(self, sequences: Sequence[Ids], /) -> Floats:
        """Return the mean states of sequences, `[n, d]`."""
        found = np.zeros((len(sequences), self.model.config.hidden_size), np.float32)
        for chunk in chunks(sequences, self._pad):
            found[chunk.owners] = _means(*self._states(chunk, sequences)).numpy()
        return found

    def _states(self, chunk: Chunk, sequences: Sequence[Ids]) -> tuple[Tensor, Tensor]:
        with precision(torch.device("cpu")):
            states = self._forms(pack(chunk.sequences), chunk.row).float()
        lengths = [len(sequences[at]) for at in chunk.owners]
        spans = [torch.arange(first, first + length) for first, length in zip(chunk.starts, lengths, strict=True)]
        return states[torch.cat(spans)], torch.tensor(lengths)


def _means(states: Tensor, lengths: Tensor) -> Tensor:
    owner = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    return torch.zeros(len(lengths), states.shape[1]).index_add_(0, owner, states) / lengths[:, None]


def shape(like: Mapping[str, Any], width: int, layers: int, size: int, /) -> dict[str, Any]:
    """Return the config of a student.

    Args:
        like: The config of a model of the family.
        width: Of the states, a multiple of 64; a teacher's states are as wide.
        layers: Number of layers.
        size: Number of ids.
    """
    kinds = ["full_attention" if layer % 3 == 0 else "sliding_attention" for layer in range(layers)]
    return {
        **like,
        "architectures": ["ModernBertModel"],
        "hidden_size": width,
        "num_attention_heads": width // 64,
        "num_hidden_layers": layers,
        "intermediate_size": width * 8 // 3,
        "vocab_size": size,
        "max_position_embeddings": 8192,
        "layer_types": kinds,
    }
