"""The compiled kernels: built with the package or on demand, used if the processor supports them.

`status` finds the library for this processor: with the package, else in the user's cache, where
`jnlp doctor --build-kernels` and `build_in_background` leave it. Without one, plain torch gives the same results up to
rounding.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from jnlp import folders
from jnlp.encoder.forms.kernels import compile as compiling
from jnlp.encoder.forms.kernels import processors
from jnlp.encoder.forms.kernels.processors import KINDS, Kind
from jnlp.errors import JnlpError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jnlp.encoder.forms.kernels.binding import Binding
    from jnlp.encoder.forms.kernels.library import Kernels

VARIABLE = "JNLP_KERNELS"
"""`off` turns the kernels off; the name of a kind of processor uses those for it."""
BUILDING = "JNLP_BUILD_KERNELS"
"""`off` turns off that they are built with the package, and in the background."""
BUILD = "jnlp doctor --build-kernels"
_OTHER = "set CXX to another compiler; until then plain torch is used"
_NO_KIND = "this processor has neither AVX2 nor NEON, which the compiled ones need"


def kinds() -> tuple[Kind, ...]:
    """Return the kinds that this processor can run, the best first; none if `JNLP_KERNELS` is `off`.

    Raises:
        UsageError: `JNLP_KERNELS` names no kind, or one that this processor cannot run.
    """
    here, wished = processors.runnable(), os.environ.get(VARIABLE, "").lower()
    if wished in ("", "off"):
        return () if wished else here
    chosen = tuple(kind for kind in here if kind.name == wished)
    if not chosen:
        can = ", ".join(["off", *(kind.name for kind in here)])
        raise UsageError(f"{VARIABLE}={wished} cannot be used on this processor", hint=f"one of: {can}")
    return chosen


def cache_folder() -> Path:
    """Return the folder of the kernels in the user's cache."""
    return folders.cache_folder() / "kernels"


def library_path(kind: Kind, /) -> Path:
    """Return where the kernels of a kind are built on demand."""
    return cache_folder() / compiling.library_name(kind.name, kind.flags)


def compiler() -> list[str] | None:
    """Return the command of the C++ compiler, or None if there is none.

    Raises:
        JnlpError: `$CXX` names a program that does not exist.
    """
    try:
        return compiling.compiler()
    except compiling.CompileError as error:
        raise JnlpError(str(error), hint="unset CXX, or name a compiler") from error


def build(kind: Kind | None = None, /) -> Path:
    """Compile the kernels for this processor into the user's cache, try them, and return the library.

    Args:
        kind: For another kind of processor that this one can run; None: the best.

    Raises:
        JnlpError: The processor does not support them, there is no compiler or it fails, or the library does not load
            or gives wrong results. No file is left then.
    """
    if kind is None:
        if not (able := kinds()):
            raise JnlpError(_no_kernels(), hint="plain torch is used")
        kind = able[0]
    path = library_path(kind)
    command = compiler()
    if command is None:
        raise JnlpError("there is no C++ compiler to build the kernels with", hint="install g++, or set CXX")

    def check(made: Path) -> None:
        if wrong := try_library(made, kind):
            raise JnlpError(f"what {' '.join(command)} built does not work: {wrong}", hint=_OTHER)

    try:
        compiling.compile_library(command, kind.flags, path, check=check)
    except compiling.CompileError as error:
        raise JnlpError(str(error), hint=_OTHER) from error
    except OSError as error:
        raise JnlpError(f"{path.parent} could not be written: {error.strerror}", hint="set XDG_CACHE_HOME") from error
    finally:
        forget()
    return path


def _no_kernels() -> str:
    return f"the kernels are turned off by {VARIABLE}" if os.environ.get(VARIABLE, "").lower() == "off" else _NO_KIND


def try_library(made: Path, kind: Kind, /) -> str | None:
    """Return what is wrong with a library, or None. It runs in a separate process, which it may crash."""
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "jnlp.encoder.forms.kernels.check", kind.name, str(made)],
        capture_output=True,
        text=True,
        errors="replace",
        env=_environment(),
    )
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return f"it ends the process that tries it, by signal {-done.returncode}"
    return (done.stdout.strip() or done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]


def build_in_background() -> None:
    """Start to build the kernels if there are none and there is a compiler; the next process finds them.

    A build that has failed is not tried again until the sources change. `JNLP_BUILD_KERNELS=off` prevents it.
    """
    found = status()
    if found.binding is not None or found.kind is None or os.environ.get(BUILDING) == "off" or not _has_compiler():
        return
    started = library_path(found.kind).with_suffix(".started")
    try:
        started.parent.mkdir(parents=True, exist_ok=True)
        started.touch(exist_ok=False)
    except OSError:  # another process builds them, or nothing can be written
        return
    nothing = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    command = [sys.executable, "-m", "jnlp.encoder.forms.kernels.check", "build"]
    with suppress(OSError):
        os.posix_spawn(sys.executable, command, _environment(), file_actions=nothing, setsid=True)


def _environment() -> dict[str, str]:
    """Return the environment of a process that imports what this one can."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _has_compiler() -> bool:
    try:
        return compiler() is not None
    except JnlpError:
        return False


@dataclass(frozen=True, slots=True)
class Status:
    """Whether compiled kernels are in use, and why.

    Args:
        binding: The functions of the library; None: plain torch.
        text: What is compiled for this processor, or why nothing is.
        hint: How to change that, if possible.
        kind: The kind of processor to build them for; None: they are of no use here.
    """

    binding: Binding | None
    text: str
    hint: str | None = None
    kind: Kind | None = None


_on_trial: Binding | None = None


def functions() -> Binding | None:
    """Return the compiled kernels as functions over addresses, or None if there are none for this processor."""
    return _on_trial or status().binding


def load() -> Kernels | None:
    """Return the compiled kernels for tensors, or None if there are none for this processor."""
    found = functions()
    return None if found is None else _for_tensors(found)


@cache
def _for_tensors(found: Binding) -> Kernels:
    from jnlp.encoder.forms.kernels.library import Kernels

    return Kernels(found)


@contextmanager
def trial(chosen: Binding, /) -> Iterator[None]:
    """Use these kernels within a `with` block."""
    global _on_trial
    _on_trial = chosen
    try:
        yield
    finally:
        _on_trial = None


def forget() -> None:
    """Look for the kernels again at the next call of `status`."""
    status.cache_clear()


@cache
def status() -> Status:
    """Look for the compiled kernels, once per process. Raises only if `JNLP_KERNELS` is wrong.

    Raises:
        UsageError: See `kinds`.
    """
    able = kinds()
    if not able:
        return Status(None, f"plain torch: {_no_kernels()}")
    folder = cache_folder()
    for kind in able:
        name = compiling.library_name(kind.name, kind.flags)
        for path in (compiling.BUILT / name, folder / name):
            try:
                built = path.is_file()
            except OSError as error:  # a cache that another user owns
                why = f"plain torch: {path.parent} cannot be read: {error.strerror}"
                return Status(None, why, "set XDG_CACHE_HOME", kind)
            if built:
                return _opened(path, kind)
    stale = any(folder.glob("kernels-*.so"))
    why = "those built are for another version of jnlp" if stale else "none are built"
    hint = BUILD if _has_compiler() else f"install g++, then: {BUILD}"
    return Status(None, f"plain torch: {why}", hint, able[0])


def _opened(path: Path, kind: Kind) -> Status:
    from jnlp.encoder.forms.kernels.binding import Binding

    try:
        found = Binding(path, kind)
    except (OSError, AttributeError) as error:
        return Status(None, f"plain torch: {path} does not load ({error})", f"delete it, then: {BUILD}", kind)
    return Status(found, f"compiled for {kind.title}: {', '.join(found.formats)}: {path}", kind=kind)


__all__ = [
    "BUILD",
    "KINDS",
    "Kind",
    "Status",
    "build",
    "build_in_background",
    "compiler",
    "forget",
    "functions",
    "kinds",
    "library_path",
    "load",
    "status",
    "trial",
    "try_library",
]
