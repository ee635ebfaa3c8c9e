"""Finds where in a plugin an exception was raised, without the frames of jnlp, click and the import system."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


def own_line(error: BaseException, module: str, /) -> str:
    """Return an exception in one line, with the innermost place in the module's package.

    `NameError: name 'x' is not defined, keigo.py:12`.

    Args:
        error: The exception.
        module: The module that was imported.
    """
    text = " ".join(str(error).split())
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    own = [tb for tb in _chain(error.__traceback__) if _within(tb, module)]
    if not own:
        return line
    path = Path(own[-1].tb_frame.f_code.co_filename)
    shown = f"{path.parent.name}/{path.name}" if path.name == "__init__.py" else path.name
    return f"{line}, {shown}:{own[-1].tb_lineno}"


def own_traceback(error: BaseException, module: str, /) -> str:
    """Return an exception's traceback, starting at the first frame in a module's package.

    It is empty if no code of the package ran. A syntax error has no frame; its message has the place.

    Args:
        error: The exception.
        module: The module that was imported.
    """
    first = next((tb for tb in _chain(error.__traceback__) if _within(tb, module)), None)
    if first is None and not isinstance(error, SyntaxError):
        return ""
    shown = traceback.TracebackException(type(error), error, first)
    frames = [frame for frame in shown.stack if not frame.filename.startswith("<frozen importlib")]
    shown.stack = traceback.StackSummary.from_list(frames)
    lines = shown.format(chain=False) if frames else shown.format_exception_only()
    return "".join(lines)


def depth(error: BaseException, module: str, /) -> int:
    """Return how deep in an exception's traceback the innermost frame of a module's package is, or -1 without one."""
    return max((place for place, tb in enumerate(_chain(error.__traceback__)) if _within(tb, module)), default=-1)


def _chain(tb: TracebackType | None) -> list[TracebackType]:
    found = []
    while tb is not None:
        found.append(tb)
        tb = tb.tb_next
    return found


def _within(tb: TracebackType, module: str) -> bool:
    return str(tb.tb_frame.f_globals.get("__name__", "")).partition(".")[0] == module.partition(".")[0]
