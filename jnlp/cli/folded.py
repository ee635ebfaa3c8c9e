"""Texts and tables for rich, folded by Japanese rules; imported where something is printed, as it loads rich."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.containers import Lines
from rich.table import Table
from rich.text import Text

from jnlp.cli.folding import breaks, column_widths
from jnlp.terminal import TOGETHER, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console


_GAP = 3
"""Blanks between the columns of a table; one less where they do not fit the screen."""


class FoldedText(Text):
    """A text whose lines do not begin with a full stop or a closing bracket."""

    def wrap(self, console: Console, width: int, **how: Any) -> Lines:
        """Return the lines; rich calls this with the width that there is."""
        found = Lines()
        for line in self.split(allow_blank=True):
            if "\t" in line:
                line.expand_tabs(how.get("tab_size") or 8)
            parts = line.divide(breaks(line.plain, width, cell_len))
            for part in parts:
                part.rstrip_end(width)
                part.plain = part.plain.replace(TOGETHER, " ")
            if how.get("justify"):
                parts.justify(console, width, justify=how["justify"], overflow=how.get("overflow") or "fold")
            found.extend(parts)
        return found


def _width_of(text: Text, /) -> int:
    """Return the columns of the screen that a text takes, its longest line."""
    return max(map(cell_len, text.plain.expandtabs(8).splitlines()), default=0)


def table(rows: Sequence[Mapping[str, object]], width: int) -> Table:
    """Return rows as a table: columns keep the width of their values where all fit, else long texts are folded."""
    columns: dict[str, object] = {}  # the rows of a jsonl need not have the same keys
    for row in rows:
        columns = {**columns, **{name: value for name, value in row.items() if name not in columns}}
    heads = [FoldedText(printable(column)) for column in columns]
    cells = [[FoldedText(printable(_cell(value))) for value in map(row.get, columns)] for row in rows]
    natural = [max(map(_width_of, own)) for own in zip(heads, *cells, strict=True)]
    crowded = sum(natural) + _GAP * (len(columns) - 1) > width
    widths = column_widths(natural, width - (_GAP - 1) * (len(columns) - 1)) if crowded else natural
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=crowded)
    for head, value, own in zip(heads, columns.values(), widths, strict=True):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        made.add_column(head, justify="right" if number else "left", overflow="fold", width=own)
    for line in cells:
        made.add_row(*line)
    return made


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    return str(value)
