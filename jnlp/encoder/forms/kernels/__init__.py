"""The compiled kernels: built on demand, kept in the user's cache, used if the processor supports them.

`jnlp doctor --build-kernels` compiles the sources in this folder once with the machine's C++ compiler. Without them, or
on another processor, plain torch gives the same results up to rounding.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.encoder.runtime import processor_flags
from jnlp.errors import JnlpError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp.encoder.forms.kernels.library import Kernels

FOLDER = Path(__file__).parent
SOURCES = {
    "attention_fp32.cpp": (),
    "attention_bf16.cpp": ("-mavx512bf16",),
    "layer_step_bf16.cpp": ("-mavx512bf16",),
    "layer_step_int8.cpp": ("-mavx512bf16", "-mavx512vnni"),
}
"""The source files, each with its flags in addition to `FLAGS`."""
FLAGS = (
    "-O3",
    "-std=c++17",
    "-fPIC",
    "-mavx512f",
    "-mavx512bw",
    "-mavx512dq",
    "-mavx512vl",
    "-mfma",
    "-fopenmp",
)
NEEDED = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl", "fma"})
"""The processor flags needed for fp32, as Linux spells them."""
NEEDED_BF16 = NEEDED | {"avx512_bf16"}
NEEDED_INT8 = NEEDED_BF16 | {"avx512_vnni"}
BUILD = "jnlp doctor --build-kernels"
_OTHER = "set CXX to another compiler; until then plain torch is used"


def runnable() -> bool:
    """Return True if the processor supports the kernels, at least in fp32."""
    return processor_flags() >= NEEDED


def compiler() -> list[str] | None:
    """Return the command of the C++ compiler: `$CXX`, else `g++` or `c++`; None if there is none.

    g++ is preferred, because another compiler's OpenMP may differ from torch's.

    Raises:
        JnlpError: `$CXX` names a program that does not exist.
    """
    if wished := shlex.split(os.environ.get("CXX", "")):
        if shutil.which(wished[0]) is None:
            raise JnlpError(f"CXX is set to {wished[0]}, which does not exist", hint="unset CXX, or name a compiler")
        return wished
    return next(([found] for name in ("g++", "c++") if (found := shutil.which(name))), None)


def library_path() -> Path:
    """Return the path of the built kernels; the name depends on sources, flags and torch's version."""
    import platformdirs
    import torch

    files = sorted(path for path in FOLDER.iterdir() if path.suffix in (".cpp", ".h"))
    state = "\n".join([*(path.read_text(encoding="utf-8") for path in files), *FLAGS, str(SOURCES), torch.__version__])
    digest = hashlib.sha256(state.encode()).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("jnlp", appauthor=False)) / "kernels" / f"kernels-{digest}.so"


def build() -> Path:
    """Compile the kernels into the user's cache, compare them with plain torch, and return the library.

    Raises:
        JnlpError: The processor does not support them, there is no compiler or it fails, or the library does not load
            or gives wrong results. No file is left then.
    """
    if not runnable():
        raise JnlpError("this processor has no AVX-512, which the compiled kernels need", hint="plain torch is used")
    path = library_path()
    command = compiler()
    if command is None:
        raise JnlpError("there is no C++ compiler to build the kernels with", hint="install g++, or set CXX")
    try:
        _compile(command, path)
    except OSError as error:
        raise JnlpError(f"{path.parent} could not be written: {error.strerror}", hint="set XDG_CACHE_HOME") from error
    finally:
        status.cache_clear()
    return path


def _compile(command: list[str], path: Path) -> None:
    """Compile, check, and move the library to its place atomically, so that others never see a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        objects = []
        for name, flags in SOURCES.items():
            objects.append(str(Path(folder) / f"{name}.o"))
            _run(*command, *FLAGS, *flags, "-c", str(FOLDER / name), "-o", objects[-1])
        _run(*command, "-shared", *objects, "-o", str(made), *_openmp())
        if wrong := _try_library(made):
            raise JnlpError(f"what {' '.join(command)} built does not work: {wrong}", hint=_OTHER)
        made.replace(path)


def _try_library(made: Path) -> str | None:
    """Return what is wrong with a library, or None. It runs in a separate process, which it may crash."""
    done = subprocess.run(
        [sys.executable, "-m", "jnlp.encoder.forms.kernels.check", str(made)],
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return f"it ends the process that tries it, by signal {-done.returncode}"
    return (done.stdout.strip() or done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise JnlpError(f"{command[0]} does not run: {error.strerror}", hint=_OTHER) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        first = next((line for line in lines if "error" in line), lines[0])
        raise JnlpError(f"{command[0]} could not build the kernels: {first.strip()}", hint=_OTHER)


def _openmp() -> list[str]:
    """Return the flags to link with torch's own OpenMP, so that there is one thread pool; else the compiler's."""
    import torch

    root = Path(torch.__file__).parent
    for folder in (root / "lib", root.parent / "torch.libs"):
        for found in sorted(folder.glob("libgomp*.so*")):
            return [str(found), f"-Wl,-rpath,{found.parent}"]
    return ["-fopenmp"]


def open_library(path: Path, /) -> Kernels:
    """Return the kernels of a library that this processor supports; OSError or AttributeError if it does not load."""
    from jnlp.encoder.forms.kernels.library import Kernels

    flags = processor_flags()
    return Kernels(path, bf16=flags >= NEEDED_BF16, int8=flags >= NEEDED_INT8)


def _has_compiler() -> bool:
    try:
        return compiler() is not None
    except JnlpError:
        return False


@dataclass(frozen=True, slots=True)
class Status:
    """Whether compiled kernels are in use, and why.

    Args:
        kernels: The compiled kernels; None: plain torch.
        text: What is compiled for this processor, or why nothing is.
        hint: How to change that, if possible.
    """

    kernels: Kernels | None
    text: str
    hint: str | None = None


_on_trial: Kernels | None = None


def load() -> Kernels | None:
    """Return the compiled kernels, or None if they are not built or not supported."""
    return _on_trial or status().kernels


@contextmanager
def trial(kernels: Kernels, /) -> Iterator[None]:
    """Use these kernels within a `with` block."""
    global _on_trial
    _on_trial = kernels
    try:
        yield
    finally:
        _on_trial = None


@cache
def status() -> Status:
    """Look for the compiled kernels, once per process. Never raises."""
    if not runnable():
        return Status(None, "plain torch: this processor has no AVX-512, which the compiled ones need")
    path = library_path()
    try:
        built = path.is_file()
        stale = not built and any(path.parent.glob("kernels-*.so"))
    except OSError as error:  # a cache that another user owns
        return Status(None, f"plain torch: {path.parent} cannot be read: {error.strerror}", "set XDG_CACHE_HOME")
    if not built:
        why = "those built are for another version of jnlp or torch" if stale else "none are built"
        return Status(None, f"plain torch: {why}", BUILD if _has_compiler() else f"install g++, then: {BUILD}")
    try:
        kernels = open_library(path)
    except (OSError, AttributeError) as error:
        return Status(None, f"plain torch: {path} does not load ({error})", f"delete it, then: {BUILD}")
    bf16, int8 = (precision in kernels.steps for precision in ("bf16", "int8"))
    able = "fp32, bf16 and int8" if int8 else "fp32 and bf16" if bf16 else "fp32"
    lacks = "" if int8 else f"; the processor has no AVX-512 {'VNNI' if bf16 else 'bf16'} for the rest"
    return Status(kernels, f"compiled, for {able}{lacks}: {path}")
