"""Weights in safetensors files as numpy arrays, mapped into memory. numpy has no bf16: its bits are kept as uint16."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.encoder.files import present_weights
from jnlp.encoder.forms.kernels.layout import lay_out, lay_out_rows
from jnlp.encoder.shared_files import made_once
from jnlp.errors import JnlpError
from jnlp.models.weights import AGAIN, read_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from jnlp.types import FloatArray, IntArray

    Array = NDArray[Any]

FORMATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""The dtypes in files, and those of the arrays."""

_EXPONENTS = {"F16": 0x7C00, "BF16": 0x7F80}
"""The bits of the exponent, all set in NaN and infinity."""

_AT_ONCE = 1 << 16
"""Numbers that are looked through at once, so that what is made of them stays in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A weight as it is in its file.

    Args:
        values: The numbers; bf16 as bits.
        dtype: Their dtype, as in `FORMATS`.
    """

    values: Array
    dtype: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        return self.values.shape

    def float(self) -> FloatArray:
        """Return all numbers in fp32."""
        return _float(self.values, self.dtype)

    def rows(self, at: IntArray, /) -> FloatArray:
        """Return some rows in fp32."""
        return _float(self.values[at], self.dtype)

    def is_finite(self) -> bool:
        """Return False if a number is NaN or infinite."""
        if (exponent := _EXPONENTS.get(self.dtype)) is None:
            return bool(np.isfinite(self.values).all())
        bits = self.values.view(np.uint16).reshape(-1)
        found = np.empty(min(_AT_ONCE, bits.size), np.uint16)
        return all(
            int(np.bitwise_and(bits[part], np.uint16(exponent), out=found[: part.stop - part.start]).max()) != exponent
            for part in _parts(bits.size)
        )


def _parts(size: int) -> Iterator[slice]:
    return (slice(first, min(first + _AT_ONCE, size)) for first in range(0, size, _AT_ONCE))


def _float(values: Array, dtype: str) -> FloatArray:
    if dtype == "BF16":
        return from_bf16(values)
    return values.astype(np.float32, copy=False)


def from_bf16(bits: Array, /) -> FloatArray:
    """Return the fp32 numbers of bf16 bits."""
    numbers: FloatArray = (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return numbers


def to_bf16(numbers: FloatArray, /) -> Array:
    """Return the bits of finite fp32 numbers in bf16, rounded to even."""
    bits = np.ascontiguousarray(numbers, dtype=np.float32).view(np.uint32)
    rounding = (bits >> np.uint32(16)) & np.uint32(1)
    rounding += np.uint32(0x7FFF)
    rounding += bits
    rounding >>= np.uint32(16)
    return rounding.astype(np.uint16)


def as_bf16(values: Array, /) -> Array:
    """Return the bits in bf16, rounded to even, of numbers as a file has them: see `FORMATS`.

    Those of fp16 are looked up, in half the time that they take by way of fp32.
    """
    if values.dtype == np.uint16:
        return values
    if values.dtype == np.float16:
        return np.take(_bf16_of_halves(), values.view(np.uint16), mode="clip")
    return to_bf16(values)


@cache
def _bf16_of_halves() -> Array:
    """Return the bits in bf16 of all fp16 numbers, by their own bits."""
    return to_bf16(np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32))


def read_arrays(folder: Path, /) -> dict[str, Stored]:
    """Map a folder's weights into memory, by name.

    Raises:
        JnlpError: A file is missing, truncated or damaged, or has weights in another dtype than `FORMATS`.
    """
    weights: dict[str, Stored] = {}
    for path in present_weights(folder):
        places = read_header(path)
        try:
            with path.open("rb") as file:
                whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise JnlpError(f"{path} cannot be read: {error}", hint=AGAIN) from error
        for name, place in places.items():
            dtype, count = FORMATS.get(place.dtype), prod(place.shape)
            if dtype is None:
                raise JnlpError(f"{name} in {path} is {place.dtype}, which is no dtype of weights", hint=AGAIN)
            if place.end - place.start != count * np.dtype(dtype).itemsize:
                raise JnlpError(f"{path} is damaged: {name} has another size than its shape", hint=AGAIN)
            values = np.frombuffer(whole, dtype, count, place.start).reshape(place.shape)
            weights[name] = Stored(values, place.dtype)
    return weights


def check_finite(weights: Mapping[str, Stored], folder: Path, /) -> None:
    """Raise JnlpError if a weight is NaN or infinite, which would spread to all results."""
    for name, weight in weights.items():
        if not weight.is_finite():
            raise JnlpError(f"the weights in {folder} hold NaN or infinity: {name}", hint=AGAIN)


def lay_out_stored(weights: Mapping[str, Stored], layers: int, products: str, offset: int, /) -> dict[str, Array]:
    """Return an encoder's layers as the kernels read them; see `layout.lay_out`."""

    def weight(name: str) -> Array | None:
        found = weights.get(name)
        if found is None:
            return None
        return found.values if products == "bf16" and not name.endswith("norm.weight") else found.float()

    return lay_out(weight, layers, products, offset, as_bf16 if products == "bf16" else None)


def lay_out_vocabulary(rows: Stored, /) -> dict[str, Array]:
    """Return the rows of a vocabulary as the product in bf16 reads them; see `layout.lay_out_rows`."""
    return {"rows": lay_out_rows(rows.values, as_bf16)}


def share_arrays(shared: Path, key: str, make: Callable[[], dict[str, Array]], /) -> dict[str, Array]:
    """Return the arrays from `make`: the first process stores them in the shared folder, and all map those files.

    Args:
        shared: The folder.
        key: Identifies the arrays among the processes.
        make: Makes the arrays.
    """

    def write(folder: Path) -> None:
        folder.mkdir()
        for name, array in make().items():
            np.save(folder / f"{name}.npy", array)  # this format begins an array on a cache line

    folder = made_once(shared, key, ".arrays", write)
    return {path.stem: np.load(path, mmap_mode="r") for path in folder.iterdir()}
