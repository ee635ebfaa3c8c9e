"""The user's folders for settings and for what can be made again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_XDG = sys.platform.startswith("linux")


def config_folder() -> Path:
    """Return where jnlp's settings are, or would be.

    Example:
        >>> config_folder()
        PosixPath('/home/me/.config/jnlp')
    """
    return _folder("config")


def cache_folder() -> Path:
    """Return where jnlp keeps what can be made again.

    Example:
        >>> cache_folder()
        PosixPath('/home/me/.cache/jnlp')
    """
    return _folder("cache")


def _folder(kind: str) -> Path:
    """Return a folder as platformdirs has it, which takes longer to import than a short text to judge."""
    if _XDG:
        given = os.environ.get(f"XDG_{kind.upper()}_HOME", "")
        return Path(given if given.startswith("/") else os.path.expanduser(f"~/.{kind}")) / "jnlp"  # noqa: PTH111 - without a home
    import platformdirs

    folders = {"config": platformdirs.user_config_path, "cache": platformdirs.user_cache_path}
    return folders[kind]("jnlp", appauthor=False)
