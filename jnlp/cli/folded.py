"""A text for rich that is folded by Japanese rules; imported where something is printed, as it loads rich."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.containers import Lines
from rich.text import Text

from jnlp.cli.folding import breaks
from jnlp.terminal import TOGETHER

if TYPE_CHECKING:
    from rich.console import Console


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


def width_of(text: Text, /) -> int:
    """Return the columns of the screen that a text takes, its longest line."""
    return max(map(cell_len, text.plain.expandtabs(8).splitlines()), default=0)
