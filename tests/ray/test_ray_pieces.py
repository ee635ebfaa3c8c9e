"""How chunks are cut for many workers: all records once and in order, and workers that end at about the same time."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

import jnlp
from jnlp.executors.chunks import chunks
from jnlp.types import Done
from jnlp_ray.pieces import TRUSTED, Piece, cut
from jnlp_ray.pool import AHEAD, IN_FLIGHT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def records(count: int) -> list[jnlp.Record]:
    return [jnlp.Record(f"r{n}", "今日は公園に行きました。") for n in range(count)]


def outcomes(piece: Piece) -> list[Any]:
    return [Done(record, len(record.text)) for record in piece.records]


@pytest.mark.parametrize("order", [list, reversed])
def test_a_chunk_that_is_cut_is_done_once_and_in_order(order: Callable[[Sequence[Piece]], Any]) -> None:
    found: list[list[Any]] = []
    waiting = deque([Piece(records(100), found.append)])
    cut(waiting, 8, 4)
    assert [len(piece.records) for piece in waiting] == [6, 6, 13, 25, 50]
    for piece in list(order(list(waiting))):
        assert found == []
        piece.done(outcomes(piece))
    assert [[outcome.record.id for outcome in one] for one in found] == [[f"r{n}" for n in range(100)]]


def test_a_piece_of_its_share_is_left_whole() -> None:
    waiting = deque(Piece(records(128), print) for _ in range(32))
    before = list(waiting)
    cut(waiting, 16, 8)
    assert list(waiting) == before


def test_a_suspect_is_left_to_its_own_way() -> None:
    waiting = deque([Piece(records(128), print, TRUSTED)])
    cut(waiting, 16, 8)
    assert len(waiting) == 1


def efficiency(workers: int, count: int, cost: float, speeds: Sequence[float]) -> float:
    """Return the ideal time divided by that of workers that take pieces as those of a pool do, but cost no time."""
    source = chunks(records(count), width=workers // 4)
    waiting: deque[Piece] = deque()
    had: list[list[Piece]] = [[] for _ in range(workers)]
    window: deque[list[Any]] = deque()
    events: list[tuple[float, int]] = []
    now = 0.0

    def begin(worker: int) -> None:
        heapq.heappush(events, (now + len(had[worker][0].records) * cost / speeds[worker], worker))

    while True:
        while window and window[0]:
            window.popleft()
        while len(window) < workers * IN_FLIGHT * AHEAD and (chunk := next(source, None)) is not None:
            window.append([])
            waiting.append(Piece(chunk.work, window[-1].extend))
        while waiting and (able := [n for n in range(workers) if len(had[n]) < IN_FLIGHT]):
            cut(waiting, workers, 32)
            least = min(able, key=lambda n: sum(piece.weight for piece in had[n]))
            had[least].append(waiting.popleft())
            if len(had[least]) == 1:
                begin(least)
        if not events:
            return count * cost / sum(speeds) / now
        now, ended = heapq.heappop(events)
        piece = had[ended].pop(0)
        piece.done(outcomes(piece))
        if had[ended]:
            begin(ended)


@pytest.mark.parametrize(("workers", "count"), [(8, 4_800), (64, 38_400)])
def test_workers_end_at_about_the_same_time(workers: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of a minute, in chunks of up to 512 records: whole ones would leave workers without work for a fifth."""
    monkeypatch.setattr("jnlp.executors.chunks.PATIENCE", float("inf"))  # a busy machine's pauses cut no chunks
    assert efficiency(workers, count, 0.1, [1.0] * workers) > 0.97
    unequal = [1 / (1 + n % 4 / 10) for n in range(workers)]
    assert efficiency(workers, count, 0.1, unequal) > 0.94
