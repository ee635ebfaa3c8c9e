"""Runs any other architecture through transformers, with the same packed interface.

A packed batch is padded, run, and packed again, so windows, pooling and heads are the same for all models.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from jnlp.encoder.files import check_finite, present_weights
from jnlp.errors import JnlpError, MissingHeadError
from jnlp.models.weights import AGAIN
from jnlp.types import Head

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jnlp.encoder.packing import Packed


class _Padded(nn.Module):
    """Runs a transformers model over packed batches."""

    def __init__(self, model: Any, /) -> None:
        super().__init__()
        self.model = model
        self.typed = getattr(model.config, "type_vocab_size", 0) > 1
        self.pad = getattr(model.config, "pad_token_id", None) or 0
        self.labels = tuple(str(label) for _, label in sorted(model.config.id2label.items()))

    def run(self, packed: Packed, mask: Tensor) -> Any:
        """Return the model's output for the padded batch `[B, L]`; `mask` is True at tokens."""
        inputs = {"input_ids": _pad(packed.ids, mask, self.pad), "attention_mask": mask.long()}
        if self.typed and packed.types is not None:
            inputs["token_type_ids"] = _pad(packed.types, mask, 0)
        return self.model(**inputs)


class TransformersEncoder(_Padded):
    """Packed tokens to their states `[T, d]`."""

    def forward(self, packed: Packed) -> Tensor:
        """Return the last layer's states of all tokens."""
        mask = _mask(packed)
        states: Tensor = self.run(packed, mask).last_hidden_state
        return states[mask]


class TransformersMaskedLM(_Padded):
    """Packed tokens to logits at given positions."""

    def forward(self, packed: Packed, at: Tensor) -> Tensor:
        """Return logits `[M, vocabulary]` at the M tokens `at` of the packed batch, and compute only these."""
        mask = _mask(packed)

        def select_states(_: nn.Module, states: tuple[Tensor, ...]) -> Tensor:
            return states[0][mask][at]

        hook = self.model.get_output_embeddings().register_forward_pre_hook(select_states)
        try:
            logits: Tensor = self.run(packed, mask).logits
        finally:
            hook.remove()
        return logits


class TransformersClassifier(_Padded):
    """Packed tokens to logits `[B, k]`."""

    def forward(self, packed: Packed) -> Tensor:
        """Return the logits of each sequence."""
        logits: Tensor = self.run(packed, _mask(packed)).logits
        return logits


def load_network(folder: Path, head: Head, dtype: torch.dtype, /) -> _Padded:
    """Load a folder of any architecture that transformers knows, as encoder, masked LM or classifier.

    Args:
        folder: A model folder.
        head: The head to load.
        dtype: The weights' dtype.

    Raises:
        JnlpError: transformers cannot load it without running remote code.
        MissingHeadError: The folder lacks the head.
    """
    import transformers

    kind, wrapper = _AUTO[head], _WRAPPERS[head]
    present_weights(folder)  # says what is missing, and that pickles are not read, better than transformers does
    with _quiet():
        try:
            model, report = getattr(transformers, kind).from_pretrained(
                folder,
                dtype=dtype,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
        except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, ArithmeticError) as error:
            why = " ".join(str(error).split())
            raise JnlpError(f"{folder} cannot be loaded through transformers: {why[:300]}", hint=AGAIN) from error
    # an unused pooler is all that an encoder may lack
    if missing := sorted(name for name in report["missing_keys"] if "pooler" not in name or head is not Head.EMBEDDING):
        has = ", ".join(model.config.architectures or ["an encoder"])
        lacks = f"{folder} lacks {missing[0]} of {kind.removeprefix('Auto')}: it has {has}"
        raise MissingHeadError(lacks, hint=_HINTS[head])
    check_finite(dict(model.named_parameters()), folder)
    return wrapper(model)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' bars and warnings off the screen."""
    from transformers.utils import logging

    library: Any = logging  # its functions carry no types
    level, bars = library.get_verbosity(), library.is_progress_bar_enabled()
    library.set_verbosity_error()
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.set_verbosity(level)
        if bars:
            library.enable_progress_bar()


def _mask(packed: Packed) -> Tensor:
    """Return bool `[B, L]`: True at the tokens of the padded batch."""
    lengths = packed.cu_seqlens.diff()
    return torch.arange(max(packed.lengths), device=lengths.device) < lengths[:, None]


def _pad(packed: Tensor, mask: Tensor, value: int) -> Tensor:
    return torch.full(mask.shape, value, dtype=packed.dtype, device=packed.device).masked_scatter_(mask, packed)


_AUTO = {
    Head.EMBEDDING: "AutoModel",
    Head.MASKED_LM: "AutoModelForMaskedLM",
    Head.CLASSIFIER: "AutoModelForSequenceClassification",
}

_WRAPPERS: dict[Head, type[_Padded]] = {
    Head.EMBEDDING: TransformersEncoder,
    Head.MASKED_LM: TransformersMaskedLM,
    Head.CLASSIFIER: TransformersClassifier,
}

_HINTS = {
    Head.EMBEDDING: AGAIN,
    Head.MASKED_LM: "jnlp models lists the models that fill masks",
    Head.CLASSIFIER: "train one: jnlp train classifier TRAIN.csv --text … --label … -o DIR",
}
