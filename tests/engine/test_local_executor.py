"""The local executor: order, isolation of bad records, bounded look-ahead."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jnlp.errors import JnlpError, RecordError, UsageError
from jnlp.executors.chunks import CHUNK_CHARACTERS, CHUNK_RECORDS, chunks
from jnlp.executors.local import IN_FLIGHT, LocalExecutor
from jnlp.executors.ordered import apply_isolating
from jnlp.types import Done, Failed, Job, Record, Settings, Source, TaskSpec


@dataclass(frozen=True, slots=True)
class NoOptions: ...


JOB = Job(TaskSpec("upper", "Shouts.", NoOptions, f"{__name__}:shout", str), NoOptions())


def records(texts: Sequence[str]) -> list[Record]:
    return [Record(f"r{n}", text) for n, text in enumerate(texts)]


def shout(texts: Sequence[str]) -> list[str]:
    if any(text == "毒" for text in texts):
        raise RecordError("毒がある")
    return [text + "！" for text in texts]


@given(st.lists(st.sampled_from(["あ", "いう", "毒", "えお"]), max_size=200))
def test_each_record_has_its_outcome_in_order(texts: list[str]) -> None:
    outcomes = list(LocalExecutor(lambda _job: shout).map(JOB, records(texts)))
    assert [o.record.id if isinstance(o, Done) else o.id for o in outcomes] == [f"r{n}" for n in range(len(texts))]
    assert [o.result if isinstance(o, Done) else str(o.error) for o in outcomes] == [
        "毒がある" if text == "毒" else text + "！" for text in texts
    ]


def test_a_record_that_was_never_read_keeps_its_place() -> None:
    bad = Failed("x", Source("f.txt", 2), RecordError("undecodable"))
    outcomes = list(LocalExecutor(lambda _job: shout).map(JOB, [Record("a", "あ"), bad, Record("b", "い")]))
    assert [type(o) for o in outcomes] == [Done, Failed, Done]
    assert outcomes[1] is bad


def test_one_bad_record_costs_few_calls() -> None:
    calls = 0

    def counted(texts: Sequence[str]) -> list[str]:
        nonlocal calls
        calls += 1
        return shout(texts)

    apply_isolating(counted, records(["あ"] * 255 + ["毒"] + ["い"] * 256))
    assert calls <= 2 * 9 + 1  # two for each halving of 512


def test_an_error_that_meets_every_record_ends_the_run() -> None:
    def full(texts: Sequence[str]) -> list[str]:
        raise JnlpError("no space left")

    with pytest.raises(JnlpError, match="no space left"):
        list(LocalExecutor(lambda _job: full).map(JOB, records(["あ", "い"])))


def test_a_bug_keeps_its_traceback() -> None:
    def buggy(texts: Sequence[str]) -> list[str]:
        return [text.no_such_method() for text in texts]  # type: ignore[attr-defined]

    with pytest.raises(AttributeError):
        list(LocalExecutor(lambda _job: buggy).map(JOB, records(["あ"] * 40)))


def test_a_task_that_loses_results_is_a_bug() -> None:
    with pytest.raises(RuntimeError, match="1 results for 3 texts"):
        list(LocalExecutor(lambda _job: lambda texts: ["x"]).map(JOB, records(["あ", "い", "う"])))


def test_an_endless_stream_is_read_only_as_far_as_needed() -> None:
    read = 0

    def endless() -> itertools.count[int]:
        nonlocal read
        for number in itertools.count():
            read += 1
            yield Record(str(number), "あ")

    stream = LocalExecutor(lambda _job: shout).map(JOB, endless())
    taken = list(itertools.islice(stream, 5000))
    assert [o.record.id for o in taken] == [str(n) for n in range(5000)]
    assert read <= 5000 + (IN_FLIGHT + 1) * CHUNK_RECORDS


def test_chunks_are_bounded_in_records_and_characters() -> None:
    sizes = [len(chunk.records) for chunk in chunks(records(["あ"] * 5000))]
    assert max(sizes) <= CHUNK_RECORDS
    assert sum(sizes) == 5000
    long = list(chunks(records(["あ" * (CHUNK_CHARACTERS // 2)] * 6)))
    assert [len(chunk.records) for chunk in long] == [2, 2, 2]


def test_chunks_for_a_gpu_are_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def note(texts: Sequence[Record]) -> list[str]:
        sizes.append(len(texts))
        return ["" for _ in texts]

    for device, gpu, largest in (("cpu", True, 512), ("auto", False, 512), ("auto", True, 8192), ("cuda", True, 8192)):
        cuda = SimpleNamespace(is_available=lambda gpu=gpu: gpu)
        monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
        sizes.clear()
        job = replace(JOB, settings=Settings(device=device))
        assert len(list(LocalExecutor(lambda _job: note).map(job, records(["あ"] * 20_000)))) == 20_000
        assert max(sizes) == largest


def test_two_chunks_are_in_flight() -> None:
    import threading

    together = threading.Barrier(2, timeout=20)

    def meet(texts: Sequence[str]) -> list[str]:
        together.wait()  # passes only when the other chunk is being worked on at the same time
        return list(texts)

    assert len(list(LocalExecutor(lambda _job: meet).map(JOB, records(["あ"] * 96)))) == 96


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 100])
def test_what_was_read_before_the_reader_broke_comes_out_first(count: int) -> None:
    def broken() -> Iterator[Record]:
        yield from records(["あ"] * count)
        raise UsageError("no column is called '本分'")

    outcomes = LocalExecutor(lambda _job: shout).map(JOB, broken())
    seen = [next(outcomes) for _ in range(count)]
    with pytest.raises(UsageError, match="本分"):
        next(outcomes)
    assert [o.record.id for o in seen] == [f"r{n}" for n in range(count)]
