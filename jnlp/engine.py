"""The engine: runs tasks over texts and streams with the given plugins, settings and models."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Generator
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from jnlp import config as configuration
from jnlp import options as option_values
from jnlp.config import Config, Settings
from jnlp.errors import JnlpError, RecordError, UsageError
from jnlp.loaded_heads import DEFAULT_MODEL, BoundModels, LoadedHeads
from jnlp.plugins import Plugins, load_plugins
from jnlp.registry import Kind, import_target
from jnlp.types import Failed, Job, Record, Source, TaskSpec, Text
from jnlp.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from jnlp.models.folder import ModelFolder
    from jnlp.types import (
        Apply,
        Chunker,
        Executor,
        Models,
        ModelSpec,
        Outcome,
        Progress,
        SearchIndex,
        Store,
        TrainerSpec,
        TrainReport,
    )

O = TypeVar("O")  # noqa: E741
R = TypeVar("R")

LOCAL, PROCESSES = "local", "processes"
"""The executors of one machine."""

GIVEN = "given"
"""The origin of a setting that the caller gave: a flag, or an argument of `load`."""


def load(model: str | None = None, /, **settings: Any) -> Engine:
    """Return an engine with the installed plugins and the user's configuration.

    Args:
        model: A name of `jnlp models`, a folder, or a hub id.
        settings: Fields of `Settings` that override the configuration: `device="cuda"`.

    Raises:
        UsageError: A setting is unknown or its value not allowed.
    """
    if model is not None:
        settings["model"] = model
    return Engine(load_plugins(), configuration.load_config()).with_settings(settings)


class Engine:
    """Runs tasks by name or spec, as a library and for the command line.

    Args:
        plugins: What is registered.
        config: Settings, and options of tasks.
    """

    def __init__(self, plugins: Plugins, config: Config | None = None) -> None:
        self.plugins = plugins
        self.config = config or Config()
        self.usage = Usage()
        """Counts and costs of the runs so far."""
        self.converted: Path | None = None
        """In a worker process: the folder with the weights that all workers share."""
        self._specs: dict[str, TaskSpec[Any, Any]] = {}
        self._heads = LoadedHeads(self)

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.config.settings

    def with_settings(self, changes: Mapping[str, Any], /) -> Engine:
        """Return an engine with some settings changed; the plugins are shared.

        Raises:
            UsageError: A setting is unknown or its value not allowed.
        """
        if not changes:
            return self
        made = configuration.build_from({**dataclasses.asdict(self.settings), **changes}, where="settings")
        origins = {**self.config.origins, **dict.fromkeys(changes, GIVEN)}
        return Engine(self.plugins, dataclasses.replace(self.config, settings=made, origins=origins))

    # --- by name -----------------------------------------------------------------------------------------------

    def task(self, name: str, /) -> TaskSpec[Any, Any]:
        """Return a task; an unknown name is a UsageError that lists what there is."""
        spec = self._specs.get(name) or self.plugins.registry.get(Kind.TASK, name)
        if not isinstance(spec, TaskSpec):
            raise JnlpError(f"task '{name}' is not a TaskSpec but {type(spec).__name__}", hint="jnlp plugins")
        return spec

    def trainer(self, name: str, /) -> TrainerSpec[Any]:
        """Return a trainer; an unknown name is a UsageError that lists what there is."""
        spec: TrainerSpec[Any] = self.plugins.registry.get(Kind.TRAINER, name)
        return spec

    def store(self, name: str, /) -> Store:
        """Return a kind of index; an unknown name is a UsageError that lists what there is."""
        store: Store = self.plugins.registry.get(Kind.STORE, name)
        return store

    def normalizer(self, name: str, /) -> Callable[[str], Any]:
        """Return a normaliser; an unknown name is a UsageError that lists what there is."""
        normalizer: Callable[[str], Any] = self.plugins.registry.get(Kind.NORMALIZER, name)
        return normalizer

    def chunker(self, name: str, /) -> Chunker:
        """Return a chunker; an unknown name is a UsageError that lists what there is."""
        chunker: Chunker = self.plugins.registry.get(Kind.CHUNKER, name)
        return chunker

    def specs(self) -> dict[str, ModelSpec]:
        """Return the registered models by name, without those whose plugin fails (`resolve` raises the reason)."""
        registry = self.plugins.registry
        found: dict[str, ModelSpec] = {}
        for entry in registry.entries(Kind.MODEL):
            with suppress(Exception):  # a broken plugin breaks its own model only
                found[entry.name] = registry.get(Kind.MODEL, entry.name)
        return found

    def resolve(self, model: str | None, /) -> ModelFolder:
        """Return the folder of a model; download it if the user named it and it is missing."""
        from jnlp.models.resolve import resolve

        name = model or self.settings.model or DEFAULT_MODEL
        if self.plugins.registry.find(Kind.MODEL, name) is not None:
            self.plugins.registry.get(Kind.MODEL, name)  # raises what is wrong with it
        return resolve(name, self.specs())

    def models(self, asked: str | None = None, default: str | None = None, /) -> Models:
        """Return the models of a call.

        Args:
            asked: The model that the caller named.
            default: The task's default model.
        """
        return BoundModels(self._heads, self._model(asked, default))

    def _model(self, asked: str | None, default: str | None) -> str | None:
        """Return the first of: the call's model, the engine's (`--model`), the task's own, the configured one, None."""
        settled = self.settings.model
        given = settled if self.config.origins.get("model", GIVEN) == GIVEN else None
        return asked or given or default or settled

    # --- running -----------------------------------------------------------------------------------------------

    @overload
    def run(
        self, task: TaskSpec[O, R], texts: Iterable[Text | Record], /, *, model: str | None = None, **options: Any
    ) -> list[R]: ...

    @overload
    def run(
        self, task: str, texts: Iterable[Text | Record], /, *, model: str | None = None, **options: Any
    ) -> list[Any]: ...

    def run(
        self,
        task: str | TaskSpec[Any, Any],
        texts: Iterable[Text | Record],
        /,
        *,
        model: str | None = None,
        **options: Any,
    ) -> list[Any]:
        """Return one result for each text.

        Raises:
            JnlpError: A text cannot be processed, or a model cannot be loaded.
            UsageError: An unknown task or option.
        """
        return list(self.stream(task, texts, model=model, **options))

    @overload
    def stream(
        self, task: TaskSpec[O, R], texts: Iterable[Text | Record], /, *, model: str | None = None, **options: Any
    ) -> Iterator[R]: ...

    @overload
    def stream(
        self, task: str, texts: Iterable[Text | Record], /, *, model: str | None = None, **options: Any
    ) -> Iterator[Any]: ...

    def stream(
        self,
        task: str | TaskSpec[Any, Any],
        texts: Iterable[Text | Record],
        /,
        *,
        model: str | None = None,
        **options: Any,
    ) -> Iterator[Any]:
        """Yield one result for each text, in order. The iterable may be endless.

        Raises:
            JnlpError: At the first text that cannot be processed.
        """
        for outcome in self.outcomes(task, texts, model=model, **options):
            if isinstance(outcome, Failed):
                outcome.error.add_note(f"at {outcome.id}")
                raise outcome.error
            yield outcome.result

    @overload
    def outcomes(
        self,
        task: TaskSpec[O, R],
        records: Iterable[Text | Record | Failed],
        /,
        *,
        model: str | None = None,
        **options: Any,
    ) -> Iterator[Outcome[R]]: ...

    @overload
    def outcomes(
        self, task: str, records: Iterable[Text | Record | Failed], /, *, model: str | None = None, **options: Any
    ) -> Iterator[Outcome[Any]]: ...

    def outcomes(
        self,
        task: str | TaskSpec[Any, Any],
        records: Iterable[Text | Record | Failed],
        /,
        *,
        model: str | None = None,
        **options: Any,
    ) -> Iterator[Outcome[Any]]:
        """Yield one outcome for each record, in order: `Done`, or `Failed` if it could not be read or processed."""
        job = self.job(task, model=model, **options)
        return self.execute(job, check_records(self.usage.reading(as_records(records)), job.task))

    def job(self, task: str | TaskSpec[Any, Any], /, *, model: str | None = None, **options: Any) -> Job:
        """Return a task with its options, the settings and the model: what an executor runs."""
        spec = self._spec(task)
        return Job(spec, self.options(spec, **options), self.settings, self._model(model, spec.model))

    def options(self, spec: TaskSpec[O, Any], /, **given: Any) -> O:
        """Return a task's options: defaults, then the config file's, then those given."""
        return configuration.task_options(self.config, spec.name, spec.options, given)

    def prepare(self, job: Job, /) -> Apply[Any]:
        """Return the function of a job, with its models loaded on first use."""
        models = self.models(job.model, job.task.model)
        apply: Apply[Any] = import_target(job.task.make)(models, job.options)
        return apply

    def executor(self) -> Executor:
        """Return the executor named by the settings."""
        name = self.settings.executor
        if name == LOCAL and self.settings.workers > 1:
            name = PROCESSES
        executor: Executor = self.plugins.registry.get(Kind.EXECUTOR, name)(Preparation(self))
        return executor

    def execute(self, job: Job, records: Iterable[Record | Failed], /) -> Generator[Outcome[Any]]:
        """Yield one outcome for each record, in order, from the configured executor; `usage` measures the time.

        The records are passed on unchanged: an iterable that knows whether more records are ready keeps that method.
        """
        with self.usage.clock():
            outcomes = self.executor().map(job, records)
            with closing(outcomes) if isinstance(outcomes, Generator) else nullcontext():
                yield from outcomes

    def index(self, path: str | Path, /, *, store: str = "local") -> SearchIndex:
        """Return the index at `path`, to fill, change, search and check. `add` creates it if it does not exist.

        Example:
            >>> with nlp.index("my.idx") as index:  # doctest: +SKIP
            ...     index.add(["docs/"])
            ...     hits = index.search("契約を途中で解約する条件", top=5)
        """
        return self.store(store).open(Path(path), self, create=True)

    def open_index(self, path: str | Path, /, *, store: str = "local") -> SearchIndex:
        """Open an existing index.

        Raises:
            JnlpError: There is no index at `path`, or it cannot be read.
        """
        return self.store(store).open(Path(path), self)

    def train(
        self,
        trainer: str,
        inputs: Sequence[str | Path],
        out: str | Path,
        /,
        *,
        valid: Sequence[str | Path] = (),
        read: Mapping[str, Any] | None = None,
        model: str | None = None,
        progress: Progress = lambda *_: None,
        warn: Callable[[str], None] = lambda _: None,
        **options: Any,
    ) -> TrainReport:
        """Train a model on labelled files.

        Args:
            trainer: The trainer's name.
            inputs: Files of training rows.
            out: The model folder to make.
            valid: Files of validation rows; if empty, part of the training rows is held out.
            read: Fields of `ReadOptions`: `{"text": "本文", "label": "評価"}`.
            model: The model to start from.
            progress: Called with (phase, done, total, figures).
            warn: Called with a line about skipped rows, and a line about skipped files of folders.
            options: The trainer's options.

        Raises:
            JnlpError: There is no usable row, or a model cannot be loaded.
            UsageError: An unknown option or column.
        """
        from jnlp.examples import read_examples
        from jnlp.io.reading.options import ReadOptions
        from jnlp.io.reading.sources import PassedOver

        spec, passed_over = self.trainer(trainer), PassedOver()
        made = configuration.task_options(self.config, trainer, spec.options, options)
        reading = option_values.build(ReadOptions, read or {}, where="input")
        columns: dict[str, Any] = {name: getattr(made, name, None) for name in ("negatives", "group")}
        columns["passed_over"] = passed_over
        examples, failed = read_examples(inputs, reading, self.readers(), pairs=spec.pairs, **columns)
        held, failed_valid = (
            read_examples(valid, reading, self.readers(), pairs=spec.pairs, **columns) if valid else (None, [])
        )
        for left_out in (failed, failed_valid):
            if left_out:
                warn(f"{len(left_out):,} rows were left out; the first: {left_out[0].error}")
        if passed_over:
            warn(str(passed_over))
        base = self.resolve(model).folder
        if self.settings.threads:
            from jnlp.encoder.threads import use_threads

            use_threads(self.settings.threads)
        fit = import_target(spec.make)().fit
        report: TrainReport = fit(
            examples,
            held,
            made,
            Path(out),
            models=self.models(model),
            base=base,
            device=self.settings.device,
            progress=progress,
        )
        return report

    def readers(self) -> dict[str, Callable[[], object]]:
        """Return the registered readers by file name ending."""
        return {ending: entry.load for ending, entry in self.plugins.registry.by_extension(Kind.READER).items()}

    def writers(self) -> dict[str, Callable[[], object]]:
        """Return the registered writers by format name."""
        return {entry.name: entry.load for entry in self.plugins.registry.entries(Kind.WRITER)}

    def _spec(self, task: str | TaskSpec[O, R]) -> TaskSpec[O, R]:
        if isinstance(task, str):
            return self.task(task)
        self._specs[task.name] = task
        return task


def prepare(job: Job | str, /) -> Apply[Any]:
    """Return the function of a job. An executor's worker calls this in its own process.

    Args:
        job: The job, or what its `to_json` returned.

    Example:
        >>> apply = jnlp.prepare(nlp.job("fill-mask", top=1).to_json())
        >>> apply(["今日の天気は<mask>です。"])[0].fills[0].tokens
        ('晴れ',)
    """
    if isinstance(job, str):
        engine, job = rebuild(job)
    else:
        engine = load(**dataclasses.asdict(job.settings))
    return engine.prepare(job)


def rebuild(text: str, /) -> tuple[Engine, Job]:
    """Return the job that `Job.to_json` wrote, and an engine with its settings."""
    values = json.loads(text)
    engine = load(**values["settings"])
    spec = engine.task(values["task"])
    made = option_values.build(spec.options, values["options"], where=spec.name)
    return engine, Job(spec, made, engine.settings, values["model"])


def as_records(texts: Iterable[Text | Record | Failed], /) -> Iterator[Record | Failed]:
    """Yield texts as records, numbered from 1; `Record` and `Failed` values pass through.

    Raises:
        UsageError: `texts` is a single string, or an item is not a text.
    """
    if isinstance(texts, str):
        raise UsageError("texts is one string", hint="pass a list: [text]")
    for number, text in enumerate(texts, 1):
        if isinstance(text, Record | Failed):
            yield text
        elif isinstance(text, str) or (isinstance(text, tuple) and all(isinstance(part, str) for part in text)):
            yield Record(f"arg:{number}", text, source=Source("arg", number))
        else:
            raise UsageError(
                f"text {number} is no string but {type(text).__name__}: {text!r:.60}",
                hint="leave it out, or make it one",
            )


def check_records(records: Iterable[Record | Failed], spec: TaskSpec[Any, Any], /) -> Iterator[Record | Failed]:
    """Yield records; one that no model can read (half a character, a pair for a task of single texts) has failed."""
    for record in records:
        if isinstance(record, Record) and (why := _unreadable(record.text, spec)) is not None:
            yield Failed.of(record, RecordError(f"{record.id}: {why}"))
        else:
            yield record


def _unreadable(text: Text, spec: TaskSpec[Any, Any]) -> str | None:
    if isinstance(text, tuple) and not spec.pairs:
        return f"{spec.name} reads one text, not a pair"
    for part in (text,) if isinstance(text, str) else text:
        try:
            part.encode()
        except UnicodeEncodeError as error:
            return f"a character is half of one (U+{ord(part[error.start]):04X})"
    return None


class Preparation:
    """Makes the functions of jobs; executors receive it.

    Args:
        engine: Its tasks and models are used.
    """

    def __init__(self, engine: Engine, /) -> None:
        self._engine = engine
        self.usage = engine.usage
        """Counts what the executor's work costs."""

    def __call__(self, job: Job, /) -> Apply[Any]:
        """Return the function of a job, with its models loaded on first use."""
        return self._engine.prepare(job)
