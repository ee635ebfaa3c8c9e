"""A chunk on its way through workers that may end: done once, or halved until the record that ends them is alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp.errors import RecordError
from jnlp.executors.chunks import weight
from jnlp.types import Failed

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Sequence

    from jnlp.types import Outcome, Record

TRUSTED = 2
"""Workers that may end with a chunk before the chunk is suspected."""

SHARES = 2
"""Parts of what waits for a worker; fewer would leave no work for those that are faster than others."""

MARGIN = 1.25
"""How much heavier than its share a piece may be; halves of less would be far below it."""


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
            return self.halves(TRUSTED)  # suspects too; one that is a single record gets as many tries alone as any
        if self._ended < 2 * TRUSTED:
            return [self]
        error = RecordError("a worker process ended each time it processed this text")
        self.done([Failed.of(self.records[0], error)])
        return []

    def halves(self, ended: int = 0) -> list[Piece]:
        """Return its two halves; its outcomes are those of both.

        Args:
            ended: How many workers have ended with each.

        Example:
            >>> piece = Piece([jnlp.Record("1", "猫"), jnlp.Record("2", "犬")], print)
            >>> [half.records[0].id for half in piece.halves()]
            ['1', '2']
        """
        middle, both = len(self.records) // 2, _Both(self.done)
        return [Piece(self.records[:middle], both.left, ended), Piece(self.records[middle:], both.right, ended)]


def cut(waiting: deque[Piece], workers: int, least: int, /) -> None:
    """Halve the piece that is next until it is no more than its share, so that workers end at about the same time.

    The share is the `SHARES`th part of what waits for each worker. While there is more to read, that is about a chunk;
    at the end of the input it shrinks with what is left.

    Args:
        waiting: The pieces; a piece is replaced by its parts.
        workers: How many workers there are.
        least: Records of a piece that is not halved further have less than twice as many.

    Example:
        >>> from collections import deque
        >>> records = [jnlp.Record(str(number), "猫がいる。") for number in range(64)]
        >>> waiting = deque([Piece(records, print)])
        >>> cut(waiting, 2, 4)
        >>> [len(piece.records) for piece in waiting]
        [16, 16, 32]
    """
    share = sum(piece.weight for piece in waiting) / (SHARES * workers)
    while waiting[0].weight > MARGIN * share and len(waiting[0].records) >= 2 * least and not waiting[0].suspect:
        first, second = waiting.popleft().halves()
        waiting.extendleft((second, first))


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
