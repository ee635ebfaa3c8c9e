"""A task as a value, and where its jobs run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from jnlp.types.options import to_json
from jnlp.types.records import Failed, Outcome, Record, Text
from jnlp.types.settings import Settings

O = TypeVar("O")  # noqa: E741 - the options of a task
R = TypeVar("R")


Apply = Callable[[Sequence[Text]], Sequence[R]]
"""What `make` returns: texts to results, one for one. It may be called from two threads at once."""


@dataclass(frozen=True, slots=True)
class TaskSpec(Generic[O, R]):
    """A task as a value: picklable, light to import, the whole of what the core needs to know.

    Args:
        name: What a user types: `jnlp NAME`.
        summary: One line for `--help`.
        options: A frozen slotted dataclass whose fields are `Annotated[T, Option(…)]` with defaults.
        make: `"package.module:function"`, called as `make(models, options)`; returns an `Apply`.
        result: The frozen dataclass of results; its fields are the output's columns.
        model: The model it runs on when nobody names one; None is the configured default.
        rows: For a person's table: `"package.module:function"`, called as `rows(text, result)`; returns dicts of
            cells. None shows the text and the result's fields.
        drop: `"package.module:function"`, called as `drop(result, options)`; returns why the record is to be left out
            of the output (it goes to `--rejects`), or None to keep it. None keeps all.
        explode: The field of the result whose items are the output's rows (search hits), or None.
        pairs: True when the task reads pairs too (`--text-pair`).
        command: `"package.module:attribute"`, a `click.Command` that replaces the task's command line where its
            arguments are not texts and files (`jnlp search DIR QUERY`); None is the command that every task has.
        keys: `"package.module:function"`, called as `keys(options, model)` with the `ModelSpec`; returns the keys of
            the result's mappings by field, which are columns of a csv file. None: those of the first row.
    """

    name: str
    summary: str
    options: type[O]
    make: str
    result: type[R]
    model: str | None = None
    rows: str | None = None
    drop: str | None = None
    explode: str | None = None
    pairs: bool = False
    command: str | None = None
    keys: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A task with its options, the settings and the model: a value, which an executor turns into a function.

    Args:
        task: The task.
        options: An object of `task.options`.
        settings: The settings of the run.
        model: The model that was chosen for it; None is the one that ships for the head the task asks for.

    Example:
        >>> job = nlp.job("fill-mask", top=3)
        >>> job.task.name, job.options.top, job.settings.workers
        ('fill-mask', 3, 1)
    """

    task: TaskSpec[Any, Any]
    options: Any
    settings: Settings = field(default_factory=Settings)
    model: str | None = None

    def to_json(self) -> str:
        """Return the job as JSON, for a worker in another process: `jnlp.prepare` rebuilds it there.

        The task is sent by its name, so a plugin must register it in the other process too.
        """
        return to_json(
            {"task": self.task.name, "options": self.options, "settings": self.settings, "model": self.model}
        )


@runtime_checkable
class Executor(Protocol):
    """Runs a job over a stream of records: in order, bounded in memory, one outcome a record."""

    def map(self, job: Job, records: Iterable[Record | Failed], /) -> Iterator[Outcome[Any]]:
        """Yield one outcome a record, in the order of the records; a record that failed to be read passes through."""
        ...
