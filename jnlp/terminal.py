"""Makes text safe to print on a terminal: control characters become symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp.patterns import deferred

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

_OBEYED = deferred("\r\n|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


TOGETHER = "\N{NO-BREAK SPACE}"
"""A space at which a table breaks no line; it is printed as a space."""


def listed(items: Iterable[str], /) -> str:
    """Return items for the cell of a table, which breaks lines between them where it can.

    Example:
        >>> listed(["馬鹿 (insult)", "model 0.15"]).replace(TOGETHER, "_")
        '馬鹿_(insult)  model_0.15'
    """
    return "  ".join(item.replace(" ", TOGETHER) for item in items)


def printable(text: str, /) -> str:
    r"""Return a text with each control character replaced by one symbol; line breaks and tabs stay.

    Escape sequences in documents, file names and messages could clear the screen or write the clipboard. Bidirectional
    control characters could display a text in another order.

    Example:
        >>> printable("a\x1b[2Jb")
        'a␛[2Jb'
    """
    return _OBEYED.sub(lambda match: _symbol(match[0]), text)


def _symbol(character: str) -> str:
    code = ord(character[-1])
    if len(character) == 2:
        return "\n"
    if code < 0x20:
        return chr(0x2400 + code)  # ␀ to ␟
    return "␡" if code == 0x7F else "�"


class Terminal:
    """A text stream to a terminal that makes all text printable; `raw` returns the original stream.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: TextIO, /) -> None:
        self.raw = stream

    def write(self, text: str, /) -> int:
        """Write a text with its control characters as symbols."""
        return self.raw.write(printable(text))

    def writelines(self, lines: Iterable[str], /) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


def raw(stream: Any, /) -> Any:
    """Return the stream below a `Terminal`, for callers that write their own escape sequences."""
    return stream.raw if isinstance(stream, Terminal) else stream
