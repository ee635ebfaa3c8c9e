"""A node whose disk is full: its errors say nothing of the work, which others can do."""

from __future__ import annotations

import errno
import os

from jnlp.errors import RecordError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a full disk."""

SAYINGS = (*(os.strerror(number) for number in FULL[:2]), "database or disk is full")
"""What errors say that carry no number: those made from an `OSError`, of libraries in Rust, and SQLite's."""

HINT = "free space on their disks"


def is_full(error: object, /) -> bool:
    """Return whether a worker's error comes of a full disk on its node.

    Args:
        error: What it failed with, or anything else.

    Example:
        >>> is_full(OSError(errno.ENOSPC, "No space left on device"))
        True
        >>> is_full(RecordError("No space left on device"))  # of one record, and it may quote its text
        False
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL
    if not isinstance(error, Exception) or isinstance(error, RecordError):
        return False
    return any(saying in str(error) for saying in SAYINGS)
