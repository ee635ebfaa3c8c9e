"""The folder of an index that is kept in shards: `shards.json`, and a generation of ordinary indexes.

    my.idx/shards.json                        how many shards, and which generation
    my.idx/generation-0001/shard-000/         an ordinary index: a catalogue and segments
    my.idx/generation-0001/shard-001/

A rebuild writes the next generation; `shards.json` names it when it is complete. A document belongs to the shard that a
hash of its identity names. Numbers of documents and passages are unique in all shards, and the roots are the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp.io.durable import replacing, sync_folder
from jnlp.strict_json import dumps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAME = "shards.json"
FORMAT = 1
CATALOG, SEGMENTS, SUM = "catalog.sqlite", "segments", "catalog.sum"
MOST = 1_000
"""Shards of an index."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How an index is kept in shards.

    Args:
        shards: How many there are.
        generation: Which of the folders of shards is the index.
    """

    shards: int
    generation: int = 1

    def folder(self, index: Path, /) -> Path:
        """Return the folder of the generation."""
        return index / f"generation-{self.generation:04d}"

    def folders(self, index: Path, /) -> list[Path]:
        """Return the folders of the shards."""
        return [self.folder(index) / f"shard-{number:03d}" for number in range(self.shards)]


def read_layout(index: Path, /) -> Layout | None:
    """Return how an index is kept in shards, or None for an ordinary index or a missing one.

    Raises:
        JnlpError: `shards.json` was changed, or is of a later format.
    """
    path = index / NAME
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises for a name that is too long
        return None
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text)
        made = Layout(values["shards"], values["generation"])
        if values["format"] != FORMAT:
            raise JnlpError(f"{path} has format {values['format']}, and this jnlp reads {FORMAT}", hint="update jnlp")
        if text != _form(made) or not 1 <= made.shards <= MOST:
            raise ValueError("it was changed")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _unreadable(path, error) from error
    return made


def write_layout(index: Path, layout: Layout, /) -> None:
    """Write `shards.json` atomically."""
    with replacing(index / NAME) as file:
        file.write(_form(layout).encode())
    sync_folder(index)


def is_index(folder: Path, /) -> bool:
    """Return True if a folder seems to be an index, in shards or not."""
    return os.path.lexists(folder / CATALOG) or os.path.lexists(folder / NAME)


def remove_others(index: Path, layout: Layout | None, /) -> None:
    """Remove what a killed rebuild has left: other generations, and the files of an index without shards.

    Args:
        index: The index; the caller holds its lock.
        layout: How it is kept; None is without shards.
    """
    import shutil  # which loads three compressors

    for path in index.iterdir():
        if is_generation(path) and (layout is None or path != layout.folder(index)):
            shutil.rmtree(path)
    if layout is not None:
        for name in (CATALOG, f"{CATALOG}-wal", f"{CATALOG}-shm", SUM):
            (index / name).unlink(missing_ok=True)
        for name in (SEGMENTS, "rebuild"):
            shutil.rmtree(index / name, ignore_errors=True)


def is_generation(path: Path, /) -> bool:
    """Return True for a folder of shards."""
    return path.name.startswith("generation-") and path.is_dir() and not path.is_symlink()


def folders_of(index: Path, /) -> list[Path]:
    """Return the folders with a catalogue: those of the shards, or the index itself."""
    layout = read_layout(index)
    return [index] if layout is None else layout.folders(index)


def stamp_of(index: Path, /) -> tuple[int, int] | None:
    """Return what changes when `shards.json` is replaced; None for an ordinary index."""
    try:
        about = (index / NAME).stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns


def index_of(folder: Path, /) -> Path:
    """Return the index that a folder with a catalogue belongs to: that of a shard, or itself."""
    top = folder.parent.parent
    return top if folder.name.startswith("shard-") and (top / NAME).is_file() else folder


def shard_of(identity: Sequence[object], shards: int, /) -> int:
    """Return the shard of a document.

    Args:
        identity: Its root, path and key.
        shards: How many shards there are.

    Example:
        >>> shard_of((1, "a.txt", ""), 4), shard_of((1, "a.txt", ""), 1)
        (1, 0)
    """
    if shards == 1:
        return 0
    text = "\0".join(map(str, identity))
    digest = hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % shards


def _form(layout: Layout) -> str:
    return dumps({"format": FORMAT, "shards": layout.shards, "generation": layout.generation}) + "\n"


def _unreadable(path: Path, error: Exception) -> JnlpError:
    text = f'{{"format": {FORMAT}, "shards": N, "generation": M}}'
    return JnlpError(f"{path} cannot be read: {error}", hint=f"write {text} for the folders that are there")
