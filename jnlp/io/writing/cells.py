"""Values of a row as cells of a table, and the check that they can be written."""

from __future__ import annotations

import json

from jnlp.errors import RecordError
from jnlp.strict_json import dumps_shown
from jnlp.surrogates import lone_surrogate


def check_text(value: object, where: str, /) -> None:
    """Raise RecordError if a text within a value has half a character (a lone surrogate).

    Args:
        value: Texts, lists and objects of them; everything else is ignored.
        where: The place, for the message.
    """
    if (half := lone_surrogate(value)) is not None:
        raise RecordError(f"{where}: half a character ({half}) cannot be written in utf-8")


def to_cell(value: object, /) -> str:
    """Return a value as a cell: empty for None, text and numbers unchanged, everything else as JSON."""
    if isinstance(value, str):
        return str.__str__(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value) if type(value) in (int, float) else str(value)
    text = dumps_shown(value)
    # A date is its text, not a quoted one.
    return json.loads(text) if text.startswith('"') else text
