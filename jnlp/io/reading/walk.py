"""Walks folders: selects the files to read and gives each its name."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from jnlp.io.reading.ignore import Chosen, rules_above, rules_in
from jnlp.io.reading.inputs import Input, PassedOver, extension_of
from jnlp.io.reading.names import composed_path
from jnlp.io.reading.textual import is_text
from jnlp.patterns import deferred

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from jnlp.io.reading.ignore import Rules
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import Failed

OUTSIDE = "links out of the folder"
"""The kind, in `PassedOver`, of links to files outside the given folder."""

# Files that a run keeps next to its output, so that reading a folder never reads what is being written into it; and
# those that Windows hides: the locks of open Office files, settings and previews of a folder.
_LEFT_OUT = deferred(r"\.part(\.state(\.tmp)?|\.lock)?$|^~\$|^(?:desktop\.ini|thumbs\.db)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Walk:
    """Walks folders.

    Args:
        options: How to read.
        extensions: The extensions that have a reader.
        passed_over: Counts the skipped files.
        apart: Folders, by their whole paths, that are not read with the folder they are in.
    """

    options: ReadOptions
    extensions: Collection[str]
    passed_over: PassedOver
    apart: Collection[str] = ()
    chosen: Chosen = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "chosen", Chosen.of(self.options.include, self.options.exclude))

    def below(self, top: Path) -> Iterator[Input | Failed]:
        """Yield the file, or the files in a folder and below it; an unreadable entry is a failure."""
        waiting: list[tuple[Path, Rules | None]] = [(top, None)]  # not recursion: folders may be deeper than the stack
        home = ""
        while waiting:
            path, rules = waiting.pop()
            source = Input(shown(path), path, extension_of(path), named=path is top)
            try:
                if not _is_folder(path):
                    if self._is_read(source, top):
                        yield self._set_format(source)
                    continue
                if path is top:
                    home = os.path.realpath(path)
                    rules = _above(path) if self.options.ignore else None
                if self.options.ignore:
                    rules = rules_in(os.path.abspath(path), rules)  # noqa: PTH100 - links stay
                entries = sorted(self._entries(path, top, rules, home))
                if path is not top and _is_index(entries):
                    continue
            except OSError as error:
                yield source.failed(f"cannot be read: {(error.strerror or str(error)).lower()}")
                continue
            waiting += ((path / name, rules) for name in reversed(entries))

    def _set_format(self, source: Input) -> Input:
        return replace(source, extension=f".{self.options.input_format}") if self.options.input_format else source

    def _is_read(self, source: Input, top: Path) -> bool:
        assert source.path is not None
        if not self.chosen.takes(*_names(source.path, top)):
            return False
        if source.named or self.options.input_format or source.extension in self.extensions:
            return True
        if is_text(source.path, source.extension):
            return True
        self.passed_over.add(source.path)
        return False

    def _entries(self, folder: Path, top: Path, rules: Rules | None, home: str) -> Iterator[str]:
        """Yield the names of the files and broken links in a folder, and of subfolders if recursive."""
        with os.scandir(folder) as entries:
            for entry in entries:
                # A link to a folder is not followed (it may lead round), a pipe in a folder would wait for ever.
                if is_left_out(entry.name):
                    continue
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_folder and not self.options.recursive:
                    continue
                if not is_folder and not _is_broken(entry) and not entry.is_file():
                    continue
                if is_folder and self.chosen.skips(*_names(folder / entry.name, top)):
                    continue
                if is_folder and self.apart and os.path.realpath(entry.path) in self.apart:
                    continue
                if rules is not None and rules.ignores(_full(folder, entry.name) + "/" * is_folder):
                    self.passed_over.ignored += 1
                elif entry.is_symlink() and not _is_broken(entry) and not _is_inside(entry.path, home):
                    self.passed_over.kinds[OUTSIDE] += 1
                else:
                    yield entry.name


def is_left_out(name: str, /) -> bool:
    """Return True if a file or folder of this name is not read with its folder: hidden, or a run's own.

    Example:
        >>> is_left_out(".git"), is_left_out("表.csv.part"), is_left_out("表.csv")
        (True, True, False)
    """
    return name.startswith(".") or _LEFT_OUT.search(name) is not None


def _above(top: Path) -> Rules | None:
    """Return the rules of the folders above, unless they exclude this whole folder, which the user named."""
    rules = rules_above(top)
    folder = f"{os.path.abspath(top)}/"  # noqa: PTH100 - links stay
    return None if rules is None or rules.ignores(folder) else rules


def _full(folder: Path, name: str) -> str:
    return f"{os.path.abspath(folder).rstrip('/')}/{name}"  # noqa: PTH100 - links stay


def _is_index(entries: Collection[str]) -> bool:
    """Return True if a folder with these entries was made by `jnlp index`: it has passages, and no documents."""
    if "shards.json" in entries:
        return any(name.startswith("generation-") for name in entries)
    return "catalog.sqlite" in entries and "segments" in entries


def _names(path: Path, top: Path) -> tuple[str, ...]:
    """Return the names that patterns match: the printed path, and the path relative to the given folder."""
    if path == top:
        return (path.as_posix(),)
    return path.as_posix(), path.relative_to(top).as_posix()


def _is_inside(path: str, home: str) -> bool:
    return os.path.realpath(path).startswith(home.rstrip("/") + "/")


def _is_folder(path: Path) -> bool:
    """Return True if a path is a folder; raise OSError if it exists but cannot be read, as a broken link.

    A path that is gone is not a folder; opening it will report that.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise
        return False
    return stat.S_ISDIR(mode)


def _is_broken(entry: os.DirEntry[str]) -> bool:
    """Return True if an entry cannot be read: a link to itself or to nothing, or no permission."""
    try:
        entry.stat()
    except OSError:
        return True
    return False


def shown(path: Path, /) -> str:
    """Return a path as valid text, in composed form (NFC) unless another file has that name.

    Bytes that are not Unicode (as in old archives) are escaped.
    """
    return composed_path(path.as_posix()).encode("utf-8", "backslashreplace").decode()
