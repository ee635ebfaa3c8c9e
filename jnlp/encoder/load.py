"""Model folders to heads: ModernBERT on jnlp's own encoder, anything else through transformers."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from jnlp.encoder.batching import BatchRunner
from jnlp.encoder.caches import limit_products
from jnlp.encoder.config import TEMPERATURE
from jnlp.encoder.files import digest_weights, read_json
from jnlp.encoder.heads import PackedClassifier, PackedEmbedder, PackedMaskedLM, Reader
from jnlp.encoder.runtime import Runtime, describe
from jnlp.encoder.threads import use_threads
from jnlp.encoder.tokenizer import load_tokenizer
from jnlp.errors import UsageError
from jnlp.models.folder import inspect
from jnlp.types import ProblemType

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from jnlp.types import ModelSpec

__all__ = ["Runtime", "describe", "describe_run", "load_classifier", "load_embedder", "load_masked_lm"]

_DEFAULT = Runtime()


def load_embedder(folder: Path, spec: ModelSpec | None = None, /, *, runtime: Runtime = _DEFAULT) -> PackedEmbedder:
    """Load a folder's encoder as an embedder.

    Args:
        folder: A model folder in Hugging Face's format.
        spec: Its pooling, prefixes and length; None reads them from the folder.
        runtime: Where and how it runs.

    Raises:
        JnlpError: A file is missing or broken; the line names it and what to do.
    """
    spec = spec or inspect(folder)
    network = _network(folder, "", runtime)
    reader = _reader(folder, spec, runtime, network)
    return PackedEmbedder(
        network,
        reader,
        dimension=int(read_json(folder / "config.json")["hidden_size"]),
        pooling=spec.pooling,
        prefixes=spec.prefixes,
        fingerprint=_fingerprint(folder, spec, reader),
    )


def load_masked_lm(folder: Path, spec: ModelSpec | None = None, /, *, runtime: Runtime = _DEFAULT) -> PackedMaskedLM:
    """Load a folder's masked-LM head; arguments and errors are those of `load_embedder`.

    Raises:
        JnlpError: The folder has no such head.
    """
    spec = spec or inspect(folder)
    network = _network(folder, "ForMaskedLM", runtime)
    return PackedMaskedLM(network, _reader(folder, spec, runtime, network))


def load_classifier(folder: Path, spec: ModelSpec | None = None, /, *, runtime: Runtime = _DEFAULT) -> PackedClassifier:
    """Load a folder's classifier; arguments and errors are those of `load_embedder`.

    Raises:
        JnlpError: The folder has no such head; the hint names the training command.
    """
    network = _network(folder, "ForSequenceClassification", runtime)
    labels: tuple[str, ...] = network.labels
    spec = spec or inspect(folder)
    single = ProblemType.SINGLE_LABEL if len(labels) > 1 else ProblemType.MULTI_LABEL
    return PackedClassifier(
        network,
        _reader(folder, spec, runtime, network),
        labels=spec.labels if len(spec.labels) == len(labels) else labels,
        problem_type=spec.problem_type or single,
        temperature=float(read_json(folder / "config.json").get(TEMPERATURE) or 1.0),
    )


def describe_run(folder: Path, runtime: Runtime, /) -> str:
    """Return what a folder's model runs on, in a line: device, dtype, threads, attention."""
    import torch

    from jnlp.encoder.attention import choose

    device, dtype = runtime.place()
    attention = "transformers"
    if _is_modernbert(folder):
        config = read_json(folder / "config.json")
        head_dim = int(config["hidden_size"]) // int(config["num_attention_heads"])
        chosen = choose(device, dtype, head_dim, False)
        attention = "compiled kernels" if hasattr(chosen, "__self__") else f"attention in torch ({chosen.__name__})"
    threads = torch.get_num_threads()
    layers = ", compiled layers" if runtime.compile else ""
    return f"{device}, {describe(runtime)[1]}, {threads} thread{'s' * (threads > 1)}, {attention}{layers}"


def _network(folder: Path, head: str, runtime: Runtime) -> Any:
    """Load a folder with a head (`ForMaskedLM`, `ForSequenceClassification`, or none) on the runtime's device."""
    limit_products()
    use_threads(runtime.threads)
    if _is_modernbert(folder):
        from jnlp.encoder import modernbert
        from jnlp.encoder.checkpoint import load_modernbert
        from jnlp.encoder.forms.cpu_torch import accelerate

        network = load_modernbert(folder, getattr(modernbert, f"ModernBert{head}"), runtime)
        share = partial(_share_layers, folder, runtime.converted)
        if runtime.dtype == "int8":
            from jnlp.encoder.forms.int8 import to_int8

            to_int8(network, share)
        else:
            accelerate(network, share, shared=runtime.converted is not None, compiling=runtime.compile)
        return network
    if runtime.dtype == "int8" or runtime.compile:
        what, hint = ("int8", "--dtype auto") if runtime.dtype == "int8" else ("compiling", "leave --compile out")
        raise UsageError(f"{folder} is no ModernBERT, and {what} is for ModernBERT alone", hint=hint)
    from jnlp.encoder.forms.transformers import load_network

    device, dtype = runtime.place()
    return load_network(folder, f"AutoModel{head}", dtype).to(device).requires_grad_(False).eval()


def _share_layers(
    folder: Path, shared: Path | None, layout: str, make: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Make a layout of a folder's layers, or find it made by another process."""
    from jnlp.encoder.shared_weights import share_weights

    return share_weights(shared, f"{folder.resolve()} layers {layout}", make)


def _is_modernbert(folder: Path) -> bool:
    return bool(read_json(folder / "config.json").get("model_type") == "modernbert")


def _reader(folder: Path, spec: ModelSpec, runtime: Runtime, network: Any) -> Reader:
    device, _ = runtime.place()
    tokenizer = load_tokenizer(
        folder, normalize=runtime.normalize, usage=runtime.usage, threads=runtime.threads, device=device.type
    )
    config = read_json(folder / "config.json")
    positions = int(config.get("max_position_embeddings", spec.max_length))
    sizes = {name: int(config[f"{name}_size"]) for name in ("hidden", "intermediate") if f"{name}_size" in config}
    inference = getattr(getattr(network, "model", network), "inference", None)
    budget = runtime.budget(device, **sizes, blocks=getattr(inference, "blocks", False))
    return Reader(
        tokenizer=tokenizer,
        runner=BatchRunner(device, budget, usage=runtime.usage, pads=not _is_modernbert(folder)),
        max_length=min(spec.max_length, positions),
        overflow=runtime.overflow,
        count=runtime.count,
    )


def _fingerprint(folder: Path, spec: ModelSpec, reader: Reader) -> str:
    """Return a sha256 over what decides a vector: config, tokenizer, weights, pooling, prefixes, normaliser, length.

    Not the dtype, which moves a vector by rounding only.

    The weights are told apart by `digest_weights`: size, header and sampled blocks.
    """
    config = read_json(folder / "config.json")
    parts = {
        "config": {name: value for name, value in config.items() if name not in ("transformers_version", "dtype")},
        "tokenizer": hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest(),
        "weights": digest_weights(folder),
        "pooling": spec.pooling.value,
        "prefixes": {purpose.value: prefix for purpose, prefix in spec.prefixes.items()},
        "max_length": reader.max_length,
    }
    if normalize := reader.tokenizer.normalize:
        name = getattr(normalize, "__qualname__", type(normalize).__qualname__)
        parts["normalize"] = f"{normalize.__module__}.{name}"
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
