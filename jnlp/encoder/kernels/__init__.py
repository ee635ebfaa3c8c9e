"""The compiled attention kernel: built on demand, kept in the user's cache, used where the processor can run it.

`jnlp doctor --build-kernels` compiles `attention.cpp` once with the machine's C++ compiler. Without it, or on another
processor, attention in plain torch answers the same to rounding.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.encoder.runtime import processor_flags
from jnlp.errors import JnlpError

if TYPE_CHECKING:
    import torch

    from jnlp.encoder.attention import Attention

SOURCE = Path(__file__).with_name("attention.cpp")
NEEDED = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_bf16"})
"""Processor flags, as Linux spells them."""
FLAGS = (
    "-O3",
    "-std=c++17",
    "-fPIC",
    "-mavx512f",
    "-mavx512bw",
    "-mavx512dq",
    "-mavx512vl",
    "-mavx512bf16",
    "-fopenmp",
)
HEAD_DIM = 64


def runnable() -> bool:
    """Return True where the processor has what the kernel needs."""
    return processor_flags() >= NEEDED


def compiler() -> str | None:
    """Return the C++ compiler: `$CXX`, `c++`, `g++` or `clang++`; None where there is none."""
    names = (os.environ.get("CXX", ""), "c++", "g++", "clang++")
    return next((found for name in names if name and (found := shutil.which(name))), None)


def library() -> Path:
    """Return where the built kernel is, or would be: its name holds a digest of source, flags and torch's version."""
    import platformdirs
    import torch

    state = "\n".join([SOURCE.read_text(encoding="utf-8"), *FLAGS, torch.__version__])
    digest = hashlib.sha256(state.encode()).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("jnlp", appauthor=False)) / "kernels" / f"attention-{digest}.so"


def build() -> Path:
    """Compile the kernel into the user's cache and return the library; what is there already is kept.

    Raises:
        JnlpError: The processor cannot run it, there is no compiler, or it fails.
    """
    if not runnable():
        raise JnlpError("this processor has no AVX-512 bf16, which the attention kernel needs", hint="nothing to do")
    path = library()
    if path.is_file():
        return path
    command = compiler()
    if command is None:
        raise JnlpError("there is no C++ compiler", hint="install g++ or clang++, or set CXX")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        compiled, made = Path(folder) / "attention.o", Path(folder) / path.name
        _run(command, *FLAGS, "-c", str(SOURCE), "-o", str(compiled))
        _run(command, "-shared", str(compiled), "-o", str(made), *_openmp())
        made.replace(path)
    load.cache_clear()
    return path


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr[:200])
        raise JnlpError(f"{command[0]} could not build the attention kernel: {first.strip()}")


def _openmp() -> list[str]:
    """Return how to link with torch's own OpenMP, so that there is one pool of threads; else the compiler's."""
    import torch

    root = Path(torch.__file__).parent
    for folder in (root / "lib", root.parent / "torch.libs"):
        for found in sorted(folder.glob("libgomp*.so*")):
            return [str(found), f"-Wl,-rpath,{found.parent}"]
    return ["-fopenmp"]


@cache
def load() -> Attention | None:
    """Return attention by the compiled kernel (bf16, heads of 64, no gradients), or None where it is not there."""
    if not runnable() or not (path := library()).is_file():
        return None
    import torch

    run = ctypes.CDLL(str(path)).jnlp_attention_bf16
    pointer, wide, narrow = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    run.argtypes = [pointer, pointer, pointer, wide, pointer, pointer, wide, wide, narrow, narrow]
    run.restype = ctypes.c_int

    def compiled(
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        cu_seqlens: torch.Tensor,
        lengths: tuple[int, ...],
        window: int | None,
        /,
    ) -> torch.Tensor:
        q, k, v = _alike(q, k, v)
        out = torch.empty(q.shape, dtype=q.dtype)
        reach, threads = -1 if window is None else window, torch.get_num_threads()
        rows = (x.data_ptr() for x in (q, k, v))
        failed = run(
            *rows, q.stride(0), out.data_ptr(), cu_seqlens.data_ptr(), len(lengths), q.shape[1], reach, threads
        )
        if failed:
            raise MemoryError(f"no memory for the keys and values of {sum(lengths)} tokens")
        return out

    return compiled


def _alike(*rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return tensors whose heads are dense and whose tokens are equally far apart, copied where they are not."""
    strides = {x.stride(0) for x in rows}
    dense = all(x.stride()[1:] == (HEAD_DIM, 1) for x in rows)
    return rows if dense and len(strides) == 1 else tuple(x.contiguous() for x in rows)
