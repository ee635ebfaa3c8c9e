"""Hard negatives: finds wrong documents that the model ranks high, and puts them into batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]

_BLOCK = 1024


def mine(
    queries: Floats,
    documents: Floats,
    positives: Sequence[frozenset[int]],
    count: int,
    /,
    *,
    margin: float = 0.95,
    skip: int = 0,
) -> list[list[int]]:
    """Return for each query its nearest documents that do not answer it, nearest first, at most `count`.

    Documents with a cosine above `margin` times that of the query's own document may be right too and are skipped (de
    Souza et al. 2024, "NV-Retriever", TopK-PercPos), and so are the `skip` nearest of the rest.

    Args:
        queries: float32 `[q, d]`, of length 1.
        documents: float32 `[n, d]`, of length 1.
        positives: The documents that answer each query.
        count: Negatives per query.
        margin: Share of the best positive's cosine.
        skip: How many of the nearest negatives to skip.
    """
    wanted = min(len(documents), count + skip + max((len(p) for p in positives), default=0) + 32)
    found: list[list[int]] = []
    for start in range(0, len(queries), _BLOCK):
        scores = queries[start : start + _BLOCK] @ documents.T
        nearest = np.argpartition(-scores, wanted - 1, axis=1)[:, :wanted]
        for row, near, own in zip(scores, nearest, positives[start : start + _BLOCK], strict=True):
            limit = margin * max(float(row[d]) for d in own)
            order = near[np.argsort(-row[near], kind="stable")].tolist()
            found.append([d for d in order if d not in own and row[d] < limit][skip : skip + count])
    return found


def gather_batches(
    order: Sequence[int], near: Sequence[Sequence[int]], size: int, count: int, /
) -> Iterator[list[int]]:
    """Yield as many documents as `order` has, each once, in batches of `size`, with up to `count` hard negatives each.

    Hard negatives add no cost: they are positives of other rows, which are encoded anyway.

    Args:
        order: The documents in random order.
        near: The hard negatives of each document's queries, the hardest first; all of them documents of `order`'s kind.
        size: Documents per batch.
        count: Negatives that a document brings along.
    """
    used: set[int] = set()
    batch: list[int] = []
    for seed in order:
        if len(used) >= len(order):
            break
        if seed in used:
            continue
        brought = [d for d in near[seed] if d not in used and d != seed][:count] if count else []
        for document in (seed, *brought):
            used.add(document)
            batch.append(document)
            if len(batch) == size:
                yield batch
                batch = []
    if len(batch) > 1:
        yield batch


def by_document(owner: Ints, near: Sequence[Sequence[int]], documents: int, /) -> list[list[int]]:
    """Return each document's hard negatives from those of its queries, taken in turns, without repeats."""
    lists: list[list[Sequence[int]]] = [[] for _ in range(documents)]
    for document, negatives in zip(owner.tolist(), near, strict=True):
        lists[document].append(negatives)
    return [
        list(dict.fromkeys(n[turn] for turn in range(max(map(len, own), default=0)) for n in own if turn < len(n)))
        for own in lists
    ]
