"""Sets of rows as what an embedder is fitted to: token sequences, losses, and a teacher's vectors if there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from jnlp.training.embedder.losses import matryoshka
from jnlp.training.embedder.objective import Contrast, EmbedderObjective, GradedRows, Lesson, PairRows, TextRows
from jnlp.training.embedder.pair_batches import encode_graded, encode_pairs, encode_texts
from jnlp.training.embedder.scoring import Held
from jnlp.training.embedder.sequences import sequence_encoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from jnlp.encoder.modernbert import ModernBert
    from jnlp.training.embedder.objective import Rows
    from jnlp.training.embedder.pair_batches import Encode, GradedIds, PairIds, Teach, TextIds
    from jnlp.training.embedder.teacher import Teacher
    from jnlp.training.embedder.trainer import EmbedderOptions, EmbedderSets
    from jnlp.types import Progress, Purpose


def make_objective(
    module: ModernBert,
    sets: EmbedderSets,
    options: EmbedderOptions,
    encode: Encode,
    device: torch.device,
    teacher: Teacher | None,
    progress: Progress,
    /,
) -> EmbedderObjective:
    """Return what `epochs.fit` fits: an encoder, its rows, and those that choose the epoch.

    Args:
        module: The encoder, on its device.
        sets: The rows.
        options: How they are learned from.
        encode: Turns texts into token ids.
        device: Where it is trained.
        teacher: Whose vectors are learned from, or None.
        progress: Called while the teacher computes.
    """
    teach = _teach(teacher, progress) if teacher else None
    width = module.config.hidden_size
    contrast = contrast_of(options, width)
    lesson = _lesson(options, width, teacher.dimension, device) if teacher else None
    pairs = [encode_pairs(s, encode, teach) for s in sets.pairs]
    graded = [encode_graded(s, encode) for s in sets.graded]
    texts = [encode_texts(s, encode, teach) for s in sets.texts] if teach else []
    held = Held(
        [encode_pairs(s, encode) for s in sets.valid],
        [encode_graded(s, encode) for s in sets.valid_graded],
        [encode_texts(s, encode, teach) for s in sets.valid_texts] if teach else [],
    )
    lengths = _lengths(pairs, graded, texts)
    longest = max([*lengths, *_lengths(held.pairs, held.graded, held.texts)])
    tokens = sum(lengths) * options.epochs
    encoder = sequence_encoder(module, options.pooling, device, longest, tokens=tokens)
    rows: list[Rows] = [PairRows(data, contrast, width, lesson) for data in pairs]
    rows += [GradedRows(data, contrast) for data in graded]
    rows += [TextRows(data, contrast, lesson) for data in texts] if lesson else []
    return EmbedderObjective(
        encoder,
        rows,
        held,
        cache_tokens=options.cache_tokens,
        projection=lesson.projection if lesson else None,
    )


def contrast_of(options: EmbedderOptions, width: int, /) -> Contrast:
    """Return how the losses compare vectors of a model of some width."""
    return Contrast(
        batch_size=options.batch_size,
        temperature=options.temperature,
        symmetric=options.symmetric,
        widths=matryoshka(options.dimensions, width),
        mine=options.mine,
        margin=options.mine_margin,
        skip=options.mine_skip,
        grouped=options.mine_group,
    )


def _teach(teacher: Teacher, progress: Progress) -> Teach:
    def teach(texts: Sequence[str], purpose: Purpose) -> NDArray[np.float32]:
        return teacher.embed(texts, purpose, progress)

    return teach


def _lesson(options: EmbedderOptions, width: int, taught: int, device: torch.device) -> Lesson:
    torch.manual_seed(options.seed)
    projection = torch.nn.Linear(width, taught, bias=False)
    torch.nn.init.orthogonal_(projection.weight)
    return Lesson(projection.to(device), options.teacher_weight, options.teacher_temperature, options.teacher_margin)


def _lengths(pairs: Sequence[PairIds], graded: Sequence[GradedIds], texts: Sequence[TextIds]) -> list[int]:
    """Return the tokens of every text."""
    sides = [
        *(side for data in pairs for side in (data.queries, data.documents)),
        *(side for data in graded for side in (data.first, data.second)),
        *(data.texts for data in texts),
    ]
    return [len(text) for side in sides for text in side]
