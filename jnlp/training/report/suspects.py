"""Rows whose label is probably wrong, and nearly equal texts with different labels."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jnlp.types import FloatArray, IntArray, Text

SIMILAR = 0.8
"""From this similarity on, two texts are nearly equal."""

_GRAM = 4
_HASHES, _BANDS = 64, 16
_PRIME = (1 << 31) - 1


def find_suspects(probable: FloatArray, truth: IntArray, /) -> IntArray:
    """Return the rows whose label is probably wrong, the surest first: confident learning.

    A class's threshold is the mean probability that rows labelled so have for it. A row counts as a class if its
    probability reaches that class's threshold (of several, the likeliest one); rows that count as another class than
    their label are returned, ranked by how much likelier that class is. Northcutt, Jiang and Chuang 2021, "Confident
    Learning: Estimating Uncertainty in Dataset Labels", equations 1 and 2, ranked by the normalised margin.

    Args:
        probable: `[n, k]`, probabilities of models that have not seen the row.
        truth: int64 `[n]`, the labels.

    Example:
        >>> probable = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9], [0.05, 0.95]])
        >>> find_suspects(probable, np.array([0, 0, 1, 1, 0])).tolist()
        [4]
    """
    rows, k = probable.shape
    own = probable[np.arange(rows), truth]
    thresholds = np.array([own[truth == label].mean() if (truth == label).any() else np.inf for label in range(k)])
    reached = np.where(probable >= thresholds, probable, -1.0)
    counted = reached.argmax(axis=1)
    wrong = np.flatnonzero((reached.max(axis=1) >= 0) & (counted != truth) & (probable.argmax(axis=1) != truth))
    margin = probable[wrong].max(axis=1) - own[wrong]
    found: IntArray = wrong[np.argsort(-margin, kind="stable")]
    return found


def find_near(texts: Sequence[Text], labels: Sequence[str], /) -> list[tuple[int, int, float]]:
    """Return pairs of rows with nearly equal texts and different labels, and their similarity, the nearest first.

    The similarity is that of the sets of character 4-grams (Jaccard), after NFKC, without case and white space; pairs
    are found by MinHash (Broder 1997) in 16 bands of 4, which miss 0.01 % of pairs at a similarity of 0.8.

    Example:
        >>> find_near(["部屋が清潔でした。", "朝食が少ない"], ["良い", "悪い"])
        []
        >>> pair = "接客がとても丁寧で、部屋も清潔でした。また泊まりたいと思います"
        >>> find_near([pair + "。", pair + "!"], ["良い", "悪い"])[0][:2]
        (0, 1)
    """
    grams = [_grams(text) for text in texts]
    signatures = _signatures(grams)
    found: dict[tuple[int, int], float] = {}
    width = _HASHES // _BANDS
    for band in range(_BANDS):
        buckets: dict[bytes, list[int]] = {}
        for row, signature in enumerate(signatures):
            if len(grams[row]):
                buckets.setdefault(signature[band * width : (band + 1) * width].tobytes(), []).append(row)
        for rows in buckets.values():
            _compare(rows[:50], grams, labels, found)
    near = [(*pair, similarity) for pair, similarity in found.items() if similarity >= SIMILAR]
    return sorted(near, key=lambda pair: (-pair[2], pair[0], pair[1]))


def _compare(
    rows: Sequence[int],
    grams: Sequence[NDArray[np.uint32]],
    labels: Sequence[str],
    found: dict[tuple[int, int], float],
) -> None:
    for place, first in enumerate(rows):
        for second in rows[place + 1 :]:
            if labels[first] != labels[second] and (first, second) not in found:
                common = len(np.intersect1d(grams[first], grams[second], assume_unique=True))
                found[first, second] = common / (len(grams[first]) + len(grams[second]) - common)


def _grams(text: Text) -> NDArray[np.uint32]:
    joined = text if isinstance(text, str) else "\n".join(text)
    plain = "".join(unicodedata.normalize("NFKC", joined).casefold().split())[:4000].encode("utf-32-le")
    step = 4 * _GRAM
    codes = (
        {crc32(plain[start : start + step]) for start in range(0, max(4, len(plain) - step + 4), 4)} if plain else ()
    )
    return np.asarray(sorted(codes), dtype=np.uint32)


def _signatures(grams: Sequence[NDArray[np.uint32]]) -> NDArray[np.uint32]:
    rng = np.random.default_rng(0)
    factor, addend = rng.integers(1, _PRIME, (2, _HASHES, 1), dtype=np.uint64)
    made = np.zeros((len(grams), _HASHES), dtype=np.uint32)
    for row, codes in enumerate(grams):
        if len(codes):
            hashed = (factor * (codes.astype(np.uint64) % _PRIME) + addend) % _PRIME
            made[row] = hashed.min(axis=1).astype(np.uint32)
    return made
