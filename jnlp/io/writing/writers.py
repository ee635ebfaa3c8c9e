"""Opens an output of any format, new or resumed."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from jnlp.errors import JnlpError, UsageError
from jnlp.io.durable import Lock
from jnlp.io.reading.inputs import extension_of
from jnlp.io.specs import READERS, WRITERS
from jnlp.io.writing import journal
from jnlp.io.writing.output import Output
from jnlp.io.writing.rejects import RejectsFile
from jnlp.io.writing.sinks import OutputEncoding, Row, Target, WriterFactory
from jnlp.strict_json import dumps

WriterLoaders = Mapping[str, Callable[[], object]]
"""Functions that import and return a writer (`Registration.load`), by format name."""


def builtin_writers() -> dict[str, Callable[[], object]]:
    """Return jnlp's own writers by format name."""
    return {spec.name: spec.load for spec in WRITERS}


def builtin_extensions() -> dict[str, str]:
    """Return jnlp's own output formats by file extension."""
    return {extension: spec.name for spec in WRITERS for extension in spec.extensions}


def format_of(out: str | Path | None, /, extensions: Mapping[str, str] | None = None) -> str:
    """Return the format of an output file's extension; jsonl if there is no file.

    Raises:
        UsageError: No format has this extension; the message lists the extensions.

    Example:
        >>> from jnlp.io import format_of
        >>> format_of(Path("結果.csv"))
        'csv'
    """
    extensions = builtin_extensions() if extensions is None else extensions
    out = None if out is None else Path(out)
    if out is None or standard_stream(out) is not None or (out.exists() and not out.is_file() and not out.is_dir()):
        return "jsonl"
    if out.suffix.lower() not in extensions:
        known = ", ".join(sorted(extensions))
        raise UsageError(f"{out}: no output format has the ending '{out.suffix}'", hint=f"--format, or one of {known}")
    return extensions[out.suffix.lower()]


def open_writer(
    format: str | None,
    out: str | Path | None = None,
    *,
    encoding: OutputEncoding = OutputEncoding.UTF_8,
    stream: BinaryIO | None = None,
    table: Callable[[Row], None] | None = None,
    columns: Sequence[str] = (),
    rejects: str | Path | None = None,
    inputs: Sequence[str | Path] = (),
    job: journal.Job | None = None,
    resume: bool = False,
    writers: WriterLoaders | None = None,
) -> Output:
    """Open an output; use it as a context manager.

    The output is written to `out.part`, which replaces `out` once it is complete.

    Args:
        format: jsonl, csv, tsv, parquet, npy, a plugin's, or `table`; None uses the extension of `out`.
        out: The file to write; None writes to `stream`.
        encoding: The codec of jsonl, csv and tsv.
        stream: The stream for rows without `out` (default: standard output).
        table: Called with each row if the format is `table`.
        columns: The columns, if known; else the first row determines them.
        rejects: The file of failed records; created unless resumed.
        inputs: The inputs, so that they are not overwritten.
        job: The identity of the job; without it, the run cannot be resumed.
        resume: Continue an interrupted run of the same job; if there is none, start from the beginning.
        writers: Writers by name; None for jnlp's own.

    Raises:
        UsageError: The format is unknown, the output is also an input, or its folder is missing.
        JnlpError: `resume` finds another job, another run is writing to `out`, or a file cannot be opened.

    Example:
        >>> from pathlib import Path
        >>> with open_writer("jsonl", Path("結果.jsonl")) as output:
        ...     output.write({"文": "猫"}, {"文": "犬"})
        >>> Path("結果.jsonl").read_text(encoding="utf-8").splitlines()
        ['{"文": "猫"}', '{"文": "犬"}']
    """
    out = None if out is None else Path(out)
    rejects = None if rejects is None else Path(rejects)
    _check(out, rejects, inputs)
    if format == "table":
        if table is None or out is not None:
            raise UsageError("a table is for the screen", hint="give --format with -o")
        return Output(None, None, rejects=_rejects(rejects, None), table=table)
    if resume and (out is None or job is None or standard_stream(out) is not None):
        raise UsageError("--resume needs a file", hint="-o FILE")
    name = format or format_of(out)
    factory = _factory(name, builtin_writers() if writers is None else writers)
    if job is not None:
        job = json.loads(dumps({**job, "format": name, "encoding": encoding}, default=str))
    lock: Lock | None = None
    try:
        target = _target(out, stream, encoding, tuple(columns))
        if target.part is None or target.stream is not None:
            return Output(factory(target), target, rejects=_rejects(rejects, None))
        lock = Lock(target.part.with_name(target.part.name + ".lock"), out or target.part)
        return _growing(factory, target, rejects, job, resume, lock)
    except BaseException as error:
        if lock is not None:
            lock.release()
        if not isinstance(error, OSError):
            raise
        reason = (error.strerror or str(error)).lower()
        raise JnlpError(f"{error.filename or out}: cannot be written: {reason}") from error


def _growing(
    factory: WriterFactory, target: Target, rejects: Path | None, job: journal.Job | None, resume: bool, lock: Lock
) -> Output:
    """Open an output with a part file, and continue one of an earlier run of the same job."""
    assert target.part is not None
    if job is None:
        return Output(factory(target), target, rejects=_rejects(rejects, None), lock=lock)
    path = target.part.with_name(target.part.name + ".state")
    state = journal.load(path, job) if resume and target.part.exists() else None
    if state is None:
        journal.remove(path)  # before the part is emptied, so that it never describes another
    else:
        target = replace(target, position=state.position)
    return Output(
        factory(target), target, rejects=_rejects(rejects, state), state_path=path, job=job, state=state, lock=lock
    )


def _target(out: Path | None, stream: BinaryIO | None, encoding: OutputEncoding, columns: tuple[str, ...]) -> Target:
    if out is None:
        return Target(None, sys.stdout.buffer if stream is None else stream, encoding, columns)
    if (standard := standard_stream(out)) is not None:
        return Target(None, standard, encoding, columns)
    if out.exists() and not out.is_file():  # /dev/null, a pipe: nothing to rename
        return Target(out, out.open("wb", buffering=0), encoding, columns)
    return Target(out.resolve(), None, encoding, columns)  # through a link, to the file itself


def standard_stream(path: Path, /) -> BinaryIO | None:
    """Return standard output or standard error if a path means one of them, else None.

    `-` and `/dev/stdout` do, and so does the file that a shell has redirected one of them to: that file must not be
    replaced, and the output of others in it stays.
    """
    if str(path) == "-":
        return sys.stdout.buffer
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # not there, or one of a test
            status = os.fstat(stream.fileno())
            if not stat.S_ISCHR(status.st_mode) and os.path.samestat(status, path.stat()):
                return stream.buffer
    return None


def _factory(name: str, writers: WriterLoaders) -> WriterFactory:
    if name not in writers:
        known = ", ".join(sorted([*writers, "table"]))
        raise UsageError(f"no output format is called '{name}'", hint=f"there are: {known}")
    return cast("WriterFactory", writers[name]())


def _rejects(path: Path | None, state: journal.State | None) -> RejectsFile | None:
    if path is None:
        return None
    if (standard := standard_stream(path)) is not None:
        return RejectsFile(path, None, standard)
    same = state is not None and state.rejects == str(path.absolute())
    return RejectsFile(path, state.rejects_bytes if same and state is not None else None)


def _check(out: Path | None, rejects: Path | None, inputs: Sequence[str | Path]) -> None:
    if out is not None and rejects is not None and out.absolute() == rejects.absolute():
        raise UsageError(f"{out} is both the output and the rejects", hint="give --rejects another name")
    for path, flag in ((out, "-o"), (rejects, "--rejects")):
        if path is None:
            continue
        if path.is_dir():
            raise UsageError(f"{path} is a folder", hint=f"{flag} names a file")
        if not path.absolute().parent.is_dir():
            raise UsageError(f"{path}: the folder {path.parent} does not exist", hint="make it first")
        # The rejects are made before the input is read; the output only takes its name at the end.
        if any(_is_read(path, source, soon=path is rejects) for source in inputs):
            raise UsageError(f"{path} is both read and written", hint=f"give {flag} another name")


def _is_read(path: Path, source: str | Path, *, soon: bool) -> bool:
    """Return True if reading `source`, a file or a folder, would read `path`."""
    try:
        folder = Path(source).resolve()
        if folder.is_dir():
            readable = extension_of(path) in {ending for spec in READERS for ending in spec.extensions}
            return readable and (soon or path.is_file()) and path.resolve().is_relative_to(folder)
        return path.is_file() and folder.samefile(path)
    except (OSError, ValueError):  # a literal text
        return False
