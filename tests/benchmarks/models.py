"""Model folders to measure: random weights at the true shapes, and the built-in model."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.benchmarks.contenders import BENCH_PYTHON, BUILD, ROOT
from tests.benchmarks.works import SHAPES, Shape

if TYPE_CHECKING:
    from pathlib import Path

TINY = ROOT / "jnlp" / "models" / "builtin" / "tiny"


def folder(name: str, /) -> Path:
    """Return the folder of `30m`, `130m` … or `tiny`, made on first use."""
    made = BUILD / name
    if name == "tiny" and not _same(made / "model.safetensors", TINY / "model.safetensors"):
        shutil.rmtree(made, ignore_errors=True)  # it has been trained anew
    if not (made / "model.safetensors").is_file():
        _make(name, made)
    return made


def export(made: Path, /) -> str | None:
    """Make a folder's ONNX graphs in the peers' environment; return what went wrong, or None."""
    command = [str(BENCH_PYTHON), "-m", "tests.benchmarks.export", str(made)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stderr.strip().splitlines()[-1] if done.returncode else None


def build_kernels() -> str | None:
    """Build jnlp's kernels in the user's cache; return why there are none, or None."""
    from jnlp.encoder.forms import kernels
    from jnlp.errors import JnlpError

    try:
        kernels.build()
    except JnlpError as error:
        return error.message
    return None


def shape(made: Path, /) -> Shape:
    """Return the shape that a folder's config states."""
    config = json.loads((made / "config.json").read_text(encoding="utf-8"))
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
    return Shape(*(config[name] for name in names))


def _make(name: str, made: Path) -> None:
    if name == "tiny":
        shutil.copytree(TINY, made)
        return
    from jnlp.testing import make_model

    size = SHAPES[name]
    make_model(
        made,
        head="embedding",
        layers=size.layers,
        hidden=size.hidden,
        heads=size.heads,
        positions=8192,
        vocab_size=size.vocabulary,
        intermediate_size=size.intermediate,
        initializer_range=0.02,
    )


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and one.read_bytes() == other.read_bytes()
