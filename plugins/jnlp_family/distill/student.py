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
    from jnlp.encoder.packing import Packed
    from jnlp_family.distill.states import Lessons, Shard

    Ids = NDArray[np.int64]
    Floats = NDArray[np.float32]

ROWS = {"cpu": {128: 24, 512: 6}, "cuda": {512: 64}}
"""By device: lengths of rows, and how many go through the model at once; one form of each is compiled."""

TEMPERATURE, POOLED, SIMILAR = 0.05, 2.0, 0.2
"""Of the similarities, and the weights of the vectors' and the similarities' losses next to that of the tokens."""


@dataclass(frozen=True, slots=True)
class Targets:
    """How the teacher's answers become targets; all fp32, where the teacher's states are.

    Args:
        vectors: Mean vector of each role, `[2, t]`.
        states: Mean state of each role, `[2, t]`.
        axes: Principal axes of the vectors, `[t, t]`, by columns.
        scale: Standard deviation along each axis, `[t]`.
    """

    vectors: Tensor
    states: Tensor
    axes: Tensor
    scale: Tensor

    @classmethod
    def of(cls, shard: Shard, roles: Ids, /) -> Targets:
        """Return those that a shard's answers give; `roles` are of its texts."""
        place = shard.states.device
        pooled = shard.pooled.float().to(place)
        vectors, states = torch.zeros(2, pooled.shape[1], device=place), torch.zeros(2, pooled.shape[1], device=place)
        for kind in np.unique(roles).tolist():
            own = np.flatnonzero(roles == kind)
            vectors[kind] = pooled[torch.from_numpy(own).to(place)].mean(dim=0)
            total = torch.zeros(pooled.shape[1], device=place)
            for some in (own[at : at + 512] for at in range(0, len(own), 512)):
                total += shard.states[torch.from_numpy(shard.places(some)).to(place)].float().sum(dim=0)
            states[kind] = total / len(shard.places(own))
        centred = pooled - vectors[torch.from_numpy(roles).to(place)]
        axes = torch.linalg.svd(centred.cpu(), full_matrices=False)[2].T.contiguous().to(place)
        return cls(vectors, states, axes, (centred @ axes).std(dim=0))

    def of_vectors(self, pooled: Tensor, roles: Tensor, /) -> Tensor:
        """Return the unit target vectors of texts, `[n, t]`."""
        return F.normalize((pooled.float() - self.vectors[roles]) @ self.axes, dim=1)

    def of_states(self, states: Tensor, roles: Tensor, /) -> Tensor:
        """Return the target states of tokens, `[n, t]`; `roles` has one for each."""
        return (states.float() - self.states[roles]) @ self.axes


def embeddings(lessons: Lessons, shards: Sequence[int], targets: Targets, first: int, /) -> Tensor:
    """Return the mean target state of each piece, scaled to a root mean square of 0.3, `[size, t]`.

    Args:
        lessons: The texts and the teacher's states; the state of each piece by itself counts as two tokens.
        shards: Which shards to read.
        targets: How states become targets.
        first: The first id that is a piece.
    """
    alone = torch.from_numpy(lessons.alone())
    place = targets.axes.device
    total = torch.zeros(first + len(alone), alone.shape[1], device=place)
    count = torch.zeros(len(total), device=place)
    for number in shards:
        shard = lessons.shard(number)
        ids = np.concatenate([np.append(lessons.ids[row], 2) for row in shard.rows]).astype(np.int64)
        lengths = [len(lessons.ids[row]) + 1 for row in shard.rows]
        roles = torch.from_numpy(np.repeat(lessons.roles[list(shard.rows)], lengths)).to(place)
        numbers = torch.from_numpy(ids).to(place)
        for start in range(0, len(ids), 65_536):
            part = slice(start, start + 65_536)
            total.index_add_(0, numbers[part], targets.of_states(shard.states[part], roles[part]))
        count += torch.bincount(numbers, minlength=len(total))
    single = alone.float().to(place)
    total[first:] += 2 * (single - single.mean(dim=0)) @ targets.axes
    count[first:] += 2
    means = total / count.clamp(min=1)[:, None]
    unseen = torch.nonzero(count == 0)[:, 0]
    noise = torch.randn(len(unseen), means.shape[1], generator=torch.Generator().manual_seed(0)).to(place)
    means[unseen] = means[first:].mean(dim=0) + noise * means[first:].std()
    return 0.3 * means / (means.square().mean(dim=1, keepdim=True) + 1e-9).sqrt()


@torch.no_grad()
def start(model: ModernBert, tokens: Tensor, scale: Tensor, /) -> None:
    """Set a student's weights: embeddings, layers that add nothing yet, and a final norm of the targets' scale."""
    for name, weight in model.named_parameters():
        if name.endswith("norm.weight"):
            weight.fill_(1.0)
        elif "tok_embeddings" in name:
            weight.copy_(tokens)
        elif name.endswith("Wo.weight"):
            weight.zero_()
        else:
            weight.normal_(0, model.config.hidden_size**-0.5)
    model.final_norm.weight.copy_(scale / scale.square().mean().sqrt())


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


def chunks(sequences: Sequence[Ids], pad: int, rows: Mapping[int, int], /) -> Iterator[Chunk]:
    """Yield a batch's sequences in rows: always as many of a length, so that one form is compiled.

    Args:
        sequences: None is longer than the longest row.
        pad: The id of padding.
        rows: Lengths of rows, ascending, and how many of each are a chunk.
    """
    shorter = 0
    for row, count in rows.items():
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


@dataclass(frozen=True, slots=True)
class Part:
    """A chunk where it is computed, with what its texts are taught.

    Args:
        packed: The chunk's sequences.
        row: Tokens of a row.
        spans: Where the tokens of its texts are, one text after another, int64.
        lengths: Tokens of each text.
        owners: The place in the batch of each text here.
        inner: Which of those tokens have a target: all but the first of a text, int64.
        states: The teacher's states of those tokens, fp16 `[tokens, t]`.
        pooled: The teacher's vectors of the texts, fp16 `[n, t]`.
        roles: Of the texts.
    """

    packed: Packed
    row: int
    spans: Tensor
    lengths: Tensor
    owners: list[int]
    inner: Tensor
    states: Tensor
    pooled: Tensor
    roles: Tensor


class Student:
    """A model with what it takes to learn.

    Args:
        model: The encoder, on its device.
        targets: How the teacher's answers become targets.
        widths: Widths at which vectors are compared.
        compiled: Whether the forms of rows are compiled.
    """

    def __init__(self, model: ModernBert, targets: Targets, widths: Sequence[int], /, *, compiled: bool) -> None:
        self.model = model
        self._device = next(model.parameters()).device
        self._rows = ROWS[self._device.type]
        self._targets = targets
        self._widths = [width for width in widths if width <= model.config.hidden_size]
        self._forms = DenseEncoder(model, tuple(self._rows) if compiled else ())
        self._pad = model.config.pad_token_id or 0

    def parts(self, lessons: Lessons, shard: Shard, batch: Sequence[int], /) -> list[Part]:
        """Return a batch of texts, by their places in the shard, in chunks on the device."""
        sequences = [np.concatenate([[1], lessons.ids[shard.rows[at]], [2]]).astype(np.int64) for at in batch]
        roles = lessons.roles[[shard.rows[at] for at in batch]]
        return [self._part(chunk, sequences, shard, batch, roles) for chunk in chunks(sequences, self._pad, self._rows)]

    def _part(self, chunk: Chunk, sequences: Sequence[Ids], shard: Shard, batch: Sequence[int], roles: Ids) -> Part:
        spans, lengths = _spans(chunk, sequences)
        inner = np.delete(np.arange(len(spans)), np.cumsum(lengths) - lengths)  # <s> has no target
        texts = [batch[at] for at in chunk.owners]
        places = torch.from_numpy(shard.places(texts)).to(shard.states.device)
        return Part(
            pack(chunk.sequences).to(self._device),
            chunk.row,
            self._to(spans),
            self._to(lengths),
            chunk.owners,
            self._to(inner),
            shard.states[places].to(self._device),
            shard.pooled[texts].to(self._device),
            self._to(roles[chunk.owners]),
        )

    def learn(self, parts: Sequence[Part], /) -> Mapping[str, Tensor]:
        """Add the gradients of a batch and return the mean losses.

        The loss of tokens is 1 - cosine, weighted by the norm of the target; that of vectors 1 - cosine at each width;
        that of similarities `match_similarities` within a chunk.
        """
        texts = sum(len(part.owners) for part in parts)
        sums = dict.fromkeys(("tokens", "vectors", "similarities"), torch.zeros((), device=self._device))
        for part in parts:
            states, pooled = self._states(part.packed, part.row, part.spans, part.lengths)
            target = self._targets.of_states(part.states, _each(part.roles, part.lengths - 1, len(part.inner)))
            weight = target.norm(dim=1)
            tokens = (weight * (1 - F.cosine_similarity(states[part.inner], target, dim=1))).sum() / weight.sum()
            own = self._targets.of_vectors(part.pooled, part.roles)
            near = torch.stack([1 - F.cosine_similarity(pooled[:, :w], own[:, :w], dim=1).mean() for w in self._widths])
            similar = match_similarities(pooled, own, TEMPERATURE, TEMPERATURE)
            share = len(part.owners) / texts
            loss: Tensor = (tokens + POOLED * near.mean() + SIMILAR * similar) * share
            loss.backward()  # type: ignore[no-untyped-call]
            for name, value in zip(sums, (tokens, near.mean(), similar), strict=True):
                sums[name] = sums[name] + value.detach() * share
        return sums

    @torch.no_grad()
    def embed(self, sequences: Sequence[Ids], /) -> Floats:
        """Return the mean states of sequences, `[n, d]`."""
        found = np.zeros((len(sequences), self.model.config.hidden_size), np.float32)
        for chunk in chunks(sequences, self._pad, self._rows):
            spans, lengths = map(self._to, _spans(chunk, sequences))
            packed = pack(chunk.sequences).to(self._device)
            found[chunk.owners] = self._states(packed, chunk.row, spans, lengths)[1].cpu().numpy()
        return found

    def _states(self, packed: Packed, row: int, spans: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states of the texts' tokens, and their means."""
        with precision(self._device):
            states = self._forms(packed, row).float()[spans]
        owner = _each(torch.arange(len(lengths), device=self._device), lengths, len(states))
        total = torch.zeros(len(lengths), states.shape[1], device=self._device).index_add_(0, owner, states)
        return states, total / lengths[:, None]

    def _to(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self._device, non_blocking=True)


def _each(values: Tensor, counts: Tensor, total: int) -> Tensor:
    """Return each value as often as its count says; with the total given, a GPU need not wait for it."""
    return torch.repeat_interleave(values, counts, output_size=total)


def _spans(chunk: Chunk, sequences: Sequence[Ids]) -> tuple[Ids, Ids]:
    lengths = np.array([len(sequences[at]) for at in chunk.owners], np.int64)
    before = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(np.array(chunk.starts, np.int64) - before, lengths), lengths


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
