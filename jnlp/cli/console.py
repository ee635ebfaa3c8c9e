"""Tables on stdout and progress on stderr, by rich, which only this and `folded` know. User text is no markup."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from jnlp.terminal import printable, raw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.console import Console

PAGE = 200
"""Rows per table. A longer output is printed as several tables, so that a stream appears as it is read."""


def _console(stream: object = None) -> Console:
    from rich.console import Console

    file = raw(sys.stdout if stream is None else stream)
    return Console(file=file, markup=False, highlight=False, emoji=False, soft_wrap=False)


class Pages:
    """Prints rows as tables on stdout, one page at a time; the columns are the keys of the page's rows."""

    def __init__(self) -> None:
        self._rows: list[Mapping[str, object]] = []

    def add(self, row: Mapping[str, object], /) -> None:
        """Add one row; text is printed unchanged."""
        self._rows.append(row)
        if len(self._rows) >= PAGE:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            from jnlp.cli.folded import table

            console = _console()
            console.print(table(self._rows, console.width))
            self._rows = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()


def passage(head: str, text: str, highlights: Sequence[tuple[int, int]], /, *, foot: str = "") -> None:
    """Print a search hit: a head line, the passage with highlights in bold, a foot line.

    Args:
        head: The line above.
        text: The passage.
        highlights: Character offsets in `text`.
        foot: The lines below.
    """
    from rich.padding import Padding

    from jnlp.cli.folded import FoldedText

    console = _console()
    console.print(FoldedText(printable(head), style="bold cyan"))
    body = FoldedText(printable(text.replace("\r\n", " \n")))  # as long as it was, for the highlights
    for start, end in highlights:
        body.stylize("bold yellow", start, end)
    console.print(Padding(body, (0, 0, 0, 3)))
    if foot:
        console.print(Padding(FoldedText(printable(foot), style="dim"), (0, 0, 0, 3)))


def is_terminal() -> bool:
    """Return True if stdout is a terminal."""
    return sys.stdout.isatty()


@contextmanager
def progress(
    label: str, /, *, total: int | None = None, done: int = 0, quiet: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on stderr with count, rate and time left, if stderr is a terminal.

    Args:
        label: The label of the bar.
        total: The total count, if known.
        done: The count at the start.
        quiet: Show no bar.

    Yields:
        A function to call with the number done since the last call.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_console(sys.stderr), transient=True) as bar:
        task = bar.add_task(label, total=total, completed=done, rate="")

        def advance(done: int) -> None:
            bar.advance(task, done)
            speed = bar.tasks[0].speed
            bar.update(task, rate=f"{speed:,.0f}/s" if speed else "")

        yield advance
