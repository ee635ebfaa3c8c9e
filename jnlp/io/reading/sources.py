"""From arguments to inputs: literal texts, files, folders, globs and standard input."""

from __future__ import annotations

import glob
import os
import re
import stat
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.errors import RecordError, UsageError
from jnlp.io.reading.streams import COMPRESSED, borrow, open_bytes
from jnlp.types import Failed, Record, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from jnlp.io.reading.options import ReadOptions

_JAPANESE = re.compile("[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
_WRITTEN = re.compile(r"[\s。、．，！？「」『』…]")  # in texts; hardly in names of files
_FOREIGN = (".doc", ".xls", ".ppt", ".zip")  # no reader, yet surely a file name
_MAGIC = re.compile(r"[*?\[]")
_LONGEST_PATH = 4096
_KIND = re.compile(r"\.([a-z0-9_+-]{1,10})")
_MOST_KINDS = 8  # named; the rest is counted together
# Files that a run keeps next to its output: reading a folder never reads what is being written into it.
_UNFINISHED = re.compile(r"\.part(\.state(\.tmp)?|\.lock)?$")


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to read.

    Args:
        name: How it is shown, and what ids begin with: the path as given, or `stdin`.
        path: The file; None for standard input.
        extension: The ending that chooses the reader, lower case, without `.gz` and the like.
        named: False for a file that was found in a folder.
        stream: What to read in place of the file.

    Example:
        >>> Input("文書/規程.txt", Path("文書/規程.txt"), ".txt").named
        True
    """

    name: str
    path: Path | None = None
    extension: str = ""
    named: bool = True
    stream: BinaryIO | None = None

    def open(self) -> BinaryIO:
        """Return the bytes, decompressed on the way where the name ends in .gz, .xz or .bz2; the caller closes it.

        Raises:
            OSError: The file cannot be opened.

        Example:
            >>> with Input("文書/規程.txt", Path("文書/規程.txt")).open() as file:
            ...     file.read(9).decode()
            '第一条'
        """
        if self.stream is not None:
            return borrow(self.stream)
        if self.path is None:
            raise ValueError("an input is a path or a stream")
        return open_bytes(self.path)

    def failed(
        self,
        reason: str,
        *,
        line: int | None = None,
        encoding: str | None = None,
        fields: Mapping[str, object] | None = None,
    ) -> Failed:
        """Return the failure of this input, or of one of its lines, with the columns that could be read.

        Example:
            >>> Input("感想.csv", Path("感想.csv")).failed("the row has no text", line=3).id
            '感想.csv:3'
        """
        where = self.name if line is None else f"{self.name}:{line}"
        return Failed(where, Source(self.name, line, encoding), RecordError(f"{where}: {reason}"), fields or {})


class PassedOver:
    """Counts files of folders that are not read because their kind has no reader.

    Example:
        >>> passed_over = PassedOver()
        >>> passed_over.add(Path("報告.doc"))
        >>> str(passed_over)
        '1 file passed over: 1 doc'
    """

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()

    def add(self, path: Path, /) -> None:
        """Count a file by its ending.

        Example:
            >>> passed_over = PassedOver()
            >>> passed_over.add(Path("報告.docx"))
            >>> len(passed_over)
            1
        """
        # An ending is short and plain; else the dot is a part of the name, as in `v1.2 の 議事録`.
        kind = _KIND.fullmatch(extension_of(path))
        self.kinds[kind[1] if kind else "without an extension"] += 1

    def __len__(self) -> int:
        return self.kinds.total()

    def __str__(self) -> str:
        ranked = sorted(self.kinds.items(), key=lambda kind: (-kind[1], kind[0]))
        shown = [f"{count:,} {kind}" for kind, count in ranked[:_MOST_KINDS]]
        if more := sum(count for _, count in ranked[_MOST_KINDS:]):
            shown.append(f"{more:,} of other kinds")
        return f"{len(self):,} {'file' if len(self) == 1 else 'files'} passed over: {', '.join(shown)}"


Item = Input | Record | Failed
"""What arguments expand to: inputs still to be read, literal texts, and what could not be opened."""


def expand(
    arguments: Sequence[str | Path],
    options: ReadOptions,
    extensions: Collection[str],
    *,
    stdin: BinaryIO | None = None,
    paths_only: bool = False,
    passed_over: PassedOver | None = None,
) -> Iterator[Item]:
    """Return what each argument names, in order; folders are walked lazily, sorted, hidden names left out.

    Args:
        arguments: `-` is standard input; a `Path` is always a path.
        options: `literal`, `recursive` and `input_format` matter here.
        extensions: The endings that have a reader; other files in folders are left out.
        stdin: What `-` reads (default: the process's).
        paths_only: True where a text cannot stand in place of a path.
        passed_over: Counts the files of folders that have no reader.

    Raises:
        UsageError: At once, for an argument that looks like a path and does not exist.
    """
    checked = [_classify(argument, options, extensions, paths_only=paths_only) for argument in arguments]
    walk = _Walk(options, extensions, PassedOver() if passed_over is None else passed_over)
    return _expand(arguments, checked, options, walk, stdin)


def _expand(
    arguments: Sequence[str | Path],
    checked: list[list[Path] | None],
    options: ReadOptions,
    walk: _Walk,
    stdin: BinaryIO | None,
) -> Iterator[Item]:
    for number, (argument, paths) in enumerate(zip(arguments, checked, strict=True), start=1):
        if paths is None and argument == "-" and not options.literal:
            stream = sys.stdin.buffer if stdin is None else stdin
            yield Input("stdin", extension=f".{options.input_format or 'txt'}", stream=stream)
        elif paths is None:
            yield _text(str(argument), number)
        else:
            for path in paths:
                yield from walk.below(path)


def _text(argument: str, number: int) -> Record | Failed:
    id, source = f"arg:{number}", Source("arg", number)
    try:
        argument.encode()
    except UnicodeEncodeError:  # Python hands on bytes that it could not decode as lone surrogates
        return Failed(id, source, RecordError(f"{id}: not text in the terminal's encoding", hint="put it into a file"))
    if not argument.strip():
        return Failed(id, source, RecordError(f"{id}: the text is empty"))
    return Record(id, argument, source=source)


def _classify(
    argument: str | Path, options: ReadOptions, extensions: Collection[str], *, paths_only: bool
) -> list[Path] | None:
    """The paths an argument names, or None for a literal text and standard input."""
    if isinstance(argument, str) and (options.literal or argument == "-"):
        return None
    if isinstance(argument, str) and not argument.strip():
        if paths_only:
            raise UsageError("a path is empty")
        return None
    if len(str(argument)) < _LONGEST_PATH and _exists(Path(argument)):
        return [Path(argument)]
    if isinstance(argument, str) and (found := _matches(argument)):
        return found
    if paths_only or isinstance(argument, Path) or _looks_like_path(argument, extensions):
        if _MAGIC.search(str(argument)):
            raise UsageError(f"no file matches {argument}")
        hint = None if paths_only or isinstance(argument, Path) else "to use it as a text, add --literal"
        raise UsageError(f"{argument} does not exist", hint=hint)
    return None


def _exists(path: Path) -> bool:
    try:
        path.lstat()  # a link that leads nowhere is a path too
    except PermissionError:
        return True  # something is there, and reading it will say that we may not
    except (OSError, ValueError):
        return False
    return True


def _matches(argument: str) -> list[Path]:
    if len(argument) >= _LONGEST_PATH or not _MAGIC.search(argument) or "\n" in argument or "\0" in argument:
        return []
    return [Path(found) for found in sorted(glob.glob(argument, recursive=True))]  # noqa: PTH207 - Path.glob is not for absolute patterns


def _looks_like_path(argument: str, extensions: Collection[str]) -> bool:
    if _WRITTEN.search(argument):
        return False
    if argument.startswith(("./", "../", "~/")):
        return True
    if argument.startswith("/") and len(argument) > 1 and not _JAPANESE.search(argument):
        return True
    return argument.endswith("/") or extension_of(Path(argument)) in {*extensions, *_FOREIGN}


def extension_of(path: Path) -> str:
    """Return the ending that chooses the reader, lower case: `.jsonl` of `a.JSONL.xz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if len(suffixes) > 1 and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


@dataclass(frozen=True, slots=True)
class _Walk:
    """Goes through folders."""

    options: ReadOptions
    extensions: Collection[str]
    passed_over: PassedOver

    def below(self, top: Path) -> Iterator[Item]:
        """Yield the file, or the files in a folder and all below it; what cannot be looked at is a failure."""
        waiting = [top]  # not recursion: folders may be deeper than Python's stack
        while waiting:
            path = waiting.pop()
            source = Input(_shown(path), path, extension_of(path), named=path is top)
            try:
                below = sorted(self._entries(path)) if _is_folder(path) else None
            except OSError as error:
                yield source.failed(f"cannot be read: {(error.strerror or str(error)).lower()}")
                continue
            if below is not None:
                waiting += (path / name for name in reversed(below))
            elif self.options.input_format:
                yield replace(source, extension=f".{self.options.input_format}")
            elif source.named or source.extension in self.extensions:
                yield source
            else:
                self.passed_over.add(path)

    def _entries(self, folder: Path) -> Iterator[str]:
        """Names of the files in a folder, of broken links, and of the folders where they are asked for."""
        with os.scandir(folder) as entries:
            for entry in entries:
                # A link to a folder is not followed (it may lead round), a pipe in a folder would wait for ever.
                if entry.name.startswith(".") or _UNFINISHED.search(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    wanted = self.options.recursive
                else:
                    wanted = _is_broken(entry) or entry.is_file()
                if wanted:
                    yield entry.name


def _is_folder(path: Path) -> bool:
    """Whether a path is a folder; OSError for one that is there and cannot be looked at, as a link that leads nowhere.

    A path that is gone is no folder: to open it will say so.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise
        return False
    return stat.S_ISDIR(mode)


def _is_broken(entry: os.DirEntry[str]) -> bool:
    """Whether an entry cannot be looked at: a link to itself or to nothing, a name that may not be read."""
    try:
        entry.stat()
    except OSError:
        return True
    return False


def _shown(path: Path) -> str:
    """A path as text that can be written: what is no Unicode in its name (an old archive's) is escaped."""
    return path.as_posix().encode("utf-8", "backslashreplace").decode()
