"""How many threads: of the machine, its container and the user, and that one engine does not decide for the next."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import torch

from jnlp.encoder import threads

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch):
    """Neither what this process was told nor what it has set counts."""
    before = torch.get_num_threads()
    for variable in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS"):
        monkeypatch.setenv(variable, "0")  # so that it is put back
        monkeypatch.delenv(variable)
    monkeypatch.setattr(threads, "_ours", {})
    monkeypatch.setattr(threads, "_before", {})
    yield
    torch.set_num_threads(before)


def machine(folder: Path, siblings: list[str]) -> Path:
    for number, text in enumerate(siblings):
        place = folder / f"cpu{number}/topology"
        place.mkdir(parents=True)
        (place / "thread_siblings_list").write_text(f"{text}\n", encoding="ascii")
    return folder


@pytest.mark.parametrize(
    ("siblings", "quota", "expected"),
    [
        (["0-1", "0-1", "2-3", "2-3"], None, 2),  # two threads a core
        (["0", "1", "2", "3"], None, 4),
        (["0", "1", "2", "3"], ("v2", "150000 100000"), 2),
        (["0", "1", "2", "3"], ("v2", "max 100000"), 4),
        (["0", "1", "2", "3"], ("v2", "10000 100000"), 1),
        (["0", "1", "2", "3"], ("v1", "300000 100000"), 3),
        (["0", "1", "2", "3"], ("v1", "-1 100000"), 4),
        ([], None, 4),  # nothing is known of the processors
    ],
)
def test_cores_are_physical_ones_within_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, siblings: list[str], quota: tuple[str, str] | None, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    cgroup = tmp_path / "cgroup"
    (cgroup / "cpu").mkdir(parents=True)
    if quota and quota[0] == "v2":
        (cgroup / "cpu.max").write_text(f"{quota[1]}\n", encoding="ascii")
    elif quota:
        for name, value in zip(("quota", "period"), quota[1].split(), strict=True):
            (cgroup / "cpu" / f"cpu.cfs_{name}_us").write_text(f"{value}\n", encoding="ascii")
    assert threads.cores(cpus=machine(tmp_path / "cpus", siblings), cgroup=cgroup) == expected


def test_the_user_decides_then_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 6)
    assert threads.default_threads() == 6
    for value, expected in (("3", 3), ("3,2", 3), ("many", 6), ("0", 6)):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert threads.default_threads() == expected


def test_the_tokenizer_has_a_quarter_beside_a_cpu_and_all_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for device, expected in (("cpu", "2"), ("cuda", "8")):
        threads.limit_tokenizer(8, device)
        assert os.environ["RAYON_NUM_THREADS"] == expected
    monkeypatch.setenv("RAYON_NUM_THREADS", "5")
    threads.limit_tokenizer(None, "cpu")
    assert os.environ["RAYON_NUM_THREADS"] == "5"


@pytest.mark.parametrize("wished", [None, "3"])
def test_threads_of_one_engine_are_not_the_next_ones(monkeypatch: pytest.MonkeyPatch, wished: str | None) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 4)
    if wished:
        monkeypatch.setenv("OMP_NUM_THREADS", wished)
    torch.set_num_threads(4)
    assert threads.use_threads(1) == 1 == torch.get_num_threads()
    assert os.environ["OMP_NUM_THREADS"] == "1"  # for what is not loaded yet, and for processes
    assert threads.use_threads(None) == int(wished or 4) == torch.get_num_threads()


def test_what_others_told_torch_is_never_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 4)
    torch.set_num_threads(2)
    assert threads.use_threads(None) == 2
