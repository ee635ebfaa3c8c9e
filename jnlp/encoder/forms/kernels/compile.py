"""Compiles the kernels with the machine's C++ compiler. Standard library only: the package's build runs it too.

Every load of a model asks here for the name of the library, so what only compiling needs is imported for it.
"""

from __future__ import annotations

import hashlib
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FOLDER = Path(__file__).parent
SOURCE = FOLDER / "kernels.cpp"
BUILT = FOLDER / "built"
"""Where the package's build leaves the libraries."""
FLAGS = ("-O3", "-std=c++17", "-fPIC", "-shared", "-pthread")


class CompileError(Exception):
    """The compiler does not run, or fails; the message is its first error."""


def compiler() -> list[str] | None:
    """Return the command of the C++ compiler: `$CXX`, else `g++` or `c++`; None if there is none.

    Raises:
        CompileError: `$CXX` names a program that does not exist.
    """
    import shlex
    import shutil

    if wished := shlex.split(environ.get("CXX", "")):
        if shutil.which(wished[0]) is None:
            raise CompileError(f"CXX is set to {wished[0]}, which does not exist")
        return wished
    return next(([found] for name in ("g++", "c++", "clang++") if (found := shutil.which(name))), None)


def library_name(name: str, flags: Sequence[str], /) -> str:
    """Return the file name of the kernels for a kind of processor; it changes with the sources and the flags."""
    files = sorted(path for path in FOLDER.iterdir() if path.suffix in (".cpp", ".h"))
    state = "\n".join([*(path.read_text(encoding="utf-8") for path in files), *FLAGS, *flags])
    return f"kernels-{name}-{hashlib.sha256(state.encode()).hexdigest()[:16]}.so"


def compile_library(
    command: Sequence[str], flags: Sequence[str], path: Path, /, *, check: Callable[[Path], None] | None = None
) -> None:
    """Compile a library, check it, and move it to its place atomically, so that others never see a part of it.

    Args:
        command: The compiler and its first arguments.
        flags: The flags of the kind of processor.
        path: The library.
        check: Raises if a library does not work.

    Raises:
        CompileError: The compiler does not run, or fails.
        OSError: The folder cannot be written.
    """
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        _run(*command, *FLAGS, *flags, str(SOURCE), "-o", str(made), "-ldl")
        if check is not None:
            check(made)
        made.replace(path)


def _run(*command: str) -> None:
    import subprocess

    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise CompileError(f"{command[0]} does not run: {error.strerror}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        first = next((line for line in lines if "error" in line), lines[0])
        raise CompileError(f"{command[0]} could not build the kernels: {first.strip()}")
