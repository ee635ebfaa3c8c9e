"""When outcomes are waited for before more is read, and when they are not: a pause of the input stops no worker."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from jnlp.executors.ordered import FEW, Future, run
from jnlp.executors.prefetch import Prefetcher
from jnlp.types import Done, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

PAUSE = 0.3


class Work:
    """Chunks at work; `finish` ends them all, and those that come later at once."""

    def __init__(self) -> None:
        self.held: list[tuple[Future, Sequence[Record]]] = []
        self.over = False

    def submit(self, records: Sequence[Record]) -> Future:
        future = Future()
        self.held.append((future, records))
        if self.over:
            self.finish()
        return future

    def finish(self) -> None:
        self.over = True
        held, self.held = self.held, []
        for future, records in held:
            future.resolve([Done(record, record.text) for record in records])


def paused(first: int, then: int) -> Iterator[Record]:
    """Yield records, with a pause between."""
    for number in range(first + then):
        if number == first:
            time.sleep(PAUSE)
        yield Record(f"r{number}", "今日は公園に行きました。")


def plain(records: Iterable[Record]) -> Iterable[Record]:
    return records


@pytest.mark.parametrize(("source", "first"), [(Prefetcher, 40), (plain, 32 * (FEW + 1))])
def test_reading_goes_on_after_a_pause_while_chunks_are_at_work(source: Any, first: int) -> None:
    work, total, in_time = Work(), first + 100, []

    def finish() -> None:  # not before all is at work
        end = time.monotonic() + 5
        while not (full := sum(len(records) for _, records in work.held) == total) and time.monotonic() < end:
            time.sleep(0.01)
        in_time.append(full)
        work.finish()

    threading.Thread(target=finish, daemon=True).start()
    outcomes = list(run(work.submit, source(paused(first, 100)), 64, width=32))
    assert in_time == [True]
    assert [outcome.record.id for outcome in outcomes] == [f"r{n}" for n in range(total)]


@pytest.mark.parametrize("source", [Prefetcher, plain])
def test_the_answer_to_a_question_comes_before_the_next_one(source: Any) -> None:
    """Those who wait for an answer before they give more text get it."""
    work, answered = Work(), threading.Semaphore(0)
    work.finish()

    def questions() -> Iterator[Record]:
        for number in range(4):
            time.sleep(PAUSE / 4)
            yield Record(f"r{number}", "休暇は何日ですか。")
            if source is Prefetcher:
                assert answered.acquire(timeout=10)

    for outcome in run(work.submit, source(questions()), 64):
        assert isinstance(outcome, Done)
        answered.release()
