"""Follows folders: updates an index each time that their files have changed and then stayed as they are for a while."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError, MissingExtraError, UsageError
from jnlp.io.reading.ignore import NAMES
from jnlp.io.reading.walk import is_left_out

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

MOST_WAITING = 10
"""An update begins after so many times `debounce` even if files go on changing."""

_BEAT = 1.0  # seconds: how long to wait for a change at once
_STEP = 50  # milliseconds: changes within a step come together


@dataclass(slots=True)
class Waiting:
    """The changes that no update has taken in yet: when the first came, and the last."""

    debounce: float
    first: float | None = None
    last: float = 0.0

    def add(self) -> None:
        """Note that something has changed."""
        self.last = time.monotonic()
        self.first = self.last if self.first is None else self.first

    def is_due(self) -> bool:
        """Return True if changes have settled, or have waited for long."""
        if self.first is None:
            return False
        now = time.monotonic()
        return now - self.last >= self.debounce or now - self.first >= MOST_WAITING * self.debounce


def updates_due(
    folders: Sequence[str | Path], index: Path, /, *, debounce: float, stop: threading.Event | None = None
) -> Iterator[Waiting]:
    """Yield whenever an update is due: at once, and then each time that changes have settled.

    Changes that come during an update count for the next one, which is what is yielded.

    Args:
        folders: The folders to follow, with all below them.
        index: The index; its own files, which may be below the folders, do not count.
        debounce: Seconds without a change before an update.
        stop: Ends the iteration when it is set.

    Raises:
        UsageError: A path is not a folder.
        MissingExtraError: watchfiles is not installed.
        JnlpError: The system cannot watch the folders.
        KeyboardInterrupt: Ctrl-C, while waiting too.
    """
    try:
        from watchfiles import watch
    except ImportError:
        raise MissingExtraError("watch", "following folders") from None
    for folder in folders:
        if not Path(folder).is_dir():
            reason = "is a file" if Path(folder).exists() else "does not exist"
            raise UsageError(f"{folder} {reason}: only folders can be followed", hint="give its folder")
    tops, own = [Path(folder).resolve() for folder in folders], index.resolve()
    wait = int(1000 * min(max(debounce, 0.01), _BEAT))
    waiting = Waiting(debounce)
    changes = watch(
        *tops,
        watch_filter=None,
        debounce=_STEP,
        step=_STEP,
        rust_timeout=wait,
        yield_on_timeout=True,
        stop_event=stop,
        ignore_permission_denied=True,
    )
    started = False
    try:
        for changed in changes:
            if any(_counts(Path(path), tops, own) for _, path in changed):
                waiting.add()
            if waiting.is_due() or not started:  # the first comes when the folders are watched already
                started, waiting = True, Waiting(debounce)
                yield waiting
    except (OSError, RuntimeError) as error:  # no caller's error comes here
        raise JnlpError(
            f"the folders cannot be followed: {error}",
            hint="WATCHFILES_FORCE_POLLING=1 looks at the files at intervals instead",
        ) from error


def _counts(path: Path, tops: Sequence[Path], own: Path) -> bool:
    """Return True if a changed file may be one that is indexed, or chooses those."""
    whole = path.parent.resolve() / path.name
    if whole.is_relative_to(own):
        return False
    below = [whole.relative_to(top).parts for top in tops if whole.is_relative_to(top)]
    return any(not any(is_left_out(name) and name not in NAMES for name in names) for names in below)
