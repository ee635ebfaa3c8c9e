"""What `tiny-rerank` learns from, as one file: made where the data is, read where there is a GPU and little else."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Ids = NDArray[np.int64]
    Floats = NDArray[np.float32]


K = TypeVar("K", bound="Ragged | Asked")


@dataclass(frozen=True, slots=True)
class Ragged:
    """Sequences of ids, one after another.

    Args:
        ids: uint16 `[T]`.
        ends: int64 `[n]`, where each ends.
    """

    ids: NDArray[np.uint16]
    ends: Ids

    @classmethod
    def of(cls, sequences: Sequence[Ids], /) -> Ragged:
        """Return sequences as one."""
        joined = np.concatenate([np.zeros(0, np.int64), *sequences])
        return cls(joined.astype(np.uint16), np.cumsum([len(one) for one in sequences], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, number: int) -> Ids:
        """Return one sequence."""
        begin = int(self.ends[number - 1]) if number else 0
        return self.ids[begin : int(self.ends[number])].astype(np.int64)

    def begins(self) -> Ids:
        """Return where each begins."""
        return np.concatenate([[0], self.ends[:-1]]).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions with the passages that are to be ranked.

    Args:
        questions: Numbers of questions, `[q]`.
        passages: Numbers of passages, `[q, c]`, -1 where there are fewer; of training the right one first, then wrong
            ones by the hybrid's rank; of development the hybrid's ranking.
        starts: Where each passage's window begins, `[q, c]`.
        right: The place of the right one, `[q]`; -1 where it is not among them.
        shares: Of each its BM25 and its cosine, scaled over the candidates, float32 `[q, c, 2]`.
    """

    questions: Ids
    passages: Ids
    starts: Ids
    right: Ids
    shares: Floats

    def __len__(self) -> int:
        return len(self.questions)

    def some(self, rows: Ids, /) -> Asked:
        """Return some of the questions."""
        return Asked(*(getattr(self, entry.name)[rows] for entry in fields(self)))


@dataclass(frozen=True, slots=True)
class Material:
    """All of it.

    Args:
        room: Tokens of a window.
        questions, passages: The texts' ids.
        train, development: Which passages are to be ranked for which question.
    """

    room: int
    questions: Ragged
    passages: Ragged
    train: Asked
    development: Asked

    def save(self, path: Path, /) -> None:
        """Write it as a packed file of numpy's."""
        parts = {
            f"{name}.{key}": value for name in (*_TEXTS, *_ASKED) for key, value in asdict(getattr(self, name)).items()
        }
        narrow = {name: value if value.dtype != np.int64 else value.astype(np.int32) for name, value in parts.items()}
        with path.open("wb") as file:
            np.savez_compressed(file, room=np.array(self.room), **narrow)

    @classmethod
    def load(cls, path: Path, /) -> Material:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as found:

            def part(kind: type[K], name: str) -> K:
                return kind(*(_wide(found[f"{name}.{entry.name}"]) for entry in fields(kind)))

            questions, passages = (part(Ragged, name) for name in _TEXTS)
            return cls(int(found["room"]), questions, passages, *(part(Asked, name) for name in _ASKED))


_TEXTS, _ASKED = ("questions", "passages"), ("train", "development")


def _wide(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.int64) if values.dtype == np.int32 else values
