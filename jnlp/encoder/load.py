"""Loads heads from model folders: ModernBERT with jnlp's own encoder, anything else through transformers."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from jnlp.encoder.batching import BatchRunner
from jnlp.encoder.caches import limit_products
from jnlp.encoder.files import digest_weights, read_json
from jnlp.encoder.heads import PackedClassifier, PackedEmbedder, PackedMaskedLM, Reader
from jnlp.encoder.runtime import Runtime, describe, dtype_name
from jnlp.encoder.threads import limit_threads, use_threads
from jnlp.encoder.tokenizer import load_tokenizer
from jnlp.errors import JnlpError, MissingHeadError, UsageError
from jnlp.models.folder import ModelFolder, embedder_of, read_folder, read_special
from jnlp.strict_json import dumps
from jnlp.types import Head, ProblemType

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from jnlp.encoder.backend import Backend
    from jnlp.encoder.heads import Network
    from jnlp.encoder.linear_classifier import LinearClassifier
    from jnlp.types import ModelSpec

    LoadedHead: TypeAlias = PackedEmbedder | PackedMaskedLM | PackedClassifier | LinearClassifier

__all__ = ["Runtime", "describe", "describe_run", "load_classifier", "load_embedder", "load_head", "load_masked_lm"]

_DEFAULT = Runtime()


def load_head(head: Head, model: ModelFolder, /, *, runtime: Runtime = _DEFAULT) -> LoadedHead:
    """Load a head of a model; errors are those of `load_embedder`."""
    if model.is_linear:
        if head is not Head.CLASSIFIER:
            raise MissingHeadError(
                f"{model.folder} is a linear classifier: it labels texts, and has no {head.value} head",
                hint="jnlp models lists the models that have one",
            )
        from jnlp.encoder.linear_classifier import load_linear

        inner = embedder_of(model.folder, model.config)
        return load_linear(model, None if inner is None else load_embedder(inner, runtime=runtime), runtime=runtime)
    return _LOADERS[head](model, runtime=runtime)


def load_embedder(
    folder: str | Path | ModelFolder, spec: ModelSpec | None = None, /, *, runtime: Runtime = _DEFAULT
) -> PackedEmbedder:
    """Load a folder's encoder as an embedder.

    Args:
        folder: A model folder in Hugging Face's format, or a `ModelFolder`, which is not read again.
        spec: Its pooling, prefixes and length; None: those of the folder.
        runtime: Where and how it runs.

    Raises:
        JnlpError: A file is missing or broken; the message names it and the remedy.
    """
    model = _read(folder, spec)
    network, backend = _network(model, Head.EMBEDDING, runtime)
    reader = _reader(model, runtime, network, backend)
    return PackedEmbedder(
        network,
        reader,
        dimension=_dimension(model, network),
        pooling=model.spec.pooling,
        prefixes=model.spec.prefixes,
        fingerprint=_fingerprint(model, reader),
        search=model.spec.search,
    )


def load_masked_lm(
    folder: str | Path | ModelFolder, spec: ModelSpec | None = None, /, *, runtime: Runtime = _DEFAULT
) -> PackedMaskedLM:
    """Load a folder's masked-LM head; arguments and errors are those of `load_embedder`.

    Raises:
        JnlpError: The folder has no such head.
    """
    model = _read(folder, spec)
    network, backend = _network(model, Head.MASKED_LM, runtime)
    return PackedMaskedLM(network, _reader(model, runtime, network, backend))


def load_classifier(
    folder: str | Path | ModelFolder, spec: ModelSpec | None = None, /, *, runtime: Runtime = _DEFAULT
) -> PackedClassifier:
    """Load a folder's classifier; arguments and errors are those of `load_embedder`.

    Raises:
        JnlpError: The folder has no such head; the hint names the training command.
    """
    model = _read(folder, spec)
    network, backend = _network(model, Head.CLASSIFIER, runtime)
    labels: tuple[str, ...] = network.labels
    spec = model.spec
    single = ProblemType.SINGLE_LABEL if len(labels) > 1 else ProblemType.MULTI_LABEL
    return PackedClassifier(
        network,
        _reader(model, runtime, network, backend),
        labels=spec.labels if len(spec.labels) == len(labels) else labels,
        problem_type=spec.problem_type or single,
        temperature=model.temperature,
        builtin=spec.builtin or "",
        folder=model.folder,
    )


def describe_run(model: ModelFolder, runtime: Runtime, /) -> str:
    """Describe how a model runs, in one line: device, dtype, threads, attention."""
    if model.is_linear:
        inner = embedder_of(model.folder, model.config)
        return "n-grams" if inner is None else f"n-grams, and vectors on {describe_run(read_folder(inner), runtime)}"
    from jnlp.encoder.arrays.load import choose

    if choose(model, runtime) is not None:
        dtype, threads = (
            "int8" if runtime.dtype == "int8" else dtype_name("cpu", runtime.dtype),
            limit_threads(runtime.threads),
        )
        return f"cpu, {dtype}, {_count(threads)}, compiled kernels"
    return _describe_torch(model, runtime)


def _describe_torch(model: ModelFolder, runtime: Runtime) -> str:
    import torch

    from jnlp.encoder.attention import choose

    device, dtype = runtime.place()
    attention = "transformers"
    if model.is_modernbert:
        head_dim = int(model.config["hidden_size"]) // int(model.config["num_attention_heads"])
        chosen = choose(device, dtype, head_dim, False)
        attention = "compiled kernels" if hasattr(chosen, "__self__") else f"attention in torch ({chosen.__name__})"
    layers = ", compiled layers" if runtime.compile else ""
    return f"{device}, {describe(runtime)[1]}, {_count(torch.get_num_threads())}, {attention}{layers}"


def _count(threads: int) -> str:
    return f"{threads} thread{'s' * (threads > 1)}"


def _read(folder: str | Path | ModelFolder, spec: ModelSpec | None) -> ModelFolder:
    """Return a `ModelFolder`, reading the folder if needed; a given spec replaces the folder's."""
    if isinstance(folder, ModelFolder):
        return folder if spec is None else replace(folder, spec=spec)
    folder = Path(folder)
    if spec is None:
        return read_folder(folder)
    return ModelFolder(folder, spec, read_json(folder / "config.json"), read_special(folder))


def _dimension(model: ModelFolder, network: Network) -> int:
    """Return the size of a vector. Some architectures use another key, which transformers knows."""
    stated = model.config.get("hidden_size")
    if stated is None:
        stated = getattr(getattr(getattr(network, "model", None), "config", None), "hidden_size", None)
    if not isinstance(stated, int):
        raise JnlpError(f"{model.folder / 'config.json'} does not state hidden_size", hint="name a text encoder")
    return stated


def _network(model: ModelFolder, head: Head, runtime: Runtime) -> tuple[Any, Backend]:
    """Load a model with a head, and return it and the backend that it computes with."""
    from jnlp.encoder.arrays.load import choose, load_arrays

    if (chosen := choose(model, runtime)) is not None:
        from jnlp.encoder.arrays.backend import ArrayBackend

        return load_arrays(model, head, chosen, runtime), ArrayBackend()
    from jnlp.encoder.torch_backend import TorchBackend

    limit_products()
    use_threads(runtime.threads)
    return _torch_network(model, head, runtime), TorchBackend(runtime.place()[0])


def _torch_network(model: ModelFolder, head: Head, runtime: Runtime) -> Any:
    """Load a model with a head on the runtime's device."""
    folder = model.folder
    if model.is_modernbert:
        from jnlp.encoder.checkpoint import NETWORKS, load_modernbert
        from jnlp.encoder.forms.cpu_torch import accelerate

        if runtime.place()[0].type == "cpu":
            from jnlp.encoder.forms import kernels

            kernels.build_in_background()
        kind: Any = NETWORKS[head]
        network = load_modernbert(folder, kind, runtime, config=model.config, name=model.title)
        share = partial(_share_layers, folder, runtime.converted)
        if runtime.dtype == "int8":
            from jnlp.encoder.forms.int8 import to_int8

            to_int8(network, share)
        else:
            accelerate(network, share, shared=runtime.converted is not None, compiling=runtime.compile)
        return network
    if runtime.dtype == "int8" or runtime.compile:
        what, hint = ("int8", "--dtype auto") if runtime.dtype == "int8" else ("compiling", "leave --compile out")
        raise UsageError(f"{folder} is not a ModernBERT, and {what} works only for ModernBERT", hint=hint)
    from jnlp.encoder.forms.transformers import load_network

    device, dtype = runtime.place()
    return load_network(folder, head, dtype).to(device).requires_grad_(False).eval()


def _share_layers(
    folder: Path, shared: Path | None, layout: str, make: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Create a layout of a folder's layers, or return the one created by another process."""
    from jnlp.encoder.shared_weights import share_weights

    return share_weights(shared, f"{folder.resolve()} layers {layout}", make)


def _reader(model: ModelFolder, runtime: Runtime, network: Any, backend: Backend) -> Reader:
    tokenizer = load_tokenizer(
        model, normalize=runtime.normalize, usage=runtime.usage, threads=runtime.threads, device=backend.name
    )
    config, spec = model.config, model.spec
    positions = int(config.get("max_position_embeddings", spec.max_length))
    sizes = {name: int(config[f"{name}_size"]) for name in ("hidden", "intermediate") if f"{name}_size" in config}
    encoder = getattr(network, "model", network)
    blocks = getattr(getattr(encoder, "inference", encoder), "blocks", False)
    budget = runtime.budget(backend.name, **sizes, blocks=blocks)
    return Reader(
        tokenizer=tokenizer,
        runner=BatchRunner(backend, budget, usage=runtime.usage, pads=not model.is_modernbert),
        max_length=min(spec.max_length, positions),
        overflow=runtime.overflow,
        count=runtime.count,
    )


def _fingerprint(model: ModelFolder, reader: Reader) -> str:
    """Return a sha256 over everything that determines a vector.

    It covers config, tokenizer, weights (by `digest_weights`), pooling, prefixes, normaliser and length; not the dtype,
    which changes a vector only by rounding.
    """
    spec = model.spec
    parts = {
        "config": {
            name: value for name, value in model.config.items() if name not in ("transformers_version", "dtype")
        },
        "tokenizer": reader.tokenizer.digest,
        "weights": digest_weights(model.folder),
        "pooling": spec.pooling.value,
        "prefixes": {purpose.value: prefix for purpose, prefix in spec.prefixes.items()},
        "max_length": reader.max_length,
    }
    if normalize := reader.tokenizer.normalize:
        name = getattr(normalize, "__qualname__", type(normalize).__qualname__)
        parts["normalize"] = f"{normalize.__module__}.{name}"
    return hashlib.sha256(dumps(parts, sort_keys=True, ascii=True).encode()).hexdigest()


_LOADERS: dict[Head, Callable[..., LoadedHead]] = {
    Head.EMBEDDING: load_embedder,
    Head.MASKED_LM: load_masked_lm,
    Head.CLASSIFIER: load_classifier,
}
