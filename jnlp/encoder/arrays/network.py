"""ModernBERT by numpy and the compiled kernels. The kernels compute the layers; all else is numpy, in fp32."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.encoder.arrays.backend import pool_arrays
from jnlp.encoder.arrays.weights import Stored
from jnlp.encoder.forms.kernels.binding import HEAD_DIM, Product, Steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from jnlp.encoder.arrays.backend import PackedArrays
    from jnlp.encoder.config import ModernBertConfig
    from jnlp.encoder.forms.kernels.binding import Binding
    from jnlp.types import FloatArray, IntArray

    Array = NDArray[Any]

SLICE = 512
"""Tokens normed at a time, so that they stay in a core's cache."""


class ArrayEncoder:
    """The encoder as a function of a packed batch.

    Args:
        config: The shape; the kernels fit it (`binding.fits`).
        weights: The weights, by the names of a `ModernBert`; those outside the layers are used.
        layers: The layers as the kernels read them (`weights.lay_out_stored`).
        binding: The kernels.
        formats: The formats of products and of attention, a key of `Binding.steps`.
        threads: Threads of the kernels.
    """

    blocks = True

    def __init__(
        self,
        config: ModernBertConfig,
        weights: Mapping[str, Stored],
        layers: Mapping[str, Array],
        binding: Binding,
        formats: tuple[str, str],
        threads: int,
        /,
    ) -> None:
        self._format = formats[1]
        self.config = config
        self.threads = threads
        self.embeddings = weights["embeddings.tok_embeddings.weight"]
        self._norms = weights["embeddings.norm.weight"].float(), weights["final_norm.weight"].float()
        self._attend = binding.attention[self._format]
        self._dtype = np.uint16 if self._format == "bf16" else np.float32
        self._laid = layers
        addresses = {name: array.ctypes.data for name, array in layers.items()}
        self._steps = Steps(binding.steps[formats], config, addresses)

    def __call__(self, packed: PackedArrays, /) -> FloatArray:
        """Return the states of all tokens, fp32 `[T, d]`.

        Raises:
            MemoryError: There is no memory for the batch.
        """
        config, tokens, d = self.config, len(packed.ids), self.config.hidden_size
        x: FloatArray = np.empty((tokens, d), dtype=np.float32)
        for start in range(0, tokens, SLICE):
            rows = self.embeddings.rows(packed.ids[start : start + SLICE])
            layer_norm(rows, self._norms[0], config.norm_eps, out=x[start : start + SLICE])
        qkv, attended = np.empty((tokens, 3 * d), dtype=self._dtype), np.empty((tokens, d), dtype=self._dtype)
        before = None
        for index in range(config.num_hidden_layers):
            self._steps.run(index, x.ctypes.data, before, qkv.ctypes.data, tokens, self.threads)
            self._attention(index, qkv, attended, packed)
            before = attended.ctypes.data
        self._steps.run(config.num_hidden_layers, x.ctypes.data, before, None, tokens, self.threads)
        for start in range(0, tokens, SLICE):
            rows = x[start : start + SLICE]
            layer_norm(rows, self._norms[1], config.norm_eps, out=rows)
        return x

    def _attention(self, layer: int, qkv: Array, out: Array, packed: PackedArrays) -> None:
        config, longest = self.config, max(packed.lengths)
        cos, sin = _rotation(config.theta(layer), max(512, 1 << (longest - 1).bit_length()))
        window = config.window(layer)
        step = config.hidden_size * qkv.itemsize
        failed = self._attend(
            *(qkv.ctypes.data + part * step for part in range(3)),
            3 * config.hidden_size,
            cos.ctypes.data,
            sin.ctypes.data,
            out.ctypes.data,
            packed.cu_seqlens.ctypes.data,
            len(packed.lengths),
            config.num_attention_heads,
            -1 if window is None else window,
            self.threads,
        )
        if failed:
            raise MemoryError(f"no memory for the keys and values of {longest} tokens")


class ArrayMaskedLM:
    """The encoder with a head that predicts tokens.

    Args:
        encoder: The encoder.
        weights: The weights, by the names of a `ModernBertForMaskedLM`.
        product: The product with the vocabulary's rows, in bf16; None: in fp32, by numpy.
    """

    def __init__(
        self, encoder: ArrayEncoder, weights: Mapping[str, Stored], product: VocabularyProduct | None = None, /
    ) -> None:
        self.model = encoder
        self._head = _Head(encoder.config, weights)
        self._own = weights.get("decoder.weight")
        self._matrix: FloatArray | None = None
        self._product = product
        bias = weights.get("decoder.bias")
        self._bias = None if bias is None else bias.float()

    def __call__(self, packed: PackedArrays, at: IntArray, /) -> FloatArray:
        """Return logits `[M, vocabulary]` at the M tokens `at` of the packed batch."""
        states = self._head(self.model(packed)[at])
        logits = self._product(states) if self._product is not None else states @ self._weight().T
        if self._bias is not None:
            logits += self._bias
        return logits

    def _weight(self) -> FloatArray:
        """Return the weights in fp32, made at the first call; embeddings that they are tied to are then fp32 too."""
        if self._matrix is None:
            stored = self.model.embeddings if self._own is None else self._own
            self._matrix = stored.float()
            if self._own is None:
                self.model.embeddings = Stored(self._matrix, "F32")
        return self._matrix


class VocabularyProduct:
    """Multiplies states by the rows of a vocabulary, in bf16.

    Args:
        binding: The kernels.
        laid: The rows (`layout.lay_out_rows`).
        words: Their number.
        threads: Threads of the kernels.
    """

    def __init__(self, binding: Binding, laid: Array, words: int, threads: int, /) -> None:
        self._laid, self._words, self._threads = laid, words, threads
        panels, pairs, panel, depth = laid.shape
        self._outputs = panels * panel
        self._product = Product(binding.product, laid.ctypes.data, pairs * depth, self._outputs)

    def __call__(self, states: FloatArray, /) -> FloatArray:
        """Return the products, fp32 `[M, vocabulary]`."""
        x = np.ascontiguousarray(states, dtype=np.float32)
        out: FloatArray = np.empty((len(x), self._outputs), dtype=np.float32)
        self._product.run(x.ctypes.data, out.ctypes.data, len(x), self._threads)
        return out[:, : self._words]


class ArrayClassifier:
    """The encoder with a head that scores sequences by label.

    Args:
        encoder: The encoder.
        weights: The weights, by the names of a `ModernBertForSequenceClassification`.
    """

    def __init__(self, encoder: ArrayEncoder, weights: Mapping[str, Stored], /) -> None:
        self.model = encoder
        self.labels = encoder.config.labels
        self._head = _Head(encoder.config, weights)
        self._weight, self._bias = weights["classifier.weight"].float(), weights["classifier.bias"].float()

    def __call__(self, packed: PackedArrays, /) -> FloatArray:
        """Return logits `[B, labels]`."""
        pooled = pool_arrays(self.model(packed), packed, self.model.config.classifier_pooling)
        logits: FloatArray = self._head(pooled) @ self._weight.T + self._bias
        return logits


class _Head:
    def __init__(self, config: ModernBertConfig, weights: Mapping[str, Stored]) -> None:
        self._dense, self._norm = weights["head.dense.weight"].float(), weights["head.norm.weight"].float()
        bias = weights.get("head.dense.bias")
        self._bias = np.float32(0) if bias is None else bias.float()
        self._eps = config.norm_eps

    def __call__(self, x: FloatArray) -> FloatArray:
        x = gelu(x @ self._dense.T + self._bias)
        return layer_norm(x, self._norm, self._eps, out=x)


def layer_norm(x: FloatArray, weight: FloatArray, eps: float, /, *, out: FloatArray) -> FloatArray:
    """Norm the rows of x into `out`, and return it; the weights apply to the columns."""
    d = np.float32(x.shape[1])
    np.subtract(x, x.sum(axis=1, keepdims=True) / d, out=out)
    variance = np.einsum("td,td->t", out, out)[:, None] / d
    out *= 1 / np.sqrt(variance + np.float32(eps))
    out *= weight
    return out


def gelu(x: FloatArray, /) -> FloatArray:
    """Return the exact GELU, with the error function to 2e-7 (Abramowitz and Stegun, 7.1.26)."""
    wide = x.astype(np.float64)
    at = np.abs(wide) * 0.5**0.5
    t = 1 / (1 + 0.3275911 * at)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = np.copysign(1 - series * np.exp(-at * at), wide)
    gated: FloatArray = (0.5 * wide * (1 + erf)).astype(np.float32)
    return gated


@lru_cache(maxsize=8)
def _rotation(theta: float, positions: int) -> tuple[FloatArray, FloatArray]:
    """Return the cosines and sines of the angles of each position, fp32 `[positions, 32]`."""
    steps = np.arange(0, HEAD_DIM, 2, dtype=np.float32) / np.float32(HEAD_DIM)
    angles = np.arange(positions, dtype=np.float32)[:, None] * (1 / np.float32(theta) ** steps)
    return np.cos(angles), np.sin(angles)
