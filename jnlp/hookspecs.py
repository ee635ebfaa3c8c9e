"""The hooks of jnlp. One shape: `register_<plural>(register)`.

A plugin calls `register(name, target, summary=…)`. The target is `"package.module:attribute"` or a factory without
arguments. It is resolved on first use, so a hook costs nothing at start-up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pluggy

if TYPE_CHECKING:
    from jnlp.types import Target

API = 1
"""The number a plugin may state as `jnlp_api`; it changes when a hook changes incompatibly."""

hookspec = pluggy.HookspecMarker("jnlp")
hookimpl = pluggy.HookimplMarker("jnlp")


class Register(Protocol):
    """Adds one name to the registry."""

    def __call__(self, name: str, target: Target, /, *, summary: str = "", extensions: tuple[str, ...] = ()) -> None:
        """Register `target` under `name`.

        Args:
            name: What a user types.
            target: `"package.module:attribute"` or a factory, resolved on first use.
            summary: One line for lists and `--help`.
            extensions: File name endings with their dot, lower case (readers and writers only).
        """
        ...


@hookspec
def register_tasks(register: Register) -> None:
    """Tasks: the target is a `TaskSpec`. Each becomes a command, a library call and a batch job."""


@hookspec
def register_commands(register: Register) -> None:
    """Commands that are not tasks: the target is a `click.Command`, loaded when it is asked for."""


@hookspec
def register_models(register: Register) -> None:
    """Models by name: the target is a `ModelSpec`."""


@hookspec
def register_readers(register: Register) -> None:
    """Readers by file name ending: the target is a `jnlp.io.Reader`; give `extensions`."""


@hookspec
def register_writers(register: Register) -> None:
    """Writers by format name: the target is a `jnlp.io.WriterFactory`; give `extensions`."""


@hookspec
def register_normalizers(register: Register) -> None:
    """Normalisers: the target is a function from `str` to `jnlp.text.Aligned`; `--normalize NAME` chooses it."""


@hookspec
def register_chunkers(register: Register) -> None:
    """Chunkers: the target cuts a document into passages for an index; `jnlp index --chunker NAME` chooses it.

    It is called as `chunker(text, tokenizer, budget, overlap, outline)` and yields a `jnlp.types.Chunk` for each
    passage; `outline` has the document's headings, pages and slides.
    """


@hookspec
def register_stores(register: Register) -> None:
    """Kinds of index on disk: the target is a `Store`; `nlp.index(path, store=NAME)` chooses it."""


@hookspec
def register_trainers(register: Register) -> None:
    """Trainers: the target is a `TrainerSpec`. Each becomes `jnlp train NAME`."""


@hookspec
def register_executors(register: Register) -> None:
    """Executors: the target is called as `target(prepare)` and returns an `Executor`; `--executor NAME` chooses it.

    `prepare(job)` makes the job's function in this process; `prepare.usage` counts for `--stats`. A worker in another
    process gets `job.to_json()` and calls `jnlp.prepare(text)`.
    """


@hookspec
def register_evaluations(register: Register) -> None:
    """Evaluations: the target is an `Evaluation`. Each is a name that `jnlp evaluate` takes."""
