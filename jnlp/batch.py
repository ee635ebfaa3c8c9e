"""The batch job behind every task's command: reads inputs, runs the task, writes results."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import time
import zlib
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from jnlp import options as option_values
from jnlp.errors import JnlpError, RecordError, UsageError
from jnlp.executors.chunks import weight
from jnlp.executors.prefetch import Prefetcher
from jnlp.input_records import check_records
from jnlp.io.reading.inputs import PassedOver
from jnlp.io.reading.options import ReadOptions
from jnlp.io.reading.readers import read
from jnlp.io.writing.flat import flatten
from jnlp.io.writing.record_columns import carry, head
from jnlp.io.writing.sinks import OutputEncoding
from jnlp.io.writing.writers import format_of, open_writer, standard_stream
from jnlp.registry import Kind, import_target
from jnlp.types import Done, Failed, ModelSpec, OnError, Option, Record
from jnlp.usage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from jnlp.engine import Engine
    from jnlp.io.writing.output import Output
    from jnlp.io.writing.sinks import Row
    from jnlp.types import Job, Outcome, TaskSpec

TABLE = "table"

FLAT = ("csv", "tsv")
"""Formats that are flat unless `--no-flat` says otherwise."""


@dataclasses.dataclass(frozen=True, slots=True)
class WriteOptions:
    """Where results go, and what happens to records that fail."""

    out: Annotated[
        Path | None,
        Option(
            help="Write to FILE; its extension selects the format. - is standard output.",
            flags=("-o", "--out"),
            metavar="FILE",
        ),
    ] = None
    format: Annotated[
        str | None,
        Option(
            help="table, jsonl, csv, tsv, parquet, npy; else a table for a person, jsonl for a pipe.", metavar="FORMAT"
        ),
    ] = None
    output_encoding: Annotated[OutputEncoding, Option(help="Codec of the output, for spreadsheets.")] = (
        OutputEncoding.UTF_8
    )
    flat: Annotated[
        bool | None,
        Option(help="A column for each label or category, and lists as text; the default of csv and tsv."),
    ] = None
    on_error: Annotated[
        OnError, Option(help="What to do with a record that fails: report and skip it, or end the run.")
    ] = OnError.SKIP
    rejects: Annotated[
        Path | None, Option(help="Write records that failed or were left out to FILE (jsonl).", metavar="FILE")
    ] = None
    resume: Annotated[bool, Option(help="Continue an interrupted run with the same -o FILE.")] = False

    def resolved(self) -> WriteOptions:
        """Return the options with `out` set to None if it names standard output."""
        standard = self.out is not None and standard_stream(self.out) is sys.stdout.buffer
        return dataclasses.replace(self, out=None) if standard else self


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """What a batch did: records read, done, failed, left out by the task, and skipped because already done.

    `passed_over` counts the files of folders that have no reader; `remarks` are lines on what the results mean.
    """

    read: int = 0
    done: int = 0
    failed: int = 0
    dropped: int = 0
    resumed: int = 0
    passed_over: PassedOver = dataclasses.field(default_factory=PassedOver, compare=False)
    remarks: tuple[str, ...] = ()


def run_batch(
    engine: Engine,
    task: str | TaskSpec[Any, Any],
    inputs: Sequence[str | Path],
    /,
    *,
    reading: ReadOptions | None = None,
    writing: WriteOptions | None = None,
    model: str | None = None,
    table: Callable[[Row], None] | None = None,
    on_failed: Callable[[Failed], None] = lambda _: None,
    advance: Callable[[int], None] = lambda _: None,
    **options: Any,
) -> Summary:
    """Run a task over inputs and write its results.

    Args:
        engine: Plugins, settings and models.
        task: The task.
        inputs: Texts, files, folders, globs, `-` for standard input.
        reading: How inputs become records.
        writing: Where results go.
        model: The model to run on.
        table: Called with each row of the terminal table if the format is `table`.
        on_failed: Called with each record that failed.
        advance: Called with the number of records done since the last call.
        options: The task's options.

    Raises:
        JnlpError: An error that ends the run; with `on_error=fail`, the first record's error. A note of the exception
            says which part of the output was kept.
    """
    reading, writing = reading or ReadOptions(), (writing or WriteOptions()).resolved()
    spec = engine.task(task) if isinstance(task, str) else task
    job = engine.job(spec, model=model, **options)
    passed_over = PassedOver()
    records = read(
        inputs, reading, engine.readers(), passed_over=passed_over
    )  # before the output is opened: what is wrong here touches nothing
    endings = {ending: e.name for ending, e in engine.plugins.registry.by_extension(Kind.WRITER).items()}
    name = writing.format or format_of(writing.out, endings)
    _check_ending(writing, endings)
    output = open_writer(
        name,
        writing.out,
        encoding=writing.output_encoding,
        table=table,
        rejects=writing.rejects,
        inputs=inputs,
        job={
            "task": spec.name,
            "options": option_values.to_json(job.options),
            "settings": {name: getattr(engine.settings, name) for name in ("on_overflow", "normalize")},
            "model": job.model,
            "inputs": [str(i) for i in inputs],
            "reading": option_values.to_json(reading),
        },
        resume=writing.resume,
        writers=engine.writers(),
    )
    flat = name in FLAT if writing.flat is None else writing.flat
    about = _About(engine, job)
    drain = _Drain(spec, job.options, output, name == TABLE, writing, on_failed, about if flat else None)
    marks = _Marks()
    clock, writing_took = time.perf_counter, 0.0
    idle = output.flush if writing.out is None else _do_nothing  # into a pipe: no answer waits for the next question
    try:
        with (
            output,
            Prefetcher(
                check_records(_remaining(engine.usage.reading(records), output, marks), spec), weigh=weight, idle=idle
            ) as prefetched,
            closing(engine.execute(job, prefetched)) as outcomes,
        ):
            for outcome in outcomes:
                start = clock()
                drain.take(outcome, marks.next(outcome))
                writing_took += clock() - start
                advance(1)
            if drain.summary.failed == drain.summary.read > 0 == output.skip:
                output.withhold()  # an empty file would look like a result
    except BaseException as error:
        if output.kept:
            error.add_note(output.kept)
        raise
    finally:
        engine.usage.spend(Stage.WRITER, writing_took)
    summary = drain.summary
    remarks = (*summary.remarks, *about.remarks())
    return dataclasses.replace(summary, resumed=output.skip, passed_over=passed_over, remarks=remarks)


def _check_ending(writing: WriteOptions, endings: Mapping[str, str]) -> None:
    """Raise UsageError if the file's extension and the chosen format disagree."""
    meant = endings.get(writing.out.suffix.lower()) if writing.out is not None else None
    if meant is not None and writing.format not in (None, meant):
        raise UsageError(
            f"--format {writing.format} and the name {writing.out} ask for two formats",
            hint=f"leave --format out to write {meant}, or give -o another ending",
        )
    rejects = writing.rejects
    if rejects is not None and endings.get(rejects.suffix.lower(), "jsonl") != "jsonl":
        raise UsageError(f"{rejects}: rejects are lines of JSON", hint=f"--rejects {rejects.with_suffix('.jsonl')}")


def _do_nothing() -> None:
    """Do nothing: a file is flushed once a second."""


def _remaining(records: Iterator[Record | Failed], output: Output, marks: _Marks) -> Iterator[Record | Failed]:
    """Yield the records that an earlier run has not done; raise JnlpError if that run read another input."""
    mark, passed = output.mark, 0
    for record in itertools.islice(records, output.skip):
        mark, passed = marks.of(record), passed + 1
    if passed < output.skip or mark != output.mark:
        here, there = (x.rpartition("\t")[0] for x in (mark, output.mark))
        if passed < output.skip:
            found = f"it ends at {passed:,}"
        elif here == there:
            found = f"a record up to {here} has changed"
        else:
            found = f"record {passed:,} is {here}"
        output.how_on = "--resume needs the input of the interrupted run"
        raise JnlpError(
            f"the input is not what the interrupted run read: {found}", hint="run it without --resume to start again"
        )
    yield from records


class _Marks:
    """Marks of records: the id, and a checksum over all records up to this one.

    There is one outcome for each record, in order, so a resumed run computes the same marks from the records it reads.
    """

    def __init__(self) -> None:
        self._sum = 0

    def of(self, item: Record | Failed) -> str:
        """Return the mark of the record that comes next."""
        record = item if isinstance(item, Record) else item.record or item
        text = "" if isinstance(record, Failed) else record.text
        whole = "\0".join((record.id, *((text,) if isinstance(text, str) else text)))
        self._sum = zlib.crc32(whole.encode("utf-8", "backslashreplace"), self._sum)
        return f"{record.id}\t{self._sum:08x}"

    def next(self, outcome: Outcome[Any]) -> str:
        """Return the mark of the next outcome's record."""
        return self.of(outcome.record if isinstance(outcome, Done) else outcome)


class _About:
    """What a task says of the results of a job; it is asked with the spec of the job's model.

    Args:
        engine: Resolves the model, which it has read for the job already.
        job: The job.
    """

    def __init__(self, engine: Engine, job: Job, /) -> None:
        self._engine, self._job = engine, job
        self._keys: dict[str, tuple[str, ...]] | None = None

    def keys(self) -> dict[str, tuple[str, ...]]:
        """Return the keys of a result's mappings by field, which the task may know before the first row; asked once."""
        if self._keys is None:
            self._keys = dict(self._ask(self._job.task.keys) or {})
        return self._keys

    def remarks(self) -> tuple[str, ...]:
        """Return what a person should know of the results."""
        return tuple(self._ask(self._job.task.remarks) or ())

    def _ask(self, target: str | None) -> Any:
        if target is None:
            return None
        model = ModelSpec(self._job.model or "")
        with suppress(JnlpError):  # what is wrong with it is reported where it is used
            model = self._engine.resolve(self._job.model).spec
        return import_target(target)(self._job.options, model)


class _Drain:
    """Writes outcomes and counts them."""

    def __init__(
        self,
        spec: TaskSpec[Any, Any],
        options: Any,
        output: Output,
        as_table: bool,
        writing: WriteOptions,
        on_failed: Callable[[Failed], None],
        columns: _About | None,
    ) -> None:
        self._columns = columns
        self._counts = {"done": 0, "failed": 0, "dropped": 0}
        self._spec, self._options, self._output, self._writing, self._on_failed = (
            spec,
            options,
            output,
            writing,
            on_failed,
        )
        self._drop = import_target(spec.drop) if spec.drop else None
        self._tally = import_target(spec.tally)(options) if spec.tally else None
        self._view = import_target(spec.rows) if spec.rows and as_table else None

    @property
    def summary(self) -> Summary:
        """The counts so far."""
        counts = self._counts
        told = tuple(self._tally.lines()) if self._tally else ()
        return Summary(sum(counts.values()), counts["done"], counts["failed"], counts["dropped"], remarks=told)

    def take(self, outcome: Outcome[Any], mark: str) -> None:
        """Write one outcome with the mark of its record; an outcome that cannot be written counts as failed."""
        if isinstance(outcome, Done):
            if self._tally:
                self._tally.add(outcome.record, outcome.result)
            why = self._drop(outcome.result, self._options) if self._drop else None
            if why is not None:
                self._output.reject(Failed.of(outcome.record, RecordError(why)), mark)
                self._counts["dropped"] += 1
                return
            try:
                self._output.write(*self._rows(outcome), mark=mark)
            except RecordError as error:
                outcome = Failed.of(outcome.record, error)
            else:
                self._counts["done"] += 1
                return
        if self._writing.on_error is OnError.FAIL:
            raise outcome.error
        self._output.reject(outcome, mark)
        self._on_failed(outcome)
        self._counts["failed"] += 1

    def _rows(self, outcome: Done[Any]) -> Iterable[Row]:
        if self._view is not None:
            shown = self._view(outcome.record.text, outcome.result)
            return ({**row, "id": outcome.record.id} if "id" in row else row for row in shown)
        keys = self._columns.keys() if self._columns is not None else None
        return rows(self._spec, outcome.record, outcome.result, keys)


def rows(
    spec: TaskSpec[Any, Any], record: Record, result: Any, keys: Mapping[str, Sequence[str]] | None = None, /
) -> Iterator[dict[str, object]]:
    """Yield the output rows of a record: id, text, the result's fields, then the other input columns.

    With `keys` the fields are flat (`jnlp.io.writing.flat`). An input column whose name is already used gets the prefix
    `input.`, repeated if needed.
    """
    start = head(record)
    items = [result] if spec.explode is None else getattr(result, spec.explode)
    for item in items:
        found = {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
        yield carry({**start, **(found if keys is None else flatten(found, keys))}, record.fields)
