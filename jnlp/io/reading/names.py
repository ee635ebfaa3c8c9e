"""Spellings of one file's name: composed (NFC), as most systems write it, and as it is on the disk."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path


def composed(text: str, /) -> str:
    """Return a name in the composed form (NFC): macOS and some archives write が as か and a mark."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def composed_path(path: str, /) -> str:
    """Return a path in composed form (NFC), or unchanged if that is the path of another file."""
    name = composed(path)
    if name == path or not os.path.lexists(name) or not os.path.lexists(path):
        return name
    try:
        return name if Path(name).samefile(path) else path
    except OSError:
        return path


def path_on_disk(path: str, /) -> str:
    """Return the path on disk of a file with a composed name; the name itself if there is no such file."""
    if path.isascii() or os.path.lexists(path):
        return path
    found = "/" if path.startswith("/") else ""
    for part in path.split("/"):
        there = os.path.join(found, part)  # noqa: PTH118 - text, not a path
        other = os.path.join(found, unicodedata.normalize("NFD", part))  # noqa: PTH118
        found = other if other != there and os.path.lexists(other) and not os.path.lexists(there) else there
    return found
