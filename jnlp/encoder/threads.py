"""Sets the number of threads of all pools: torch's, the tokenizers library's, FAISS's."""

from __future__ import annotations

import math
import os
import sys
from contextlib import suppress
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_CGROUP = Path("/sys/fs/cgroup")
_OPENMP, _RAYON = "OMP_NUM_THREADS", "RAYON_NUM_THREADS"
_ours: dict[str, int] = {}  # what we have set, by variable, and in torch
_before: dict[str, str | None] = {}  # what the variables were before


def cores(*, cpus: Path = _CPUS, cgroup: Path = _CGROUP) -> int:
    """Return the number of physical cores that this process may use, by its affinity and its container's quota."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    physical = {_siblings(cpus / f"cpu{number}/topology/thread_siblings_list", number) for number in allowed}
    quota = _quota(cgroup)
    return max(1, min(len(physical), math.ceil(quota) if quota else len(physical)))


def default_threads() -> int:
    """Return `OMP_NUM_THREADS` if the user has set it to a number, else the number of cores."""
    wished = (_theirs(_OPENMP) or "").partition(",")[0]
    return int(wished) if wished.isdecimal() and int(wished) else cores()


def limit_threads(count: int | None, /) -> int:
    """Limit torch and FAISS to `count` threads by OpenMP's variable, before they are loaded; return the count.

    None is `default_threads` and does not change a variable that is set. Loads nothing.
    """
    threads = count or default_threads()
    if count is not None or _theirs(_OPENMP) is None:
        _set(_OPENMP, threads)
    return threads


def limit_tokenizer(count: int | None, device: str, /) -> None:
    """Set the number of threads of the tokenizers library, which reads its variable when it first encodes.

    On a CPU it gets a quarter of `count`: tokenising takes a tenth of the forward pass's time or less, and the cores
    stay with the forward pass. With a GPU it gets all. None is `default_threads` and does not change a variable that
    is set.
    """
    if count is not None or _theirs(_RAYON) is None:
        threads = count or default_threads()
        _set(_RAYON, max(threads // 4, 1) if device == "cpu" else threads)


def use_threads(count: int | None, /) -> int:
    """Set torch and FAISS to `count` threads; return the count.

    Both may use all of them, because a search waits for the query's vector. None is `default_threads`, and never
    raises a count that was set before. The pools belong to the process: of two engines, the one that loads its models
    last decides for both.
    """
    import torch

    threads = limit_threads(count)
    if count is None and (current := torch.get_num_threads()) != _ours.get("torch"):
        threads = min(threads, current)
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
        _ours["torch"] = threads
    if torch.get_num_interop_threads() != 1:
        with suppress(RuntimeError):  # somebody has used that pool: it stays as it is
            torch.set_num_interop_threads(1)
    if (faiss := sys.modules.get("faiss")) is not None:
        faiss.omp_set_num_threads(threads)
    return threads


def _theirs(variable: str) -> str | None:
    """Return the user's own value of a variable, regardless of ours; None if it was not set."""
    value = os.environ.get(variable)
    return _before.get(variable) if value is not None and value == str(_ours.get(variable)) else value


def _set(variable: str, threads: int) -> None:
    _before.setdefault(variable, _theirs(variable))
    os.environ[variable], _ours[variable] = str(threads), threads


def _siblings(path: Path, number: int) -> str:
    """Name the core of a logical processor by the processors on it."""
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return str(number)


def _quota(root: Path) -> float | None:
    """Return the container's CPU quota in processors, by cgroup v2 or v1; None without a limit."""
    with suppress(OSError, ValueError):
        quota, period = (root / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    with suppress(OSError, ValueError):
        v1 = root / "cpu"
        quota, period = ((v1 / f"cpu.cfs_{name}_us").read_text(encoding="ascii") for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else None
    return None
