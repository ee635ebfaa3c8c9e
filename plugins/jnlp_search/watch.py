"""Follows folders: updates an index each time that their files have changed and then stayed as they are for a while."""

from __future__ import annotations

import stat
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError, MissingExtraError, UsageError
from jnlp.io.reading.ignore import NAMES
from jnlp.io.reading.walk import is_left_out
from jnlp_search.roots import canonical
from jnlp_search.store.checks import DamagedIndexError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from jnlp.types import AddReport

MOST_WAITING = 10
"""An update begins after so many times `debounce` even if files go on changing."""

_BEAT = 1.0  # seconds: how long to wait for a change at once
_STEP = 50  # milliseconds: changes within a step come together


MOST_PATHS = 100
"""After more changes at once an update reads all files: the system may not have reported every change."""


@dataclass(slots=True)
class Waiting:
    """The changes that no update has taken in yet: when the first came, the last, and what changed."""

    debounce: float
    first: float | None = None
    last: float = 0.0
    paths: set[str] | None = field(default_factory=set)

    def add(self, paths: Iterable[str] | None) -> None:
        """Note that canonical paths have changed, with all below them; None is that anything may have."""
        self.paths = None if paths is None or self.paths is None else self.paths.union(paths)
        if self.paths is not None and len(self.paths) > MOST_PATHS:
            self.paths = None
        self.last = time.monotonic()
        self.first = self.last if self.first is None else self.first

    def is_due(self) -> bool:
        """Return True if changes have settled, or have waited for long."""
        if self.first is None:
            return False
        now = time.monotonic()
        return now - self.last >= self.debounce or now - self.first >= MOST_WAITING * self.debounce


def follow(
    folders: Sequence[str | Path],
    index: Path,
    update: Callable[[set[str] | None], AddReport],
    /,
    *,
    debounce: float,
    stop: threading.Event | None,
    on_error: Callable[[JnlpError], None] | None,
) -> Iterator[AddReport]:
    """Update an index whenever an update is due, and yield its reports.

    Args:
        folders: As in `updates_due`.
        index: As in `updates_due`.
        update: Takes what has changed.
        debounce: As in `updates_due`.
        stop: As in `updates_due`.
        on_error: Called with the error of a later update, which is tried again; None raises it. The error of the first
            update, of a wrong call and of a damaged index is always raised.
    """
    followed = False
    for waiting, changed in updates_due(folders, index, debounce=debounce, stop=stop):
        try:
            report = update(changed)
        except JnlpError as error:
            if on_error is None or not followed or isinstance(error, UsageError | DamagedIndexError):
                raise
            on_error(error)
            waiting.add(changed)  # tried again
            continue
        followed = True
        yield report


def updates_due(
    folders: Sequence[str | Path], index: Path, /, *, debounce: float, stop: threading.Event | None = None
) -> Iterator[tuple[Waiting, set[str] | None]]:
    """Yield whenever an update is due: at once, and then each time that changes have settled.

    What is yielded is the next update, for which changes count that come during this one, and the canonical paths that
    have changed for this one, with all below them; None is that anything may have.

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
            paths = [Path(path) for _, path in changed if _counts(Path(path), tops, own)]
            if paths:
                all_may = any(path.name in NAMES for path in paths)  # an ignore file chooses others
                waiting.add(None if all_may else {canonical(str(path)) for path in paths})
            if waiting.is_due() or not started:  # the first comes when the folders are watched already
                now, started, waiting = waiting.paths if started else None, True, Waiting(debounce)
                yield waiting, now
    except (OSError, RuntimeError) as error:  # no caller's error comes here
        raise JnlpError(
            f"the folders cannot be followed: {error}",
            hint="WATCHFILES_FORCE_POLLING=1 looks at the files at intervals instead",
        ) from error


def reads_again(changed: set[str] | None, /) -> Callable[[Path], bool] | None:
    """Return the function that tells which files an update reads: those that changed, or are below what did.

    A file with several names or links may have changed under another one, so it is always read. None reads all.
    """
    if changed is None:
        return None

    def is_read(path: Path) -> bool:
        try:
            about = path.lstat()
        except OSError:
            return True
        if stat.S_ISLNK(about.st_mode) or about.st_nlink > 1:
            return True
        whole = canonical(str(path))
        return whole in changed or any(parent.as_posix() in changed for parent in PurePosixPath(whole).parents)

    return is_read


def _counts(path: Path, tops: Sequence[Path], own: Path) -> bool:
    """Return True if a changed file may be one that is indexed, or chooses those."""
    whole = path.parent.resolve() / path.name
    if whole.is_relative_to(own):
        return False
    below = [whole.relative_to(top).parts for top in tops if whole.is_relative_to(top)]
    return any(not any(is_left_out(name) and name not in NAMES for name in names) for names in below)
