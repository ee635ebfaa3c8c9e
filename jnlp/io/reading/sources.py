"""Expands arguments to inputs: literal texts, files, folders, globs and standard input."""

from __future__ import annotations

import glob
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.errors import RecordError, UsageError
from jnlp.io.reading.inputs import Input, PassedOver, extension_of
from jnlp.io.reading.walk import Walk
from jnlp.patterns import deferred
from jnlp.surrogates import lone_surrogate
from jnlp.types import Failed, Record, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from typing import BinaryIO

    from jnlp.io.reading.options import ReadOptions

_JAPANESE = deferred("[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
_WRITTEN = deferred(r"[\s。、．，！？「」『』…]")  # in texts; hardly in names of files
_FOREIGN = (".doc", ".xls", ".ppt", ".zip")  # no reader, yet surely a file name
_MAGIC = deferred(r"[*?\[]")
_LONGEST_PATH = 4096


Item = Input | Record | Failed
"""The results of expanding arguments: inputs to read, literal texts, and failures."""


def expand(
    arguments: Sequence[str | Path],
    options: ReadOptions,
    extensions: Collection[str],
    *,
    stdin: BinaryIO | None = None,
    paths_only: bool = False,
    passed_over: PassedOver | None = None,
    apart: Sequence[Path] = (),
) -> Iterator[Item]:
    """Expand the arguments in order; folders are walked lazily and sorted, without hidden names.

    Args:
        arguments: `-` is standard input; a `Path` is always a path.
        options: `literal`, `recursive`, `include`, `exclude`, `ignore` and `input_format` matter here.
        extensions: The extensions that have a reader; other files in folders are skipped.
        stdin: What `-` reads (default: the process's).
        paths_only: True if every argument must be a path.
        passed_over: Counts the files of folders that have no reader.
        apart: Folders that are not read with the folder they are in.

    Raises:
        UsageError: At once, for an argument that looks like a path and does not exist, or a pattern that is none.
    """
    checked = [_classify(argument, options, extensions, paths_only=paths_only) for argument in arguments]
    left_out = {str(folder.resolve()) for folder in apart}
    walk = Walk(options, extensions, PassedOver() if passed_over is None else passed_over, left_out)
    return _expand(arguments, checked, options, walk, stdin)


def _expand(
    arguments: Sequence[str | Path],
    checked: list[list[Path] | None],
    options: ReadOptions,
    walk: Walk,
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
    if lone_surrogate(argument) is not None:
        return Failed(id, source, RecordError(f"{id}: not text in the terminal's encoding", hint="put it into a file"))
    if not argument.strip():
        return Failed(id, source, RecordError(f"{id}: the text is empty"))
    return Record(id, argument, source=source)


def _classify(
    argument: str | Path, options: ReadOptions, extensions: Collection[str], *, paths_only: bool
) -> list[Path] | None:
    """Return the paths of an argument, or None for a literal text and standard input."""
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
