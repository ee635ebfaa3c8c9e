"""The kinds of processor that the kernels are compiled for, and what this one can do.

Standard library only: the package's build reads it too.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_X86 = ("-mfma",)
_AVX512 = (*_X86, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of processor.

    Args:
        name: Its short name, in file names and in `JNLP_KERNELS`.
        title: Its name in messages.
        machine: `x86_64` or `arm64`.
        flags: The compiler's flags.
        needs: The processor flags that it needs, as Linux spells them.
    """

    name: str
    title: str
    machine: str
    flags: tuple[str, ...]
    needs: frozenset[str]


_NEEDS_AVX2 = frozenset({"avx2", "fma"})
_NEEDS_AVX512 = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl", "fma"})

KINDS = (
    Kind(
        "avx512bf16",
        "AVX-512 with bf16",
        "x86_64",
        (*_AVX512, "-mavx512vnni", "-mavx512bf16"),
        _NEEDS_AVX512 | {"avx512_vnni", "avx512_bf16"},
    ),
    Kind("avx512vnni", "AVX-512 with VNNI", "x86_64", (*_AVX512, "-mavx512vnni"), _NEEDS_AVX512 | {"avx512_vnni"}),
    Kind("avx512", "AVX-512", "x86_64", _AVX512, _NEEDS_AVX512),
    Kind("avxvnni", "AVX2 with VNNI", "x86_64", (*_X86, "-mavx2", "-mavxvnni"), _NEEDS_AVX2 | {"avx_vnni"}),
    Kind("avx2", "AVX2", "x86_64", (*_X86, "-mavx2"), _NEEDS_AVX2),
    Kind(
        "neonbf16",
        "NEON with bf16",
        "arm64",
        ("-march=armv8.2-a+dotprod+bf16",),
        frozenset({"asimd", "asimddp", "bf16"}),
    ),
    Kind("neondot", "NEON with dot products", "arm64", ("-march=armv8.2-a+dotprod",), frozenset({"asimd", "asimddp"})),
    Kind("neon", "NEON", "arm64", (), frozenset({"asimd"})),
)
"""The best first, for each machine."""


def machine() -> str:
    """Return `x86_64`, `arm64`, or another name of this machine's architecture."""
    name = platform.machine().lower()
    return {"amd64": "x86_64", "aarch64": "arm64"}.get(name, name)


@cache
def processor_flags() -> frozenset[str]:
    """Return the processor's flags, as Linux spells them; on macOS those that all of Apple's own have; else none."""
    if sys.platform == "darwin":
        return frozenset({"asimd", "asimddp"}) if platform.machine() == "arm64" else frozenset()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    found = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(found, "").split())


def runnable() -> tuple[Kind, ...]:
    """Return the kinds that this processor can run, the best first."""
    return tuple(kind for kind in KINDS if kind.machine == machine() and processor_flags() >= kind.needs)
