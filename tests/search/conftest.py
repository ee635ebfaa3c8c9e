"""A model-free embedder that behaves like one: hashed character pairs, so that similar texts have similar vectors."""

from __future__ import annotations

import hashlib
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from jnlp.types import Embeddings, Encoded, Overflow, Purpose, SearchScores

sys.path.insert(0, str(Path(__file__).parent))  # for `generations`, and the processes that die


HYBRID = (-14.0, 4.3, 3.5, 2.7, 0.0, 1.2, 2.1)
DENSE = (-9.0, 1.5, 2.6, 0.0, 0.0, 0.8, 4.0)
"""What its scores mean, in an index of any size: nothing is good without a word in common."""


class CharacterTokenizer:
    """One token a character, between two special tokens."""

    mask_id, mask_token, vocabulary = 5, "<mask>", 1 << 21

    def encode(self, texts):
        return [
            Encoded(
                np.array([1, *map(ord, text), 2], np.int64),
                np.array([(0, 0), *((i, i + 1) for i in range(len(text))), (0, 0)], np.int64).reshape(-1, 2),
            )
            for text in texts
        ]

    def pieces(self, text):
        return [*map(ord, text)]

    def decode(self, ids):
        return "".join(map(chr, ids))

    def token(self, id):
        return chr(id)


class PairEmbedder:
    """Counts of character pairs, hashed into `dimension` cells; `embedded` holds every text it was given."""

    def __init__(self, dimension: int = 64, fingerprint: str = "pairs-1") -> None:
        self.dimension, self.fingerprint, self.max_length = dimension, fingerprint, 8192
        self.search = SearchScores(0.25, HYBRID, DENSE)
        self.prefixes: dict[Purpose, str] = {}
        self.tokenizer = CharacterTokenizer()
        self.embedded: list[str] = []

    def embed(self, texts, /, *, purpose=Purpose.SIMILARITY, overflow=Overflow.WINDOW):
        self.embedded += texts
        vectors = np.full((len(texts), self.dimension), 0.1, np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for a, b in pairwise(text):
                digest = hashlib.blake2b((a + b).encode(), digest_size=4).digest()
                row[int.from_bytes(digest, "big") % self.dimension] += 1
        return Embeddings(vectors, np.ones(len(texts), np.int64), np.zeros(len(texts), np.int64))

    def states(self, text, /, *, purpose=Purpose.DOCUMENT):
        raise NotImplementedError


class OneModel:
    """Models of which every embedder is the same; `names` holds those asked for."""

    def __init__(self, embedder: PairEmbedder) -> None:
        self._embedder = embedder
        self.names: list[str | None] = []

    def embedder(self, model=None, /, **_):
        self.names.append(model)
        return self._embedder


@pytest.fixture(scope="session")
def tokenizer() -> CharacterTokenizer:
    return CharacterTokenizer()


@pytest.fixture(scope="session")
def embedders() -> type[PairEmbedder]:
    """For fixtures that outlive a test."""
    return PairEmbedder


@pytest.fixture
def embedder() -> PairEmbedder:
    return PairEmbedder()


@pytest.fixture
def models(embedder: PairEmbedder) -> OneModel:
    return OneModel(embedder)


@pytest.fixture
def other_models() -> OneModel:
    """Models of another fingerprint."""
    return OneModel(PairEmbedder(fingerprint="pairs-2"))


class FakeEngine:
    """An engine whose only model is the tests' own."""

    def __init__(self, models: OneModel) -> None:
        self._models = models

    def models(self, asked=None, default=None, /):
        return self._models

    def readers(self):
        from jnlp.io.reading.readers import builtin_readers

        return builtin_readers()

    def chunker(self, name, /):
        from jnlp_search.chunk import bundled_chunker

        return bundled_chunker(name)


@pytest.fixture
def engine(models: OneModel) -> FakeEngine:
    return FakeEngine(models)
