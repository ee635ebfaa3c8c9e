"""The default token budget of a batch: as many as fit the processor's caches, or the GPU's memory."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

CPU_TOKENS = (1024, 4096)
"""Minimum and maximum on a CPU: fewer make matrix products slow, more do not fit the caches."""
BLOCKS_TOKENS = (1024, 8192)
"""The same for layers that run in blocks of tokens within a core's cache."""
CUDA_TOKENS = (4096, 131_072)

_CPU = Path("/sys/devices/system/cpu/cpu0/cache")
_UNKNOWN = 32 << 20  # bytes of cache where the system does not say


def token_bytes(hidden: int, intermediate: int, itemsize: int, /) -> int:
    """Return the bytes that a layer needs for one token: states, projections, the MLP's intermediate values."""
    return itemsize * (6 * hidden + 3 * intermediate)


def cpu_budget(width: int, threads: int, /, *, bounds: tuple[int, int] = CPU_TOKENS, folder: Path = _CPU) -> int:
    """Return the tokens of a batch that, at `width` bytes each, fit the caches of `threads` cores."""
    return _within(bounds, cache_bytes(threads, folder) // width)


def cuda_budget(width: int, free: int, /) -> int:
    """Return the tokens of a batch that, at `width` bytes each, take at most an eighth of the GPU's free memory."""
    return _within(CUDA_TOKENS, free // 8 // width)


@cache
def cache_bytes(threads: int, folder: Path = _CPU, /) -> int:
    """Return the cache bytes of `threads` cores: their second level, and their share of the third."""
    total = 0
    for index in sorted(folder.glob("index*")):
        try:
            level, kind, size, shared = (
                (index / name).read_text(encoding="ascii").strip()
                for name in ("level", "type", "size", "shared_cpu_list")
            )
        except OSError:
            continue
        if int(level) >= 2 and kind == "Unified":
            sharing = max(_count(shared), 1)
            total += _bytes(size) * threads // sharing if threads < sharing else _bytes(size) * -(-threads // sharing)
    return total or _UNKNOWN


def _within(bounds: tuple[int, int], tokens: int) -> int:
    """Return a multiple of 256 within bounds."""
    low, high = bounds
    return max(low, min(high, tokens // 256 * 256))


def _bytes(size: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([KM]?)", size).groups()  # type: ignore[union-attr]  # the kernel's own form
    return int(number) << {"": 0, "K": 10, "M": 20}[unit]


def _count(cpus: str) -> int:
    """Return the number of processors in a list such as `0-3,8`."""
    ends = [part.split("-") for part in cpus.split(",") if part]
    return sum(int(end[-1]) - int(end[0]) + 1 for end in ends)
