"""Reads the headers of safetensors files: names and shapes of tensors, without their values.

The format: eight bytes, little endian, the length of a JSON header; the header; the values. Read here rather than by
`safetensors.safe_open`, which imports numpy or torch: `jnlp models` and `jnlp doctor` need neither.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
AGAIN = "fetch or copy the model again"
_LARGEST_HEADER = 100_000_000  # the format's own limit
_NONSENSE = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class Weights:
    """A summary of a folder's safetensors files: tensor names, number of weights, bytes."""

    names: frozenset[str]
    parameters: int
    size: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor is in its file.

    Args:
        dtype: The format's name of its dtype: `F32`, `F16`, `BF16` ….
        shape: Its sizes.
        start: The offset of its first byte in the file.
        end: The offset after its last byte.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_weights(folder: Path) -> Weights:
    """Return a summary of a folder's safetensors files, from their headers.

    Raises:
        JnlpError: A file is missing, truncated or damaged.
    """
    names: set[str] = set()
    parameters = size = 0
    for path in weight_files(folder):
        if not path.is_file():
            raise JnlpError(f"{folder} lacks {path.name}, which its {INDEX} names", hint=AGAIN)
        header = read_header(path)
        names.update(header)
        parameters += sum(prod(place.shape) for place in header.values())
        size += path.stat().st_size
    return Weights(frozenset(names), parameters, size)


def weight_files(folder: Path) -> list[Path]:
    """Return the paths a folder's weights should have: one file, or the shards its index names.

    Raises:
        JnlpError: The index is damaged.
    """
    index = folder / INDEX
    if (folder / WEIGHTS).is_file() or not index.is_file():
        return [folder / WEIGHTS]
    try:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        if any("/" in shard or "\\" in shard for shard in shards):
            raise ValueError("a shard outside the folder")
    except (*_NONSENSE, OSError) as error:
        raise JnlpError(f"{index} is damaged", hint=AGAIN) from error
    return [folder / shard for shard in shards]


def read_header(path: Path, /) -> dict[str, Place]:
    """Return where the tensors of a safetensors file are, by name.

    Raises:
        JnlpError: The file is truncated or damaged.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(size, _LARGEST_HEADER):
            raise _damage(path, size)
        raw = file.read(length)
    try:
        tensors = json.loads(raw)
        tensors.pop("__metadata__", None)
        places = {str(name): _place(tensor, 8 + length) for name, tensor in tensors.items()}
    except _NONSENSE as error:
        raise _damage(path, size) from error
    end = max((place.end for place in places.values()), default=8 + length)
    if size < end:
        raise JnlpError(f"{path} is truncated: {size:,} of {end:,} bytes", hint=AGAIN)
    return places


def _place(tensor: Any, base: int) -> Place:
    start, end = map(_size, tensor["data_offsets"])
    return Place(str(tensor.get("dtype")), tuple(map(_size, tensor["shape"])), base + start, base + end)


def _size(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no size")
    return value


def _damage(path: Path, size: int) -> JnlpError:
    return JnlpError(f"{path} is not a safetensors file, or damaged ({size:,} bytes)", hint=AGAIN)
