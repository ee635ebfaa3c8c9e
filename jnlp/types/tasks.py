"""Tasks as values, jobs, and executors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from jnlp.types.options import to_json
from jnlp.types.records import Failed, Outcome, Record, Text
from jnlp.types.settings import Settings

O = TypeVar("O")  # noqa: E741 - the options of a task
R = TypeVar("R")


Apply = Callable[[Sequence[Text]], Sequence[R]]
"""What `make` returns: a function from texts to one result each. Two threads may call it at once."""


@dataclass(frozen=True, slots=True)
class TaskSpec(Generic[O, R]):
    """Everything the core needs to know about a task. It is a picklable value and light to import.

    Args:
        name: The name that users type: `jnlp NAME`.
        summary: One line for `--help`.
        options: A frozen slotted dataclass whose fields are `Annotated[T, Option(…)]` with defaults.
        make: `"package.module:function"`, called as `make(models, options)`; returns an `Apply`.
        result: The frozen dataclass of results; its fields are the output's columns.
        model: The task's default model; None is the configured default.
        rows: For the terminal table: `"package.module:function"`, called as `rows(text, result)`; returns dicts of
            cells, in which a cell `id` is filled in. None shows the text and the result's fields.
        drop: `"package.module:function"`, called as `drop(result, options)`; returns the reason to drop the record from
            the output (it goes to `--rejects`), or None to keep it. None keeps all.
        explode: The field of the result whose items are the output's rows (search hits), or None.
        pairs: True when the task reads pairs too (`--text-pair`).
        command: `"package.module:attribute"`, a `click.Command` that replaces the generated command, for a task whose
            arguments are not texts and files (`jnlp search DIR QUERY`). None is the generated command.
        keys: `"package.module:function"`, called as `keys(options, model)` with the `ModelSpec`; returns the keys of
            the result's mappings by field, which are columns of a csv file. None: those of the first row.
        remarks: `"package.module:function"`, called as `remarks(options, model)` with the `ModelSpec`; returns lines
            that the command prints on stderr after the results, such as the limits of a score. None: there are none.
        tally: `"package.module:class"`, called as `tally(options)`; its `add(record, result)` is called with every
            result of a batch, and the `lines()` that it returns are printed on stderr at the end.
        finish: `"package.module:function"`, called as `finish(outcomes, options)` in the main process with the iterator
            of a run's outcomes; yields them changed, one for each, in order. For what depends on the whole run, such as
            one label for each name. The texts of records must stay as they are; a result with a field `text` replaces
            the text in the output. None leaves outcomes as they are.
        weight: How much more work a record is than a short text: workers get that many fewer records and characters at
            once. For a task whose records are whole documents.

    Example:
        >>> spec = nlp.task("toxicity")
        >>> spec.options(threshold=0.7).threshold, spec.result.__name__
        (0.7, 'Toxicity')
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
    tally: str | None = None
    remarks: str | None = None
    finish: str | None = None
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Job:
    """A task with its options, settings and model. An executor turns this value into a function.

    Args:
        task: The task.
        options: An object of `task.options`.
        settings: The settings of the run.
        model: The chosen model; None is the built-in model with the head that the task needs.

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

        The task is sent by its name, so a plugin must register it in the other process too; or its name is where it is,
        `"package.module:attribute"`.

        Example:
            >>> import json
            >>> json.loads(nlp.job("toxicity", threshold=0.7).to_json())["options"]["threshold"]
            0.7
        """
        return to_json(
            {"task": self.task.name, "options": self.options, "settings": self.settings, "model": self.model}
        )


@runtime_checkable
class Executor(Protocol):
    """Runs a job over a stream of records, in bounded memory."""

    def map(self, job: Job, records: Iterable[Record | Failed], /) -> Iterator[Outcome[Any]]:
        """Yield one outcome for each record, in order; a record that could not be read passes through."""
        ...


@runtime_checkable
class CallExecutor(Executor, Protocol):
    """An executor that also runs calls that are not a task, such as the training runs of an evaluation."""

    def calls(
        self, settings: Settings, make: str, given: tuple[Any, ...], items: Sequence[Any], /
    ) -> Iterator[tuple[Any, Any]]:
        """Yield each item with its result, as they finish.

        A worker makes the function once, by `make(*given)`, and calls it with one item at a time.

        Args:
            settings: Where it runs; `workers` over 1 limits the calls at the same time.
            make: `"package.module:function"`.
            given: Its arguments; they are pickled, as are items and results.
            items: What to call the function with.
        """
        ...


class Replicas(Protocol):
    """Processes that answer questions, as many as there is work for; see `ReplicaExecutor`."""

    most: int
    """How many there can be at the same time; known once `start` has returned."""

    def start(self) -> None:
        """Return when some are ready; raise what they could not be started for. Called once, in any thread.

        It returns also when they are no longer wanted.
        """
        ...

    async def ask(self, item: Any, /) -> Any:
        """Return the answer of one of them; if it is lost meanwhile, that of another."""
        ...

    async def ask_all(self, item: Any, /) -> dict[str, Any]:
        """Return the answers of those that run, by their names."""
        ...


@runtime_checkable
class ReplicaExecutor(Executor, Protocol):
    """An executor that also holds replicas of a service, such as `jnlp serve`."""

    def replicas(
        self, settings: Settings, make: str, given: tuple[Any, ...], /, *, least: int, at_once: int
    ) -> AbstractContextManager[Replicas]:
        """Return a block with replicas that have not been started; its end ends them.

        Each makes an asynchronous function by `make(settings, *given)`, where `settings` are those of one process, and
        calls it with the items it is asked. Since an item may be asked again, a function changes nothing.

        Args:
            settings: Where they run; `workers` over 1 is how many there are at most.
            make: `"package.module:function"`.
            given: Its other arguments; they are pickled, as are items and answers.
            least: How many there are without work.
            at_once: Items that one answers at the same time, at most; there are more replicas before that is reached.
        """
        ...
