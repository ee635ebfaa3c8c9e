"""The core's own registrations, made through the same hooks as a plugin's, under the name `core`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jnlp.hookspecs import hookimpl

if TYPE_CHECKING:
    from jnlp.hookspecs import Register


@hookimpl
def register_tasks(register: Register) -> None:
    """Register `embed`."""
    register("embed", "jnlp.embed:EMBED", summary="Turn texts into vectors.")


@hookimpl
def register_commands(register: Register) -> None:
    """Register the commands for training, models, plugins, settings and diagnosis."""
    register("train", "jnlp.cli.train:train", summary="Train a model on your own data.")
    register("models", "jnlp.cli.models:models", summary="List, fetch and choose models.")
    register("plugins", "jnlp.cli.plugins:plugins", summary="List plugins and what they register.")
    register("config", "jnlp.cli.config:config", summary="Show and change settings.")
    register("doctor", "jnlp.cli.doctor:doctor", summary="Check this installation and say what is missing.")


@hookimpl
def register_models(register: Register) -> None:
    """Register the built-in models and the ModernBERT-Ja and ruri families."""
    from jnlp.models.specs import BUILTIN_SPECS

    for spec in BUILTIN_SPECS:
        register(spec.name, partial(_same, spec), summary=spec.summary)


def _same(value: object) -> object:
    return value


@hookimpl
def register_readers(register: Register) -> None:
    """Register the readers of files."""
    from jnlp.io.specs import READERS

    for spec in READERS:
        register(spec.name, spec.target, summary=spec.summary, extensions=spec.extensions)


@hookimpl
def register_writers(register: Register) -> None:
    """Register the output formats."""
    from jnlp.io.specs import WRITERS

    for spec in WRITERS:
        register(spec.name, spec.target, summary=spec.summary, extensions=spec.extensions)


@hookimpl
def register_normalizers(register: Register) -> None:
    """Register the normalisers."""
    register("identity", "jnlp.text:identity", summary="The text as it is.")
    register("nfkc", "jnlp.text:nfkc", summary="Unicode compatibility forms: ㈱ → (株), ｶﾞ → ガ, Ａ → A.")
    register("fold", "jnlp.text:fold", summary="NFKC, lower case, one form of dash, long vowel and space.")
    register("fold-kana", "jnlp.text:fold_kana", summary="fold, and katakana as hiragana.")


@hookimpl
def register_executors(register: Register) -> None:
    """Register the executors of one machine."""
    register("local", "jnlp.executors.local:LocalExecutor", summary="Two threads of this process.")
    register("processes", "jnlp.executors.processes:ProcessesExecutor", summary="Several processes of this machine.")
    register(
        "resident", "jnlp.executors.resident:ResidentExecutor", summary="A running `jnlp serve` of yours, else local."
    )
