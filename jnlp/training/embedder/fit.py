"""Fits an embedder: epochs over mixed batches, hard negatives from the last epoch's vectors, the best kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jnlp.encoder.vectors import unit
from jnlp.io.durable import replacing
from jnlp.training.checkpoints import reading
from jnlp.training.embedder.grad_cache import backward
from jnlp.training.embedder.hard_negatives import by_document, mine
from jnlp.training.embedder.losses import cosent, info_nce, matryoshka
from jnlp.training.embedder.pair_batches import Batch, GradedIds, PairIds, drawn, pair_batches
from jnlp.training.metrics import spearman
from jnlp.training.optim import optimisers
from jnlp.training.retrieval import ranks, summary
from jnlp.training.schedule import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from jnlp.training.embedder.sequences import SequenceEncoder

    Progress = Callable[[str, int, int, Mapping[str, float]], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """How an embedder is fitted.

    Args:
        epochs: Passes over the sets.
        seconds: Time limit; the learning rate follows it where it runs faster than the steps. None: no limit.
        batch_size: Documents a step.
        lr: Peak rate of AdamW; up over `warmup` of the run, then down to 0.
        weight_decay: Of matrices inside layers.
        warmup: Share of the run.
        temperature: Of InfoNCE.
        graded_temperature: Of CoSENT.
        symmetric: Train documents to find their queries too.
        dimensions: Widths below the full one at which the loss is taken too.
        mine: Hard negatives that a document meets in its batch, from the second epoch on.
        margin: See `hard_negatives.mine`.
        skip: Likewise.
        cache_tokens: Batches of more tokens go through GradCache.
        patience: Epochs without a better score before it stops; 0 never stops.
        seed: Of the order.
    """

    epochs: int
    seconds: float | None
    batch_size: int
    lr: float
    weight_decay: float
    warmup: float
    temperature: float
    graded_temperature: float
    symmetric: bool
    dimensions: tuple[int, ...]
    mine: int
    margin: float
    skip: int
    cache_tokens: int
    patience: int
    seed: int


@dataclass(frozen=True, slots=True)
class Fitted:
    """The epochs' figures, the best of them, and the tokens and seconds that training took."""

    epochs: tuple[dict[str, float], ...]
    best: int
    tokens: int
    seconds: float


@dataclass(slots=True)
class _State:
    """How far a fit is, at the end of an epoch."""

    history: list[dict[str, float]] = field(default_factory=list)
    best: int = -1
    kept: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0
    total: int = 0
    tokens: int = 0
    seconds: float = 0.0

    @property
    def epoch(self) -> int:
        """The number of epochs done."""
        return len(self.history)


class _Bank:
    """The vectors that the last epoch computed anyway: what hard negatives are found with."""

    def __init__(self, data: PairIds, width: int) -> None:
        self.data = data
        self.queries = np.zeros((len(data.queries), width), np.float32)
        self.documents = np.zeros((len(data.documents), width), np.float32)

    def near(self, pace: Pace) -> list[list[int]]:
        rows = self.data
        found = mine(
            unit(self.queries),
            unit(self.documents),
            rows.positives,
            2 * pace.mine,
            margin=pace.margin,
            skip=pace.skip,
        )
        return by_document(rows.owner, found, len(rows.documents))


Work = tuple[PairIds, Batch] | tuple[GradedIds, list[int]]


def fit(
    encoder: SequenceEncoder,
    sets: Sequence[PairIds],
    graded: Sequence[GradedIds],
    valid: Sequence[PairIds],
    valid_graded: Sequence[GradedIds],
    pace: Pace,
    progress: Progress,
    /,
    *,
    checkpoint: Path | None = None,
) -> Fitted:
    """Fit an embedder, and leave the weights of its best epoch in its module.

    The best is that of the highest mean of nDCG@10 over `valid` and Spearman over `valid_graded`; without either the
    last epoch is kept. With a `checkpoint` every epoch is written there, and a run that finds one goes on from it.
    """
    torch.manual_seed(pace.seed)
    rng = np.random.default_rng(pace.seed)
    module = encoder.module.requires_grad_(True)
    (optimiser,) = optimisers(module, "adamw", lr=pace.lr, matrix_lr=0.0, weight_decay=pace.weight_decay)
    banks = [_Bank(data, module.config.hidden_size) for data in sets] if pace.mine else []
    state = _State()
    if checkpoint is not None and checkpoint.exists():
        state = _load(checkpoint, encoder, optimiser, rng, banks)
    while not _over(state, pace):
        work = _epoch(sets, graded, pace, rng, banks if state.epoch else [])
        losses = _train(encoder, work, banks, state, optimiser, pace, progress)
        figures = evaluate(encoder, valid, valid_graded)
        mean = {"loss": float(np.mean(losses)) if losses else 0.0, "tokens_per_second": state.tokens / state.seconds}
        state.history.append(mean | figures)
        progress("epoch", state.epoch, state.epoch, state.history[-1])
        if state.best < 0 or not figures or figures["score"] > state.history[state.best]["score"]:
            state.best = state.epoch - 1
            state.kept = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
        if checkpoint is not None:
            _save(checkpoint, encoder, optimiser, rng, banks, state)
    module.load_state_dict(state.kept)
    module.eval()
    return Fitted(tuple(state.history), state.best, state.tokens, state.seconds)


def _over(state: _State, pace: Pace) -> bool:
    if not state.epoch:
        return False
    late = pace.seconds is not None and state.seconds >= pace.seconds
    stale = pace.patience > 0 and state.epoch - 1 - state.best >= pace.patience
    return state.epoch >= pace.epochs or late or stale


def _train(
    encoder: SequenceEncoder,
    work: Sequence[Work],
    banks: Sequence[_Bank],
    state: _State,
    optimiser: torch.optim.Optimizer,
    pace: Pace,
    progress: Progress,
) -> list[float]:
    """Take an epoch's steps; return their losses."""
    module = encoder.module.train()
    state.total = state.total or max(1, len(work) * pace.epochs)
    clock = Clock(1, pace.seconds, spent=state.seconds)
    clock.start()
    losses: list[float] = []
    for item in work:
        done = max(state.step / state.total, clock.elapsed / pace.seconds if pace.seconds else 0.0)
        if done >= 1:
            break
        loss, count = _step(encoder, item, pace, next((bank for bank in banks if bank.data is item[0]), None))
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = pace.lr * _linear(done, pace.warmup, state.total)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss)
        state.step, state.tokens = state.step + 1, state.tokens + count
        figures = {"loss": loss, "tokens_per_second": state.tokens / clock.elapsed}
        progress("training", min(state.step, state.total - 1), state.total, figures)
    state.seconds = clock.elapsed  # scoring is not training
    return losses


def _save(
    path: Path,
    encoder: SequenceEncoder,
    optimiser: torch.optim.Optimizer,
    rng: np.random.Generator,
    banks: Sequence[_Bank],
    state: _State,
) -> None:
    """Write all that decides the rest of a run; it takes the place of the checkpoint before when it is whole."""
    saved = {
        "state": {name: getattr(state, name) for name in _State.__slots__},
        "model": encoder.module.state_dict(),
        "optimiser": optimiser.state_dict(),
        "torch": torch.get_rng_state(),
        "order": rng.bit_generator.state,
        "banks": [(torch.from_numpy(bank.queries), torch.from_numpy(bank.documents)) for bank in banks],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        torch.save(saved, file)


def _load(
    path: Path,
    encoder: SequenceEncoder,
    optimiser: torch.optim.Optimizer,
    rng: np.random.Generator,
    banks: Sequence[_Bank],
) -> _State:
    with reading(path):
        saved: dict[str, Any] = torch.load(path, weights_only=True, map_location=encoder.device)
        encoder.module.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        torch.set_rng_state(saved["torch"].cpu())
        rng.bit_generator.state = saved["order"]
        for bank, (queries, documents) in zip(banks, saved["banks"], strict=True):
            bank.queries[:], bank.documents[:] = queries.cpu().numpy(), documents.cpu().numpy()
        return _State(**saved["state"])


def evaluate(encoder: SequenceEncoder, valid: Sequence[PairIds], graded: Sequence[GradedIds], /) -> dict[str, float]:
    """Return retrieval and rank-correlation figures by set, and `score`, the mean of their main ones."""
    encoder.module.eval()
    figures: dict[str, float] = {}
    main: list[float] = []
    for data in valid:
        queries, documents = (unit(encoder.all(side).cpu().numpy()) for side in (data.queries, data.documents))
        found = summary(_unhidden(queries, documents, data))
        main.append(found["ndcg@10"])
        figures |= found if len(valid) == 1 else {f"{data.name}/{name}": value for name, value in found.items()}
    for pairs in graded:
        first, second = (unit(encoder.all(side).cpu().numpy()) for side in (pairs.first, pairs.second))
        main.append(spearman((first * second).sum(axis=1), pairs.grades))
        figures[f"{pairs.name}/spearman"] = main[-1]
    return figures | {"score": float(np.mean(main))} if main else {}


def _unhidden(
    queries: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    documents: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    data: PairIds,
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Return the rank of each query's best document: several may answer it."""
    found = ranks(queries, documents, data.owner)
    for row, positives in enumerate(data.positives):
        for other in positives - {int(data.owner[row])}:
            found[row] = min(found[row], int(ranks(queries[row : row + 1], documents, np.array([other]))[0]))
    return found


def _epoch(
    sets: Sequence[PairIds],
    graded: Sequence[GradedIds],
    pace: Pace,
    rng: np.random.Generator,
    banks: Sequence[_Bank],
) -> list[Work]:
    """Return an epoch's batches of all sets in random order; with banks they bring hard negatives together."""
    work: list[Work] = []
    for number, data in enumerate(sets):
        bank = banks[number] if banks else None
        near = bank.near(pace) if bank else None
        for batch in pair_batches(data, rng, pace.batch_size, near=near, count=pace.mine):
            work.append((data, batch))
    for pairs in graded:
        order = drawn(len(pairs.grades), pairs.weight, rng)
        work += [(pairs, order[start : start + pace.batch_size]) for start in range(0, len(order), pace.batch_size)]
    return [work[i] for i in rng.permutation(len(work))]


def _step(encoder: SequenceEncoder, item: Work, pace: Pace, bank: _Bank | None) -> tuple[float, int]:
    """Leave a batch's gradients in the encoder and its vectors in the bank; return its loss and its tokens."""
    data, batch = item
    widths = matryoshka(pace.dimensions, encoder.module.config.hidden_size)
    if isinstance(data, GradedIds):
        assert isinstance(batch, list)
        sequences = [data.first[i] for i in batch] + [data.second[i] for i in batch]
        grades = torch.from_numpy(data.grades[batch]).to(encoder.device)

        def graded_loss(vectors: Tensor) -> Tensor:
            first, second = vectors[: len(batch)], vectors[len(batch) :]
            return _mean(cosent(first[:, :w], second[:, :w], grades, pace.graded_temperature) for w in widths)

        loss, _ = backward(encoder, sequences, graded_loss, pace.cache_tokens)
        return loss, sum(map(len, sequences))
    assert isinstance(batch, Batch)
    asked = len(batch.queries)
    sequences = [data.queries[i] for i in batch.queries] + [data.documents[i] for i in batch.documents]
    owner, hidden = (torch.from_numpy(x).to(encoder.device) for x in (batch.owner, batch.hidden))

    def loss_of(vectors: Tensor) -> Tensor:
        queries, documents = vectors[:asked], vectors[asked:]
        args = (owner, hidden, pace.temperature, pace.symmetric)
        return _mean(info_nce(queries[:, :w], documents[:, :w], *args) for w in widths)

    loss, vectors = backward(encoder, sequences, loss_of, pace.cache_tokens)
    if bank is not None:
        rows = vectors.cpu().numpy()
        bank.queries[batch.queries], bank.documents[batch.documents] = rows[:asked], rows[asked:]
    return loss, sum(map(len, sequences))


def _mean(losses: Iterator[Tensor]) -> Tensor:
    return torch.stack(list(losses)).mean()


def _linear(progress: float, warmup: float, steps: int) -> float:
    """Return the factor of the peak rate: up over the share `warmup`, never from 0, then down to 0."""
    if progress < warmup:
        return (progress + 1 / steps) / (warmup + 1 / steps)
    return max(0.0, (1 - progress) / (1 - warmup))
