"""Lone surrogates: what Python has for bytes that are not text; UTF-8 cannot write them, no model can read them."""

from __future__ import annotations

from collections.abc import Mapping


def lone_surrogate(value: object, /) -> str | None:
    r"""Return the first lone surrogate in a text, or in the texts of nested lists and objects; None without one.

    Args:
        value: A text, a mapping, a list or a tuple; any other value has no text.

    Example:
        >>> lone_surrogate({"本文": ["葛\udb40城"]})
        'U+DB40'
    """
    if isinstance(value, str):
        return _in_text(value)
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if (found := _in_text(item)) is not None:
                return found
        elif isinstance(item, Mapping):
            waiting += [part for pair in reversed(list(item.items())) for part in reversed(pair)]
        elif isinstance(item, list | tuple):
            waiting += reversed(item)
    return None


def _in_text(text: str) -> str | None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return f"U+{ord(text[error.start]):04X}"
    return None
