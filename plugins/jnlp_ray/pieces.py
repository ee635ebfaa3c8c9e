"""A chunk on its way through workers that may end: done once, or halved until the record that ends them is alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp.errors import RecordError
from jnlp.executors.chunks import weight
from jnlp.types import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jnlp.types import Outcome, Record

TRUSTED = 2
"""Workers that may end with a chunk before the chunk is suspected."""


class Piece:
    """Records that one worker does at once.

    Args:
        records: The records.
        done: Called with their outcomes.
        ended: How many workers have ended with them.

    Example:
        >>> found = []
        >>> piece = Piece([jnlp.Record("1", "猫")], found.append)
        >>> piece.lost(), piece.suspect  # a worker ended with it: it is tried again
        ([<jnlp_ray.pieces.Piece object at ...>], False)
    """

    def __init__(self, records: Sequence[Record], done: Callable[[list[Outcome[Any]]], None], ended: int = 0) -> None:
        self.records, self.done = records, done
        self._ended = ended
        self.weight = sum(1 + weight(record) for record in records)

    @property
    def suspect(self) -> bool:
        """Whether workers ended with it so often that it is to be alone with one."""
        return self._ended >= TRUSTED

    def lost(self) -> list[Piece]:
        """Return what is to be done after a worker ended with it: itself, its halves, or nothing.

        A single record that ended workers, `TRUSTED` of them while it was alone, is done: it has failed.

        Example:
            >>> halves = Piece([jnlp.Record("1", "猫"), jnlp.Record("2", "犬")], print, ended=1).lost()
            >>> [half.records[0].id for half in halves]
            ['1', '2']
        """
        self._ended += 1
        if not self.suspect:
            return [self]
        if len(self.records) > 1:
            middle = len(self.records) // 2
            both = _Both(self.done)
            # A half starts as a suspect; one that is a single record gets as many tries alone as any.
            return [
                Piece(self.records[:middle], both.left, TRUSTED),
                Piece(self.records[middle:], both.right, TRUSTED),
            ]
        if self._ended < 2 * TRUSTED:
            return [self]
        error = RecordError("a worker process ended each time it processed this text")
        self.done([Failed.of(self.records[0], error)])
        return []


class _Both:
    """Joins the outcomes of two halves.

    Args:
        done: Called with those of both.
    """

    def __init__(self, done: Callable[[list[Outcome[Any]]], None]) -> None:
        self._done = done
        self._halves: dict[int, list[Outcome[Any]]] = {}

    def left(self, outcomes: list[Outcome[Any]]) -> None:
        self._add(0, outcomes)

    def right(self, outcomes: list[Outcome[Any]]) -> None:
        self._add(1, outcomes)

    def _add(self, place: int, outcomes: list[Outcome[Any]]) -> None:
        self._halves[place] = outcomes
        if len(self._halves) == 2:
            self._done(self._halves[0] + self._halves[1])
