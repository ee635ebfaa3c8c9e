"""ModernBERT folders in Hugging Face's format to networks and back."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from jnlp.encoder.files import check_finite, read_json, read_weights
from jnlp.encoder.modernbert import (
    ModernBert,
    ModernBertForMaskedLM,
    ModernBertForSequenceClassification,
)
from jnlp.encoder.runtime import Runtime
from jnlp.encoder.shape import fit, read_shape, select
from jnlp.encoder.shared_files import check_once
from jnlp.encoder.shared_weights import read_shared
from jnlp.strict_json import dumps
from jnlp.types import Head

if TYPE_CHECKING:
    from collections.abc import Mapping

Network = ModernBert | ModernBertForMaskedLM | ModernBertForSequenceClassification
N = TypeVar("N", ModernBert, ModernBertForMaskedLM, ModernBertForSequenceClassification)

NETWORKS: dict[Head, type[Network]] = {
    Head.EMBEDDING: ModernBert,
    Head.MASKED_LM: ModernBertForMaskedLM,
    Head.CLASSIFIER: ModernBertForSequenceClassification,
}
"""A network with or without a head."""

HEADS = {kind: head for head, kind in NETWORKS.items()}

ARCHITECTURES: dict[type[Network], str] = {
    ModernBert: "ModernBertModel",
    ModernBertForMaskedLM: "ModernBertForMaskedLM",
    ModernBertForSequenceClassification: "ModernBertForSequenceClassification",
}

_DEFAULT = Runtime()


def load_modernbert(
    folder: str | Path,
    kind: type[N],
    runtime: Runtime = _DEFAULT,
    /,
    *,
    config: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> N:
    """Load a folder as `ModernBert`, `ModernBertForMaskedLM` or `ModernBertForSequenceClassification`.

    The network is created without storage and gets the memory-mapped weights, cast if the dtype differs (fp16 files
    always are). It is in evaluation mode, without gradients.

    Args:
        folder: The folder of `model.safetensors`, or its shards.
        kind: The class of the network.
        runtime: The device and the dtype.
        config: The object in `config.json`; None reads it.
        name: What messages call the model; None is the folder.

    Raises:
        JnlpError: A file is missing or broken, or a weight is NaN or infinite.
        MissingHeadError: The folder lacks the head.
    """
    folder = Path(folder)
    device, dtype = runtime.place()
    shared = runtime.converted if device.type == "cpu" else None
    stored = read_weights(folder) if shared is None else read_shared(folder, dtype, shared)
    weights = select(stored, HEADS[kind], name or str(folder))
    shape = read_shape(folder, read_json(folder / "config.json") if config is None else config, weights)
    with torch.device("meta"):
        network = kind(shape)
    weights = fit(weights, {name: w.shape for name, w in network.state_dict().items()}, folder)
    placed = {name: w.to(device, dtype) for name, w in weights.items()}
    check_once(shared, f"{folder.resolve()} {dtype} {kind.__name__}", partial(check_finite, placed, folder))
    network.load_state_dict(placed, strict=True, assign=True)
    return network.requires_grad_(False).eval()


def save_modernbert(network: Network, folder: str | Path, /, *, tokenizer: str | Path | None = None) -> None:
    """Write `config.json` and `model.safetensors` (fp32) so that jnlp and transformers load them.

    Args:
        network: What to save.
        folder: The folder; created if needed.
        tokenizer: A folder whose `tokenizer.json` and `tokenizer_config.json` are copied too.
    """
    from safetensors.torch import save_file

    folder, tokenizer = Path(folder), None if tokenizer is None else Path(tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    config = network.config.to_dict() | {"architectures": [ARCHITECTURES[type(network)]], "dtype": "float32"}
    text = dumps(config, indent=2)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    weights = {name: w.detach().to("cpu", torch.float32).contiguous() for name, w in network.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for name in ("tokenizer.json", "tokenizer_config.json") if tokenizer else ():
        if tokenizer and tokenizer != folder and (tokenizer / name).is_file():
            shutil.copyfile(tokenizer / name, folder / name)
