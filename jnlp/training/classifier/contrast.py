"""Tunes an embedder to labelled texts through sentence-transformers' trainer: texts of one label are drawn together.

The loss is the supervised contrastive one (Khosla et al. 2020, "Supervised contrastive learning", eq. 2), over all
pairs of a batch. The tuned model is a folder like the embedder's own, with other weights.
"""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F  # noqa: N812 - the field's name for it

from jnlp.encoder.files import read_weights
from jnlp.encoder.linear_classifier import NOT_READ
from jnlp.errors import JnlpError, MissingExtraError
from jnlp.models.weights import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

_DECAY, _WARMUP = 0.01, 0.1
_REFERENCE = 256
"""The width for which `Tuning.rate` is meant; the rate falls as 1/width."""

_STALE = ("README.md", "metrics.json", "scores.json", "training.json", "search.json")
"""Files that describe the weights as they were."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How an embedder is tuned; the defaults were measured (docs/log.md).

    Args:
        epochs: Passes over the rows.
        batch: Rows of a step, whose pairs are all compared.
        rate: Peak learning rate at width 256.
        tokens: Tokens that are read of a text.
        temperature: What cosines are divided by.
        seconds: Time limit.
        seed: Of the order of rows and of dropout.
    """

    epochs: int = 10
    batch: int = 32
    rate: float = 2e-4
    tokens: int = 128
    temperature: float = 0.1
    seconds: float = 60.0
    seed: int = 0


def supervised_contrast(vectors: Tensor, labels: Tensor, temperature: float, /) -> Tensor:
    """Return the mean over texts of -log softmax(cosine / temperature), averaged over the other texts of its label.

    Args:
        vectors: `[n, d]`, any length.
        labels: int64 `[n]`; a text whose label no other has is only a negative.
        temperature: The divisor of cosines.
    """
    vectors = F.normalize(vectors, dim=-1)
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    scores = (vectors @ vectors.mT / temperature).masked_fill(itself, torch.finfo(vectors.dtype).min)
    same = (labels[:, None] == labels) & ~itself
    paired = same.any(dim=1)
    if not bool(paired.any()):
        return vectors.sum() * 0.0
    likely = (scores.log_softmax(dim=1) * same).sum(dim=1)[paired] / same.sum(dim=1)[paired]
    return -likely.mean()


def tune(
    base: Path,
    texts: Sequence[str],
    labels: Sequence[int],
    out: Path,
    /,
    *,
    device: torch.device,
    how: Tuning,
    step: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Tune the embedder of a folder and write a whole one into an empty folder.

    Args:
        base: The embedder's folder.
        texts: The n texts.
        labels: The number of each one's label.
        out: Where to.
        device: Where it runs.
        how: The settings.
        step: Called after each step with the steps done and all steps.

    Raises:
        MissingExtraError: accelerate or datasets is not installed.
        JnlpError: sentence-transformers cannot load the folder.
    """
    if not texts:
        raise JnlpError("there is no text to tune the embedder to")
    model = _load(base, how.tokens, device)
    with _quiet(), TemporaryDirectory() as scratch:
        trainer = _trainer(model, texts, labels, scratch, device, how)
        trainer.add_callback(_callback(step, how.seconds))
        trainer.train()
    _write(base, model, out)


def _load(base: Path, tokens: int, device: torch.device) -> Any:
    from sentence_transformers import SentenceTransformer

    try:
        with _quiet():
            model = SentenceTransformer(
                str(base), device=str(device), local_files_only=True, model_kwargs={"dtype": torch.float32}
            )
    except (OSError, ValueError, KeyError) as error:
        raise JnlpError(
            f"sentence-transformers cannot load {base}: {error}", hint="--method linear does without"
        ) from error
    model.max_seq_length = min(tokens, model.max_seq_length or tokens)
    return model


def _trainer(
    model: Any, texts: Sequence[str], labels: Sequence[int], scratch: str, device: torch.device, how: Tuning
) -> Any:
    try:
        import accelerate  # noqa: F401 - the trainer needs it
        from datasets import Dataset
    except ImportError as error:
        raise MissingExtraError("train", "few-shot training") from error
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from transformers.trainer_callback import PrinterCallback

    width = model.get_embedding_dimension() or _REFERENCE
    model.model_card_data.widget = [{"text": texts[0]}]  # otherwise it computes some
    arguments = SentenceTransformerTrainingArguments(
        output_dir=scratch,
        num_train_epochs=how.epochs,
        per_device_train_batch_size=how.batch,
        learning_rate=how.rate * _REFERENCE / width,
        weight_decay=_DECAY,
        warmup_steps=_WARMUP,
        lr_scheduler_type="linear",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        use_cpu=device.type == "cpu",
        seed=how.seed,
    )
    rows = Dataset.from_dict({"text": list(texts), "label": list(labels)})
    trainer = SentenceTransformerTrainer(model, arguments, train_dataset=rows, loss=_Contrast(model, how.temperature))
    trainer.remove_callback(PrinterCallback)
    return trainer


class _Contrast(torch.nn.Module):
    """The loss as the trainer wants it: a module that has the model, whose weights it fits."""

    def __init__(self, model: Any, temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, features: Sequence[dict[str, Tensor]], labels: Tensor) -> Tensor:
        """Return the loss of a batch."""
        return supervised_contrast(self.model(features[0])["sentence_embedding"], labels, self.temperature)


def _callback(step: Callable[[int, int], None], seconds: float) -> Any:
    """Return what reports each step and stops at the time limit."""
    from transformers.trainer_callback import TrainerCallback

    began = time.monotonic()

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            del args
            step(state.global_step, state.max_steps)
            control.should_training_stop = control.should_training_stop or time.monotonic() - began > seconds
            return control

    return Watch()


def _write(base: Path, model: Any, out: Path) -> None:
    """Copy the base's folder with the weights of the tuned model, in the number format of the old ones."""
    from safetensors.torch import save_file

    states = model[0].auto_model.state_dict()
    before = read_weights(base)
    weights = {}
    for name, old in before.items():
        key = next((k for k in (name, name.partition(".")[2]) if k in states), None)
        weights[name] = (old if key is None else states[key].detach().cpu().to(old.dtype)).contiguous()
    shutil.copytree(base, out, ignore=shutil.ignore_patterns(*NOT_READ, "*.safetensors*", *_STALE), dirs_exist_ok=True)
    save_file(weights, out / WEIGHTS, {"format": "pt"})
    (out / WEIGHTS).chmod((out / "config.json").stat().st_mode)  # the library makes it private to its owner


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' bars and warnings off the screen."""
    import warnings

    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
