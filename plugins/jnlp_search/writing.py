"""Opens an index for writing: its lock, its shards, and one line for each error of the disk."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError, UsageError
from jnlp_search.store.catalog import SEGMENTS, Catalog
from jnlp_search.store.catalogs import Catalogs
from jnlp_search.store.checks import DamagedIndexError, damage_reported
from jnlp_search.store.filesum import write_sum
from jnlp_search.store.lock import NAME as LOCK
from jnlp_search.store.lock import writer_lock
from jnlp_search.store.shards import folders_of, is_generation, is_index, read_layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_AGAIN = "committed documents are kept; free space or fix the permissions, then run the same command again"


@contextmanager
def locked(folder: Path, /) -> Iterator[None]:
    """Lock an index for writing, create its folder if needed, and report errors of the disk in one line each."""
    with _clear_errors(folder), damage_reported(folder), _lock(folder):
        yield


@contextmanager
def changing(folder: Path, /) -> Iterator[Catalogs]:
    """Lock and open an existing index for writing; seal it at the end."""
    refuse_missing(folder)
    start = time.monotonic()
    with locked(folder):
        folders = folders_of(folder)
        with Catalogs.writing(folders) as catalogs:
            for catalog in catalogs.all:
                catalog.check_seal()
            yield catalogs
            for catalog in catalogs.all:
                catalog.seal()
        for one in folders:
            write_sum(one, time.monotonic() - start)


def refuse_missing(folder: Path, /) -> None:
    """Raise if there is no index in a folder.

    Raises:
        UsageError: There is none.
    """
    if not is_index(folder):
        raise UsageError(f"there is no index at {folder}", hint=f"jnlp index PATH… --index {folder}")


def refuse_foreign(folder: Path, /) -> None:
    """Raise if the folder to replace is not an index."""
    if read_layout(folder) is not None:
        return
    try:
        Catalog.reading(folder).close()
    except DamagedIndexError:
        if not (folder / SEGMENTS).is_dir():
            raise
    except JnlpError as error:
        if "is not an index" in error.message:
            raise


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Lock the folder for writing; create it if needed."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, and an index is a folder", hint="name a new folder: --index my.idx")
    folder.mkdir(parents=True, exist_ok=True)
    if not is_index(folder) and any(path.name != LOCK and not is_generation(path) for path in folder.iterdir()):
        raise UsageError(f"{folder} has other files and is not an index", hint="name a new folder: --index my.idx")
    with writer_lock(folder):
        yield


@contextmanager
def _clear_errors(folder: Path) -> Iterator[None]:
    """Turn an error of writing the index into a one-line JnlpError; committed documents are kept."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        reason, hint = error.strerror or error if isinstance(error, OSError) else error, _AGAIN
        if not os.path.lexists(folder):
            reason = _unmade(folder, error)
        if not is_index(folder):
            hint = "no index was made; name another folder with --index"
        raise JnlpError(f"{folder} cannot be written: {reason}", hint=hint) from error
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"{folder} has the documents indexed so far; run the same command to continue")
        raise


def _unmade(folder: Path, error: Exception) -> str:
    """Return why a folder could not be made. Virtual file systems say that there is no such file, which misleads."""
    parent = next((path for path in folder.absolute().parents if path.exists()), folder)
    why = "" if isinstance(error, FileNotFoundError) else f" ({getattr(error, 'strerror', None) or error})"
    return f"no folder can be made in {parent}{why}"
