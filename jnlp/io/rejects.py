"""Records that failed, as lines of JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp.io.cells import dumps
from jnlp.io.sinks import Growing

if TYPE_CHECKING:
    from pathlib import Path

    from jnlp.types import Failed


def reject_line(failed: Failed, /) -> str:
    """Return `{"id", "path", "line", "error"}` and a line break."""
    row = {"id": failed.id, "path": failed.source.path, "line": failed.source.line, "error": reason(failed.error)}
    return dumps(row) + "\n"


def reason(error: Exception, /) -> str:
    """Return an error in one line; one that is no `JnlpError` with its type."""
    text = str(error) if isinstance(error, JnlpError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


class RejectsFile:
    """The file of rejects.

    Args:
        path: The file, made anew unless `at` is given.
        at: Where to continue.
    """

    def __init__(self, path: Path, at: int | None) -> None:
        self.path = path
        self.start = at or 0
        self.file = Growing(path, at)
