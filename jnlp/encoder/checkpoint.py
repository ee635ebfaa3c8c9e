"""ModernBERT folders in Hugging Face's format to networks and back."""

from __future__ import annotations

import shutil
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from jnlp.encoder.files import check_finite, read_json, read_weights
from jnlp.encoder.modernbert import (
    ModernBert,
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertForSequenceClassification,
)
from jnlp.encoder.runtime import Runtime
from jnlp.encoder.shared_weights import check_once, read_shared
from jnlp.errors import JnlpError, MissingHeadError
from jnlp.models.weights import AGAIN
from jnlp.strict_json import dumps
from jnlp.types import Head

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    Weights = dict[str, Tensor]

Network = ModernBert | ModernBertForMaskedLM | ModernBertForSequenceClassification
N = TypeVar("N", ModernBert, ModernBertForMaskedLM, ModernBertForSequenceClassification)

NETWORKS: dict[Head, type[Network]] = {
    Head.EMBEDDING: ModernBert,
    Head.MASKED_LM: ModernBertForMaskedLM,
    Head.CLASSIFIER: ModernBertForSequenceClassification,
}
"""A network with or without a head."""

ARCHITECTURES: dict[type[Network], str] = {
    ModernBert: "ModernBertModel",
    ModernBertForMaskedLM: "ModernBertForMaskedLM",
    ModernBertForSequenceClassification: "ModernBertForSequenceClassification",
}

_DEFAULT = Runtime()
_MIXED = "config.json and weights are of different models: copy both from one"


def load_modernbert(
    folder: Path,
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
    device, dtype = runtime.place()
    shared = runtime.converted if device.type == "cpu" else None
    stored = read_weights(folder) if shared is None else read_shared(folder, dtype, shared)
    weights = _select(_add_prefix(stored), kind, name or str(folder))
    values = read_json(folder / "config.json") if config is None else dict(config)
    with torch.device("meta"):
        network = kind(_config(folder, values, weights))
    _fit(weights, network.state_dict(), folder)
    placed = {name: w.to(device, dtype) for name, w in weights.items()}
    check_once(shared, f"{folder.resolve()} {dtype} {kind.__name__}", partial(check_finite, placed, folder))
    network.load_state_dict(placed, strict=True, assign=True)
    return network.requires_grad_(False).eval()


def save_modernbert(network: Network, folder: Path, /, *, tokenizer: Path | None = None) -> None:
    """Write `config.json` and `model.safetensors` (fp32) so that jnlp and transformers load them.

    Args:
        network: What to save.
        folder: The folder; created if needed.
        tokenizer: A folder whose `tokenizer.json` and `tokenizer_config.json` are copied too.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = network.config.to_dict() | {"architectures": [ARCHITECTURES[type(network)]], "dtype": "float32"}
    text = dumps(config, indent=2)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    weights = {name: w.detach().to("cpu", torch.float32).contiguous() for name, w in network.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for name in ("tokenizer.json", "tokenizer_config.json") if tokenizer else ():
        if tokenizer and tokenizer != folder and (tokenizer / name).is_file():
            shutil.copyfile(tokenizer / name, folder / name)


def _config(folder: Path, values: dict[str, Any], weights: Weights) -> ModernBertConfig:
    """Return a network's shape; a classifier without labels in its config gets as many as its weights have."""
    path = folder / "config.json"
    if "classifier.weight" in weights and not values.get("id2label"):
        values["num_labels"] = len(weights["classifier.weight"])
    try:
        return ModernBertConfig.from_dict(values)
    except JnlpError as error:
        raise JnlpError(f"{path}: {error.message}", hint=error.hint or AGAIN) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise JnlpError(f"{path} does not describe a ModernBERT: {error}", hint=AGAIN) from error


def _add_prefix(weights: Weights) -> Weights:
    """Give the encoder's weights of an encoder-only checkpoint the prefix they have in all others."""
    if any(name.startswith("model.") for name in weights):
        return weights
    parts = ("embeddings.", "layers.", "final_norm.")
    return {f"model.{name}" if name.startswith(parts) else name: w for name, w in weights.items()}


def _select(weights: Weights, kind: type[Network], name: str) -> Weights:
    """Return the weights of a kind of network, by its names; raise if its head is missing."""
    encoder = {name: w for name, w in weights.items() if name.startswith("model.")}
    if kind is ModernBert:
        return {name.removeprefix("model."): w for name, w in encoder.items()}
    classifies = "classifier.weight" in weights
    fills = "head.dense.weight" in weights and not classifies
    if kind is ModernBertForMaskedLM and not fills:
        has = "a classifier" if classifies else "embeddings"
        hint = "jnlp models lists those that have one"
        raise MissingHeadError(f"{name} has no masked-LM head: it has {has}", hint=hint)
    if kind is ModernBertForSequenceClassification and not classifies:
        has = "embeddings and a masked-LM head" if fills else "embeddings"
        hint = "train one: jnlp train classifier TRAIN.csv --text … --label … -o DIR"
        raise MissingHeadError(f"{name} has no classifier: it has {has}", hint=hint)
    return encoder | {name: w for name, w in weights.items() if name.startswith(("head.", "decoder.", "classifier."))}


def _fit(weights: Weights, expected: Mapping[str, Tensor], folder: Path) -> None:
    """Check names and shapes; drop the copy of the embeddings that some files have as a tied decoder."""
    if "decoder.weight" not in expected:
        weights.pop("decoder.weight", None)
    if missing := sorted(expected.keys() - weights.keys()):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise JnlpError(f"the weights in {folder} lack {missing[0]}{more}", hint=_MIXED)
    if extra := sorted(weights.keys() - expected.keys()):
        raise JnlpError(f"the weights in {folder} have {extra[0]}, for which config.json has no place", hint=_MIXED)
    for name, tensor in expected.items():
        if (found := tuple(weights[name].shape)) != (wanted := tuple(tensor.shape)):
            raise JnlpError(f"{name} in {folder} is {list(found)}, by config.json {list(wanted)}", hint=_MIXED)
