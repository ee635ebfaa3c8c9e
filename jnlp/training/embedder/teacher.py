"""The vectors of a teacher, computed once for each text and cached on disk.

A teacher is any embedder. Its vectors are needed in every epoch and in every run over the same texts, so they are
appended to a cache, in fp16, under the hash of prefix and text. A stopped run continues with the cached ones.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from jnlp.encoder.vectors import unit
from jnlp.io.durable import Lock
from jnlp.types import Overflow, Purpose

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from jnlp.types import Embedder, Progress

CHUNK = 512
"""Texts that the teacher embeds at once; after each chunk the cache is synced to disk."""

_KEY = 16  # bytes of a text's hash
_VECTORS, _KEYS = "vectors.f16", "keys"


@dataclass(frozen=True, slots=True)
class Teacher:
    """An embedder that another one learns from.

    Args:
        embedder: Computes the vectors; longer texts are truncated.
        cache: The folder of its vectors.
    """

    embedder: Embedder
    cache: Path

    @property
    def dimension(self) -> int:
        """The length of its vectors."""
        return self.embedder.dimension

    def embed(self, texts: Sequence[str], purpose: Purpose, progress: Progress, /) -> NDArray[np.float32]:
        """Return unit vectors float32 `[n, d]`, from the cache if possible.

        Args:
            texts: What to embed; repeated texts are computed once.
            purpose: Decides the prefix.
            progress: Called with ("teacher", texts, all texts, {}) while it computes.
        """
        prefix = self.embedder.prefixes.get(purpose, "")
        keys = [_key(prefix + text) for text in texts]
        folder = self.cache / self.embedder.fingerprint[:16]
        folder.mkdir(parents=True, exist_ok=True)
        with Lock(folder / "lock", folder, wait=True):
            kept = _Kept.open(folder, self.dimension)
            missing = [at for at, key in enumerate(keys) if kept.rows.setdefault(key, -1) < 0]
            missing = list({keys[at]: at for at in missing}.values())
            missing.sort(key=lambda at: len(texts[at]))
            for start in range(0, len(missing), CHUNK):
                chunk = missing[start : start + CHUNK]
                found = self.embedder.embed([texts[at] for at in chunk], purpose=purpose, overflow=Overflow.TRUNCATE)
                kept.append([keys[at] for at in chunk], unit(found.vectors))
                progress("teacher", start + len(chunk), len(missing), {})
            return unit(kept.read(keys).astype(np.float32))


@dataclass(slots=True)
class _Kept:
    """The cache files `keys` and `vectors.f16`; a key is written after its vector is on disk."""

    folder: Path
    dimension: int
    rows: dict[bytes, int] = field(default_factory=dict)
    count: int = 0

    @classmethod
    def open(cls, folder: Path, dimension: int) -> _Kept:
        """Read the keys; truncate unfinished entries of a stopped run at the end of either file."""
        for name in (_KEYS, _VECTORS):
            if not (folder / name).exists():
                (folder / name).touch()
        width = 2 * dimension
        count = min((folder / _KEYS).stat().st_size // _KEY, (folder / _VECTORS).stat().st_size // width)
        for name, size in ((_KEYS, count * _KEY), (_VECTORS, count * width)):
            if (folder / name).stat().st_size > size:
                os.truncate(folder / name, size)
        keys = (folder / _KEYS).read_bytes()
        rows = {keys[at * _KEY : (at + 1) * _KEY]: at for at in range(count)}
        return cls(folder, dimension, rows, count)

    def append(self, keys: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        for name, content in ((_VECTORS, vectors.astype(np.float16).tobytes()), (_KEYS, b"".join(keys))):
            with (self.folder / name).open("ab") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        self.rows.update((key, self.count + at) for at, key in enumerate(keys))
        self.count += len(keys)

    def read(self, keys: Sequence[bytes]) -> NDArray[np.float16]:
        if not keys:
            return np.zeros((0, self.dimension), np.float16)
        stored = np.memmap(self.folder / _VECTORS, np.float16, "r", shape=(self.count, self.dimension))
        return np.asarray(stored[[self.rows[key] for key in keys]])


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY).digest()
