"""Reads and writes model folders of fine-tuning in Hugging Face's format."""

from __future__ import annotations

import hashlib
import platform
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.encoder.files import read_json, read_weights
from jnlp.encoder.tokenizer import load_tokenizer
from jnlp.encoder.windows import frame
from jnlp.errors import JnlpError
from jnlp.io.durable import Lock
from jnlp.strict_json import dumps
from jnlp.training.checkpoints import NAME
from jnlp.types import Overflow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from jnlp.encoder.windows import Framed
    from jnlp.types import IntArray, Text

_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


def versions() -> dict[str, str]:
    """Return the library versions for a report."""
    import torch

    from jnlp._version import __version__

    return {"jnlp": __version__, "torch": torch.__version__, "python": platform.python_version()}


def read_config(folder: Path, /) -> dict[str, Any]:
    """Return `config.json` of a ModernBERT folder.

    Raises:
        JnlpError: There is none, or it is another architecture, which jnlp's trainers do not support.
    """
    config = read_json(folder / "config.json")
    if config.get("model_type") != "modernbert":
        raise JnlpError(
            f"{folder} is a {config.get('model_type')} model; this trainer fits ModernBERT",
            hint="start from tiny, 30m, 70m, 130m or 310m",
        )
    return config


def read_states(folder: Path, /) -> dict[str, Tensor]:
    """Return a folder's tensors in fp32, under the names of a model with heads (`model.…`)."""
    found = read_weights(folder)
    if not any(name.startswith("model.") for name in found):
        found = {f"model.{name}": tensor for name, tensor in found.items()}
    return {name: tensor.float() for name, tensor in found.items()}


def write_model(
    folder: Path, base: Path, config: dict[str, Any], states: dict[str, Tensor], /, *, window: int | None = None
) -> None:
    """Write config, weights and the base's tokenizer files into an existing folder.

    Args:
        folder: Where to.
        base: The folder of the model that was fine-tuned.
        config: What `config.json` holds.
        states: The weights.
        window: Tokens of a window, where the model is to be used with shorter ones than it can read.
    """
    from safetensors.torch import save_file

    text = dumps(config, indent=2, sort_keys=True)
    (folder / "config.json").write_text(text + "\n", "utf-8")
    weights = folder / "model.safetensors"
    save_file({k: v.cpu().contiguous() for k, v in states.items()}, weights, {"format": "pt"})
    weights.chmod((folder / "config.json").stat().st_mode)  # the library makes it private to its owner
    if window is not None:
        (folder / "sentence_bert_config.json").write_text(dumps({"max_seq_length": window}) + "\n", "utf-8")
    for name in _TOKENIZER:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)


def refuse_taken(out: Path, /) -> None:
    """Raise JnlpError if `out` is a file, or a folder that is not empty."""
    if out.is_file():
        raise JnlpError(f"{out} is a file", hint="-o names the folder of the model, which is made")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise JnlpError(f"{out} exists already", hint="remove it or choose another folder with -o")


@contextmanager
def whole_folder(out: Path, /) -> Iterator[Path]:
    """Yield a folder next to `out` to write into; on success it becomes `out`, otherwise it is removed.

    Raises:
        JnlpError: `out` exists and is not an empty folder, or cannot be made.
    """
    refuse_taken(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
    except OSError as error:
        raise JnlpError(f"cannot write to {out.parent}: {error.strerror}") from error
    try:
        part.chmod(0o755)
        yield part
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def checkpoint_of(out: Path, run: object, /) -> Path:
    """Return the path of a run's checkpoint; arguments are those of `resumable`."""
    key = hashlib.sha256(repr(run).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return out.parent / f".{out.name}.{key}" / NAME


@contextmanager
def resumable(out: Path, run: object, /, *, resume: bool | None) -> Iterator[Path]:
    """Yield the path of a run's checkpoint, next to `out`; it is kept until the run is done.

    Args:
        out: The folder that the run makes.
        run: Everything that determines the run, by its `repr`: another base, row or option is another run.
        resume: True requires a stopped run, False ignores it; None continues one if there is one.

    Raises:
        JnlpError: There is nothing to resume, another process is doing the same run, or the folder cannot be made.
    """
    checkpoint = checkpoint_of(out, run)
    folder = checkpoint.parent
    if resume and not checkpoint.exists():
        raise JnlpError(
            f"no stopped run for {out} with these rows, options and model", hint="leave --resume out to start one"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JnlpError(f"cannot write to {out.parent}: {error.strerror}") from error
    with Lock(folder / "lock", out, hint="wait for it: it makes the same model"):
        if resume is False:
            checkpoint.unlink(missing_ok=True)
        try:
            yield checkpoint
        except BaseException:
            if not checkpoint.exists():
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Sequences:
    """A text as the network reads it.

    Args:
        windows: The ids of each window.
        shares: The share of the text's tokens that each has; they sum to 1.
    """

    windows: tuple[IntArray, ...]
    shares: tuple[float, ...]

    def __len__(self) -> int:
        """Return the tokens of all windows."""
        return sum(map(len, self.windows))


def encode(folder: Path, texts: Sequence[Text], max_length: int, /, *, most: int) -> tuple[list[Sequences], int]:
    """Return the windows of texts as inference makes them, and the number of texts that were cut.

    Args:
        folder: The model's folder.
        texts: Texts, which become windows, or pairs, which are cut to one.
        max_length: Tokens of a window.
        most: Windows of a text; of more, as many are taken at even distances.
    """
    pairs = any(isinstance(text, tuple) for text in texts)
    framed = frame(texts, load_tokenizer(folder), max_length, Overflow.TRUNCATE if pairs else Overflow.WINDOW)
    return [_sequences(one, most) for one in framed], sum(one.cut > 0 or len(one) > most for one in framed)


def _sequences(framed: Framed, most: int) -> Sequences:
    chosen = np.unique(np.linspace(0, len(framed) - 1, min(most, len(framed))).round().astype(int))
    windows = [framed.window(int(number)) for number in chosen]
    tokens = [max(1, window.tokens) for window in windows]
    return Sequences(tuple(window.ids for window in windows), tuple(count / sum(tokens) for count in tokens))
