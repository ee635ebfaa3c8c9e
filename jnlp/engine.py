"""The engine: runs tasks over texts and streams with the given plugins, settings and models."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from jnlp import config as configuration
from jnlp import options as option_values
from jnlp.config import Config, Settings
from jnlp.errors import JnlpError
from jnlp.input_records import as_records, check_records
from jnlp.loaded_heads import DEFAULT_MODEL, BoundModels, LoadedHeads
from jnlp.plugins import Plugins, load_plugins
from jnlp.registry import Kind, import_target
from jnlp.types import Failed, Job, TaskSpec
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
        Record,
        SearchIndex,
        Store,
        Text,
        TrainerSpec,
        TrainReport,
    )

AnyTask = str | TaskSpec[Any, Any]
"""A task by name, or its spec."""

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

    Example:
        >>> jnlp.load("tiny", device="cpu").settings.device
        'cpu'
    """
    if model is not None:
        settings["model"] = model
    return Engine(load_plugins(), configuration.load_config()).with_settings(settings)


class Engine:
    """Runs tasks by name or spec, as a library and for the command line.

    Args:
        plugins: What is registered.
        config: Settings, and options of tasks.

    Example:
        >>> nlp = jnlp.load()
        >>> nlp.run("toxicity", ["消えろ、クズ。"], rules_only=True)[0].toxic
        True
    """

    def __init__(self, plugins: Plugins, config: Config | None = None) -> None:
        self.plugins = plugins
        self.config = config or Config()
        self.usage = Usage()
        """Counts and costs of the runs so far."""
        self.converted: Path | None = None
        """In a worker process: the folder with the weights that all workers share."""
        self._specs: dict[str, TaskSpec[Any, Any]] = {}
        self._folders: dict[str, ModelFolder] = {}
        self._heads = LoadedHeads(self)

    @property
    def settings(self) -> Settings:
        """The settings in force.

        Example:
            >>> jnlp.load(threads=2).settings.threads
            2
        """
        return self.config.settings

    def with_settings(self, changes: Mapping[str, Any], /) -> Engine:
        """Return an engine with some settings changed; the plugins are shared.

        Raises:
            UsageError: A setting is unknown or its value not allowed.

        Example:
            >>> nlp.with_settings({"threads": 2}).settings.threads
            2
        """
        if not changes:
            return self
        made = configuration.build_from({**dataclasses.asdict(self.settings), **changes}, where="settings")
        origins = {**self.config.origins, **dict.fromkeys(changes, GIVEN)}
        return Engine(self.plugins, dataclasses.replace(self.config, settings=made, origins=origins))

    # --- by name -----------------------------------------------------------------------------------------------

    def task(self, name: str, /) -> TaskSpec[Any, Any]:
        """Return a task; an unknown name is a UsageError that lists what there is.

        Example:
            >>> nlp.task("embed").summary
            'Turn texts into vectors.'
        """
        spec = self._specs.get(name) or self.plugins.registry.get(Kind.TASK, name)
        if not isinstance(spec, TaskSpec):
            raise JnlpError(f"task '{name}' is not a TaskSpec but {type(spec).__name__}", hint="jnlp plugins")
        return spec

    def trainer(self, name: str, /) -> TrainerSpec[Any]:
        """Return a trainer; an unknown name is a UsageError that lists what there is.

        Example:
            >>> nlp.trainer("embedder").pairs
            True
        """
        spec: TrainerSpec[Any] = self.plugins.registry.get(Kind.TRAINER, name)
        return spec

    def store(self, name: str, /) -> Store:
        """Return a kind of index; an unknown name is a UsageError that lists what there is.

        Example:
            >>> nlp.store("local")
            <jnlp_search.stores.LocalStore object at ...>
        """
        store: Store = self.plugins.registry.get(Kind.STORE, name)
        return store

    def normalizer(self, name: str, /) -> Callable[[str], Any]:
        """Return a normaliser; an unknown name is a UsageError that lists what there is.

        Example:
            >>> nlp.normalizer("nfkc")("㈱ＡＢＣ").text
            '(株)ABC'
        """
        normalizer: Callable[[str], Any] = self.plugins.registry.get(Kind.NORMALIZER, name)
        return normalizer

    def chunker(self, name: str, /) -> Chunker:
        """Return a chunker; an unknown name is a UsageError that lists what there is.

        Example:
            >>> tokenizer = nlp.models().embedder().tokenizer
            >>> [(c.start, c.end) for c in nlp.chunker("sentences")("今日は晴れ。明日は雨。", tokenizer, 5, 0, ())]
            [(0, 6), (6, 11)]
        """
        chunker: Chunker = self.plugins.registry.get(Kind.CHUNKER, name)
        return chunker

    def specs(self) -> dict[str, ModelSpec]:
        """Return the registered models by name, without those whose plugin fails (`resolve` raises the reason).

        Example:
            >>> nlp.specs()["130m"].repo
            'sbintuitions/modernbert-ja-130m'
        """
        registry = self.plugins.registry
        found: dict[str, ModelSpec] = {}
        for entry in registry.entries(Kind.MODEL):
            with suppress(Exception):  # a broken plugin breaks its own model only
                found[entry.name] = registry.get(Kind.MODEL, entry.name)
        return found

    def resolve(self, model: str | None, /) -> ModelFolder:
        """Return the folder of a model, read once; download it if the user named it and it is missing.

        Example:
            >>> nlp.resolve("tiny").spec.max_length
            512
        """
        from jnlp.models.resolve import resolve

        name = model or self.settings.model or DEFAULT_MODEL
        if name in self._folders:
            return self._folders[name]
        if self.plugins.registry.find(Kind.MODEL, name) is not None:
            self.plugins.registry.get(Kind.MODEL, name)  # raises what is wrong with it
        found = self._folders[name] = resolve(name, self.specs())
        return found

    def models(self, asked: str | None = None, default: str | None = None, /) -> Models:
        """Return the models of a call.

        Args:
            asked: The model that the caller named.
            default: The task's default model.

        Example:
            >>> nlp.models("tiny-search").embedder().embed(["吾輩は猫である。"]).vectors.shape
            (1, 384)
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
        self, task: AnyTask, texts: Iterable[Text | Record], /, *, model: str | None = None, **options: Any
    ) -> list[Any]:
        """Return one result for each text.

        Raises:
            JnlpError: A text cannot be processed, or a model cannot be loaded.
            UsageError: An unknown task or option.

        Example:
            >>> nlp.run("toxicity", ["ありがとう。", "消えろ、クズ。"], rules_only=True)[1].categories
            {'insult': 0.55, 'violence': 0.55}
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
        self, task: AnyTask, texts: Iterable[Text | Record], /, *, model: str | None = None, **options: Any
    ) -> Iterator[Any]:
        """Yield one result for each text, in order. The iterable may be endless.

        Raises:
            JnlpError: At the first text that cannot be processed.

        Example:
            >>> texts = (f"{n}番目の文。" for n in range(1_000_000_000))
            >>> next(nlp.stream("toxicity", texts, rules_only=True)).toxic
            False
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
        self, task: AnyTask, records: Iterable[Text | Record | Failed], /, *, model: str | None = None, **options: Any
    ) -> Iterator[Outcome[Any]]:
        """Yield one outcome for each record, in order: `Done`, or `Failed` if it could not be read or processed.

        Example:
            >>> [type(outcome).__name__ for outcome in nlp.outcomes("fill-mask", ["今日は<mask>です。", "空。"])]
            ['Done', 'Failed']
        """
        job = self.job(task, model=model, **options)
        return self.execute(job, check_records(self.usage.reading(as_records(records)), job.task))

    def job(self, task: AnyTask, /, *, model: str | None = None, **options: Any) -> Job:
        """Return a task with its options, the settings and the model: what an executor runs.

        Example:
            >>> nlp.job("fill-mask", top=3).options.top
            3
        """
        spec = self._spec(task)
        return Job(spec, self.options(spec, **options), self.settings, self._model(model, spec.model))

    def options(self, spec: TaskSpec[O, Any], /, **given: Any) -> O:
        """Return a task's options: defaults, then the config file's, then those given.

        Example:
            >>> nlp.options(nlp.task("fill-mask"), top=3).top
            3
        """
        return configuration.task_options(self.config, spec.name, spec.options, given)

    def prepare(self, job: Job, /) -> Apply[Any]:
        """Return the function of a job, with its models loaded on first use.

        Example:
            >>> apply = nlp.prepare(nlp.job("toxicity", rules_only=True))
            >>> apply(["消えろ、クズ。"])[0].toxic
            True
        """
        models = self.models(job.model, job.task.model)
        apply: Apply[Any] = import_target(job.task.make)(models, job.options)
        return apply

    def executor(self) -> Executor:
        """Return the executor named by the settings.

        Example:
            >>> nlp.with_settings({"executor": "processes"}).executor()
            <jnlp.executors.processes.ProcessesExecutor object at ...>
        """
        name = self.settings.executor
        if name == LOCAL and self.settings.workers > 1:
            name = PROCESSES
        executor: Executor = self.plugins.registry.get(Kind.EXECUTOR, name)(Preparation(self))
        return executor

    def execute(self, job: Job, records: Iterable[Record | Failed], /) -> Generator[Outcome[Any]]:
        """Yield one outcome for each record, in order, from the configured executor; `usage` measures the time.

        The records are passed on unchanged: an iterable that knows whether more records are ready keeps that method.

        Example:
            >>> [done] = nlp.execute(nlp.job("toxicity", rules_only=True), [jnlp.Record("1", "ありがとう。")])
            >>> done.result.toxic
            False
        """
        with self.usage.clock():
            outcomes = self.executor().map(job, records)
            with closing(outcomes) if isinstance(outcomes, Generator) else nullcontext():
                finish = import_target(job.task.finish) if job.task.finish else None
                yield from finish(outcomes, job.options) if finish else outcomes

    def index(self, path: str | Path, /, *, store: str = "local") -> SearchIndex:
        """Return the index at `path`, to fill, change, search and check. `add` creates it if it does not exist.

        Example:
            >>> with nlp.index("rules.idx") as index:
            ...     index.add(["文書/"]).added, index.search("休暇は何日か", top=1)[0].document
            (1, '文書/規程.txt')
        """
        return self.store(store).open(Path(path), self, create=True)

    def open_index(self, path: str | Path, /, *, store: str = "local") -> SearchIndex:
        """Open an existing index.

        Raises:
            JnlpError: There is no index at `path`, or it cannot be read.

        Example:
            >>> nlp.open_index("my.idx").search("休暇は何日か", top=1)[0].document
            '文書/規程.txt'
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

        Example:
            >>> columns = {"text": "本文", "label": "評価"}
            >>> report = nlp.train("classifier", ["感想.csv"], "my-model", read=columns, epochs=1)
            >>> nlp.run("classify", ["助かった。"], model="my-model")[0].label in ("良い", "悪い")
            True
        """
        from jnlp.examples import read_training
        from jnlp.io.reading.options import ReadOptions

        spec = self.trainer(trainer)
        made = configuration.task_options(self.config, trainer, spec.options, options)
        reading = option_values.build(ReadOptions, read or {}, where="input")
        columns: dict[str, Any] = {name: getattr(made, name, None) for name in ("negatives", "group")}
        columns["single"] = spec.single is not None and getattr(made, spec.single) is not None
        examples, held = read_training(inputs, valid, reading, self.readers(), warn=warn, pairs=spec.pairs, **columns)
        base = self.resolve(self._model(model, spec.model)).folder
        if self.settings.threads:
            from jnlp.encoder.threads import use_threads

            use_threads(self.settings.threads)
        fit = import_target(spec.make)().fit
        report: TrainReport = fit(
            examples,
            held,
            made,
            Path(out),
            models=self.models(model, spec.model),
            base=base,
            device=self.settings.device,
            progress=progress,
        )
        return report

    def readers(self) -> dict[str, Callable[[], object]]:
        """Return the registered readers by file name ending.

        Example:
            >>> ".csv" in nlp.readers()
            True
        """
        return {ending: entry.load for ending, entry in self.plugins.registry.by_extension(Kind.READER).items()}

    def writers(self) -> dict[str, Callable[[], object]]:
        """Return the registered writers by format name.

        Example:
            >>> sorted(nlp.writers())
            ['csv', 'jsonl', 'npy', 'parquet', 'tsv']
        """
        return {entry.name: entry.load for entry in self.plugins.registry.entries(Kind.WRITER)}

    def _spec(self, task: str | TaskSpec[O, R]) -> TaskSpec[O, R]:
        if isinstance(task, str):
            return self.task(task)
        self._specs[task.name] = task
        return task


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
