"""Decides whether a model runs without torch, and loads it so."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.encoder.forms import kernels
from jnlp.encoder.forms.kernels.binding import Binding, fits
from jnlp.encoder.runtime import DTYPES, dtype_name
from jnlp.encoder.shape import fit, read_shape, select, shapes
from jnlp.encoder.shared_files import check_once
from jnlp.encoder.threads import limit_threads
from jnlp.errors import JnlpError, UsageError
from jnlp.types import Head

if TYPE_CHECKING:
    from jnlp.encoder.arrays.network import ArrayClassifier, ArrayEncoder, ArrayMaskedLM
    from jnlp.encoder.runtime import Runtime
    from jnlp.models.folder import ModelFolder

VARIABLE = "JNLP_BACKEND"
"""`torch` or `numpy` uses that backend; `auto` or unset leaves the choice to `choose`."""
BACKENDS = ("auto", "torch", "numpy")

GPUS = ("nvidiactl", "nvidia0", "kfd", "dxg", "nvmap")
"""Files in /dev of a GPU's driver: NVIDIA's, AMD's, Windows's, Jetson's."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """What the layers run with.

    Args:
        binding: The compiled kernels.
        formats: The formats of products and of attention, a key of `Binding.steps`.
    """

    binding: Binding
    formats: tuple[str, str]


def choose(model: ModelFolder, runtime: Runtime, /) -> Kernels | None:
    """Return the kernels that a model runs with on numpy's backend, or None: it runs on torch's.

    Unless the runtime or `JNLP_BACKEND` names a backend, numpy's runs all models that it can. A process that has
    imported torch uses torch, so that it has one team of threads.

    Raises:
        UsageError: There is no such backend, or numpy's is asked for and cannot compute the model.
    """
    wished = os.environ.get(VARIABLE, "").lower() or "auto"
    if runtime.backend != "auto":
        wished = runtime.backend
    if wished not in BACKENDS:
        raise UsageError(f"no backend {wished!r}", hint=f"{VARIABLE}: {', '.join(BACKENDS)}")
    if wished == "torch" or (wished == "auto" and "torch" in sys.modules):
        return None
    found = _obstacle(model, runtime)
    if isinstance(found, Kernels):
        return found
    if wished == "numpy":
        raise UsageError(f"the numpy backend cannot run {model.spec.name}: {found}", hint=f"{VARIABLE}=auto")
    return None


def _obstacle(model: ModelFolder, runtime: Runtime) -> Kernels | str:
    """Return the kernels for a model, or what they cannot do."""
    if not model.is_modernbert:
        return "it is not a ModernBERT"
    if runtime.dtype not in DTYPES or runtime.compile or runtime.device not in ("auto", "cpu"):
        return "it computes on a CPU only"
    if runtime.device == "auto" and has_gpu():
        return "there may be a GPU: name the device"
    binding, states = kernels.functions(), dtype_name("cpu", runtime.dtype)
    if binding is None:
        return "there are no compiled kernels"
    formats = ("int8" if runtime.dtype == "int8" else states), states
    try:
        able = formats in binding.steps and fits(read_shape(model.folder, model.config, {}))
    except JnlpError:  # torch's backend says what is wrong
        able = False
    return Kernels(binding, formats) if able else "the kernels are not compiled for its shape or dtype"


def has_gpu(*, devices: Path = Path("/dev")) -> bool:
    """Return True if a driver's files show that there may be a GPU that torch can use."""
    return any((devices / name).exists() for name in GPUS)


def load_arrays(
    model: ModelFolder, head: Head, chosen: Kernels, runtime: Runtime, /
) -> ArrayEncoder | ArrayMaskedLM | ArrayClassifier:
    """Load a folder's encoder with a head.

    Args:
        model: The folder.
        head: The head.
        chosen: The kernels, from `choose`.
        runtime: Threads of the forward pass, and the folder that processes share, if there is one.

    Raises:
        JnlpError: A file is missing or broken, or a weight is NaN or infinite.
        MissingHeadError: The folder lacks the head.
    """
    threads = limit_threads(runtime.threads)  # before numpy is loaded, which reads it then
    from jnlp.encoder.arrays.network import ArrayClassifier, ArrayEncoder, ArrayMaskedLM, VocabularyProduct
    from jnlp.encoder.arrays.weights import check_finite, lay_out_stored, lay_out_vocabulary, read_arrays, share_arrays

    weights = select(read_arrays(model.folder), head, model.title)
    config = read_shape(model.folder, model.config, weights)
    weights = fit(weights, shapes(config, head), model.folder)
    shared, place = runtime.converted, model.folder.resolve()
    check_once(shared, f"{place} arrays {head.value}", partial(check_finite, weights, model.folder))
    prefix = "" if head is Head.EMBEDDING else "model."
    inner = {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
    laid = partial(lay_out_stored, inner, config.num_hidden_layers, chosen.formats[0], chosen.binding.int8_offset)
    key = f"{place} layers {chosen.formats[0]} {chosen.binding.int8_offset}"
    layers = laid() if shared is None else share_arrays(shared, key, laid)
    encoder = ArrayEncoder(config, inner, layers, chosen.binding, chosen.formats, threads)
    if head is Head.EMBEDDING:
        return encoder
    if head is not Head.MASKED_LM:
        return ArrayClassifier(encoder, weights)
    if chosen.binding.product is None or chosen.formats[1] != "bf16":
        return ArrayMaskedLM(encoder, weights)
    rows = weights.get("decoder.weight", encoder.embeddings)
    vocabulary = partial(lay_out_vocabulary, rows)
    found = vocabulary() if shared is None else share_arrays(shared, f"{place} vocabulary", vocabulary)
    product = VocabularyProduct(chosen.binding, found["rows"], len(rows.values), threads)
    return ArrayMaskedLM(encoder, weights, product)
