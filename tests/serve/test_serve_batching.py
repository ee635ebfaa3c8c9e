"""Shared batches: who waits for whom, who gets what, and who leaves."""

from __future__ import annotations

import threading
import time

import pytest

from jnlp.errors import JnlpError, RecordError
from jnlp_serve.batching import LEAST, MOST, Batcher, Lane, Overloaded


class Slow:
    """A task whose first batch waits for `go`; it keeps the batches it was given."""

    def __init__(self) -> None:
        self.go, self.began = threading.Event(), threading.Event()
        self.batches: list[list[str]] = []

    def __call__(self, texts):
        self.batches.append(list(texts))
        self.began.set()
        assert self.go.wait(10)
        return [text.upper() for text in texts]


@pytest.fixture
def batcher():
    made = Batcher(most=1000, wait=0.0)
    yield made
    made.close()


def test_what_waits_together_shares_a_batch(batcher) -> None:
    slow = Slow()
    lane = Lane("slow", slow)
    works = [batcher.submit(lane, ["a"])]
    assert slow.began.wait(10)
    works += [batcher.submit(lane, [f"b{number}", f"c{number}"]) for number in range(3)]
    slow.go.set()
    assert [work.future.result(10) for work in works] == [["A"], ["B0", "C0"], ["B1", "C1"], ["B2", "C2"]]
    assert [len(batch) for batch in slow.batches] == [1, 6]


def test_a_request_of_one_text_overtakes_the_rest_of_a_large_one(batcher) -> None:
    slow = Slow()
    lane = Lane("slow", slow)
    batcher.submit(lane, ["first"])
    assert slow.began.wait(10)
    large = batcher.submit(lane, ["x" * 500] * 40)
    small = batcher.submit(lane, ["small"])
    slow.go.set()
    assert small.future.result(10) == ["SMALL"]
    large.future.result(10)
    assert "small" in slow.batches[1]


def test_long_texts_do_not_hold_up_short_ones(batcher) -> None:
    gate = threading.Event()

    def apply(texts):
        if len(texts[0]) > MOST:
            assert gate.wait(10)
        return [len(text) for text in texts]

    lane = Lane("mixed", apply)
    long = batcher.submit(lane, ["あ" * (MOST + 1)])
    time.sleep(0.05)
    assert batcher.submit(lane, ["短い"]).future.result(10) == [2]
    assert not long.future.done()
    gate.set()
    assert long.future.result(10) == [MOST + 1]


def test_a_request_with_both_gets_its_results_in_order(batcher) -> None:
    lane = Lane("both", lambda texts: [len(text) for text in texts])
    assert batcher.submit(lane, ["あ" * 5000, "い", "う" * 9000]).future.result(10) == [5000, 1, 9000]


def test_a_text_that_fails_fails_alone(batcher) -> None:
    def apply(texts):
        if "悪い" in texts:
            raise RecordError("this one")
        return ["ok"] * len(texts)

    slow = Slow()
    lane = Lane("picky", apply)
    batcher.submit(Lane("slow", slow), ["x"])
    assert slow.began.wait(10)
    works = [batcher.submit(lane, [text]) for text in ("良い", "悪い", "普通")]
    slow.go.set()
    found = [work.future.result(10)[0] for work in works]
    assert (found[0], found[2]) == ("ok", "ok")
    assert isinstance(found[1], RecordError)


def test_a_missing_model_is_everybody_s_error_and_the_thread_lives_on(batcher) -> None:
    def apply(texts):
        raise JnlpError("no model")

    with pytest.raises(JnlpError, match="no model"):
        batcher.submit(Lane("broken", apply), ["a"]).future.result(10)
    assert batcher.submit(Lane("works", list), ["a"]).future.result(10) == ["a"]


def test_what_is_cancelled_leaves_the_queue(batcher) -> None:
    slow = Slow()
    lane = Lane("slow", slow)
    batcher.submit(lane, ["first"])
    assert slow.began.wait(10)
    gone, kept = batcher.submit(lane, ["gone"] * 100), batcher.submit(lane, ["kept"])
    assert batcher.waiting == 101
    batcher.cancel(gone)
    assert batcher.waiting == 1
    slow.go.set()
    assert kept.future.result(10) == ["KEPT"]
    assert "gone" not in {text for batch in slow.batches for text in batch}


def test_a_full_queue_says_when_to_come_again() -> None:
    batcher, slow = Batcher(most=3, wait=0.0), Slow()
    lane = Lane("slow", slow)
    try:
        batcher.submit(lane, ["first"])
        assert slow.began.wait(10)
        batcher.submit(lane, ["a", "b"])
        with pytest.raises(Overloaded) as caught:
            batcher.submit(lane, ["c", "d"])
        assert caught.value.seconds > 0
        batcher.submit(lane, ["c"])
    finally:
        slow.go.set()
        batcher.close()


def test_waiting_texts_fail_when_the_service_stops() -> None:
    batcher, slow = Batcher(most=10, wait=0.0), Slow()
    lane = Lane("slow", slow)
    batcher.submit(lane, ["first"])
    assert slow.began.wait(10)
    late = batcher.submit(lane, ["late"])
    threading.Timer(0.1, slow.go.set).start()
    batcher.close()
    with pytest.raises(JnlpError, match="stopping"):
        late.future.result(10)
    with pytest.raises(JnlpError, match="stopping"):
        batcher.submit(lane, ["more"])


def test_an_idle_service_does_not_wait() -> None:
    batcher = Batcher(most=10, wait=0.5)
    try:
        time.sleep(0.1)
        start = time.perf_counter()
        batcher.submit(Lane("fast", list), ["a"]).future.result(10)
        assert time.perf_counter() - start < 0.4
    finally:
        batcher.close()


def test_batches_follow_the_measured_speed() -> None:
    lane = Lane("any", list)
    assert lane.room() == LEAST
    lane.measured(10_000, 0.1)
    assert lane.room() == 10_000
    lane.measured(4, 1.0)  # one short text says nothing
    assert lane.room() == 10_000
    lane.measured(10**9, 0.1)
    assert lane.room() == MOST


def test_no_texts_are_no_work(batcher) -> None:
    assert batcher.submit(Lane("any", list), []).future.result(0) == []
