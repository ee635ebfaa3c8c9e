"""Checks the installation: versions, device, threads, plugins, models, and how to install what is missing."""

from __future__ import annotations

import importlib.util
import platform
import sqlite3
import sys
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp.registry import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp.engine import Engine

PACKAGES = (
    "torch",
    "transformers",
    "sentence-transformers",
    "tokenizers",
    "safetensors",
    "huggingface_hub",
    "sudachipy",
    "sudachidict_core",
    "numpy",
    "pydantic",
)
EXTRAS = {
    "parquet": ("pyarrow",),
    "pdf": ("pypdf",),
    "office": ("openpyxl",),
    "train": ("sentencepiece", "accelerate"),
    "watch": ("watchfiles",),
    "serve": ("fastapi", "uvicorn", "prometheus_client"),
    "mcp": ("mcp",),
    "ray": ("ray",),
}


class Level(StrEnum):
    """The level of a finding: fine, optional and absent, or a problem."""

    OK = "ok"
    ABSENT = "absent"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: what was checked, its state, and how to fix it."""

    subject: str
    level: Level
    text: str
    hint: str | None = None


def examine(engine: Engine, /) -> Iterator[Finding]:
    """Yield findings, the essential ones first."""
    yield Finding("python", Level.OK, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield from _packages()
    yield from _machine(engine)
    yield from _sqlite()
    yield from _plugins(engine)
    yield from _models(engine)
    yield from _extras()


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(name, Level.OK, version(name))
        except PackageNotFoundError:
            yield Finding(name, Level.PROBLEM, "not installed", f"pip install {name}")
    try:
        import faiss
    except ImportError as error:
        yield Finding("faiss", Level.PROBLEM, f"does not import: {error}", "pip install faiss-cpu")
    else:
        gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
        yield Finding("faiss", Level.OK, f"{faiss.__version__}, {gpus} GPUs")


def _machine(engine: Engine) -> Iterator[Finding]:
    settings = engine.settings
    try:
        from jnlp.encoder import load, threads

        runtime = load.Runtime(device=settings.device, dtype=settings.dtype, threads=settings.threads)
        device, dtype, reason = load.describe(runtime)
    except JnlpError as error:
        yield Finding("device", Level.PROBLEM, error.message, error.hint)
        return
    except (ImportError, OSError) as error:
        yield Finding("device", Level.PROBLEM, f"torch does not import: {error}", "install torch again")
        return
    yield Finding("device", Level.OK, f"{device} ({reason})")
    yield Finding("dtype", Level.OK, dtype)
    count, cores = settings.threads or threads.default_threads(), threads.cores()
    yield Finding("threads", Level.OK, f"{count} on {cores} cores that this process may use")
    if device == "cpu":
        yield _kernel()
    flash = importlib.util.find_spec("flash_attn") is not None
    if device != "cpu" and not flash:
        yield Finding("flash-attn", Level.ABSENT, "torch's own varlen attention is used", "pip install 'jnlp[flash]'")


def _kernel() -> Finding:
    from jnlp.encoder.forms import kernels

    found = kernels.status()
    return Finding("kernels", Level.ABSENT if found.hint else Level.OK, found.text, found.hint)


def _sqlite() -> Iterator[Finding]:
    try:
        sqlite3.connect(":memory:").execute("CREATE VIRTUAL TABLE t USING fts5(x)")
    except sqlite3.OperationalError:
        yield Finding("sqlite", Level.PROBLEM, f"{sqlite3.sqlite_version} without FTS5", "use a Python built with FTS5")
    else:
        yield Finding("sqlite", Level.OK, f"{sqlite3.sqlite_version} with FTS5")


def _plugins(engine: Engine) -> Iterator[Finding]:
    for info in engine.plugins.infos:
        if info.reason:
            yield Finding(f"plugin {info.name}", Level.PROBLEM, info.reason, f"fix it, or pip uninstall {info.name}")
        elif info.note and info.distribution != "jnlp":
            yield Finding(f"plugin {info.name}", Level.ABSENT, info.note)
    working = [info.name for info in engine.plugins.infos if not info.reason]
    yield Finding("plugins", Level.OK, ", ".join(working))


def _models(engine: Engine) -> Iterator[Finding]:
    from jnlp.models.cache import cache_folder, is_offline
    from jnlp.models.catalog import State, list_models

    specs = engine.specs()
    for entry in engine.plugins.registry.entries(Kind.MODEL):
        if entry.name not in specs:
            yield Finding(f"model {entry.name}", Level.PROBLEM, f"plugin '{entry.plugin}' cannot supply it")
    statuses = list_models(specs)
    here = [status.spec.name for status in statuses if status.state is not State.ABSENT]
    yield Finding("models", Level.OK, f"on this machine: {', '.join(here) or 'none'}", "jnlp models pull NAME for more")
    missing = [status.spec.name for status in statuses if status.spec.builtin and status.state is State.ABSENT]
    if missing:
        yield Finding("built-in", Level.PROBLEM, f"missing: {', '.join(missing)}", "reinstall jnlp")
    network = "HF_HUB_OFFLINE is set" if is_offline() else "models may be fetched when asked for"
    yield Finding("cache", Level.OK, f"{cache_folder()} ({network})")
    exists = "" if engine.config.path.exists() else " (not there yet)"
    yield Finding("config", Level.OK, f"{engine.config.path}{exists}")


def _extras() -> Iterator[Finding]:
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        if missing:
            yield Finding(f"extra {extra}", Level.ABSENT, f"{missing[0]} is missing", f"pip install 'jnlp[{extra}]'")
        else:
            yield Finding(f"extra {extra}", Level.OK, "installed")
    yield Finding("executable", Level.OK, sys.executable)
