"""The sets of `tiny-search`'s training as a file: made where the data is, read where there is a GPU and little else."""

from __future__ import annotations

import json
import lzma
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jnlp.strict_json import dumps
from jnlp.training.embedder.pairs import Graded, GradedSet, Pair, PairSet
from jnlp.training.embedder.trainer import EmbedderSets

if TYPE_CHECKING:
    from pathlib import Path


def save(sets: EmbedderSets, path: Path, /) -> None:
    """Write sets of pairs and graded pairs as packed JSON."""
    content = {
        "pairs": [asdict(one) for one in sets.pairs],
        "graded": [asdict(one) for one in sets.graded],
        "valid": [asdict(one) for one in sets.valid],
        "valid_graded": [asdict(one) for one in sets.valid_graded],
    }
    path.write_bytes(lzma.compress(dumps(content).encode(), preset=6))


def load(path: Path, /) -> EmbedderSets:
    """Return the sets that `save` wrote."""
    found: dict[str, list[dict[str, Any]]] = json.loads(lzma.decompress(path.read_bytes()))
    return EmbedderSets(
        [_pairs(one) for one in found["pairs"]],
        [_graded(one) for one in found["graded"]],
        [_pairs(one) for one in found["valid"]],
        [_graded(one) for one in found["valid_graded"]],
    )


def _pairs(one: dict[str, Any]) -> PairSet:
    pairs = [Pair(**row | {"negatives": tuple(row["negatives"])}) for row in one["pairs"]]
    return PairSet(**one | {"pairs": pairs})


def _graded(one: dict[str, Any]) -> GradedSet:
    return GradedSet(**one | {"pairs": [Graded(**row) for row in one["pairs"]]})
