"""GradCache: gradients of a loss over many vectors, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from jnlp.training.embedder.sequences import SequenceEncoder

    Ids = NDArray[np.int64]


def backward(
    encoder: SequenceEncoder, sequences: Sequence[Ids], loss_of: Callable[[Tensor], Tensor], cache_tokens: int, /
) -> tuple[Tensor, Tensor]:
    """Accumulate the gradients of `loss_of(vectors of all sequences)` in the encoder; return the loss and the vectors.

    Up to `cache_tokens` tokens, or as many as fit a GPU, the whole graph is kept. With more, the vectors are computed
    without a graph, then the loss's gradient at the vectors, then, chunk by chunk, the vectors again with a graph for
    that gradient. This takes a third more work and the memory of one chunk (Gao et al. 2021, "Scaling deep contrastive
    learning batch size under memory limited setup"). Both passes of a chunk use the same dropout.
    """
    chunks = encoder.chunks([len(sequence) for sequence in sequences])
    seed = int(torch.randint(1 << 31, (1,)).item())
    cached = sum(len(sequence) for sequence in sequences) > encoder.kept_tokens(cache_tokens)
    with torch.set_grad_enabled(not cached):
        parts = [_part(encoder, sequences, chunk, seed + i) for i, chunk in enumerate(chunks)]
        order = torch.tensor([index for chunk in chunks for index in chunk]).argsort()
        vectors = torch.cat(parts)[order.to(encoder.device)]
    if not cached:
        loss = loss_of(vectors)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), vectors.detach()
    leaf = vectors.requires_grad_()
    loss = loss_of(leaf)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = leaf.grad
    assert gradients is not None
    for i, chunk in enumerate(chunks):
        _part(encoder, sequences, chunk, seed + i).backward(gradients[chunk])  # type: ignore[no-untyped-call]
    return loss.detach(), leaf.detach()


def _part(encoder: SequenceEncoder, sequences: Sequence[Ids], chunk: Sequence[int], seed: int) -> Tensor:
    torch.manual_seed(seed)
    return encoder([sequences[index] for index in chunk])
