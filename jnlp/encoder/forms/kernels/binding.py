"""The built library by ctypes, over addresses of memory. Knows neither torch nor numpy."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from jnlp.encoder.config import ModernBertConfig
    from jnlp.encoder.forms.kernels.processors import Kind

HEAD_DIM = 64
"""The size of an attention head that the kernels are written for."""

_POINTER, _WIDE, _NARROW = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
_ATTENTION: list[Any] = [*[_POINTER] * 3, _WIDE, *[_POINTER] * 4, _WIDE, _WIDE, _NARROW, _NARROW]
_STEP: list[Any] = [*[_POINTER] * 4, _WIDE, _WIDE, _NARROW]
_STEPS = {
    ("fp32", "fp32"): "jnlp_layer_step_fp32",
    ("int8", "fp32"): "jnlp_layer_step_int8",
    ("bf16", "bf16"): "jnlp_layer_step_bf16_bf16",
    ("int8", "bf16"): "jnlp_layer_step_int8_bf16",
}


class Binding:
    """The functions of one library.

    Args:
        path: The built library.
        kind: The kind of processor it is for.

    Raises:
        OSError: It does not load.
        AttributeError: It lacks a function.
    """

    def __init__(self, path: Path, kind: Kind, /) -> None:
        self.path = path
        self.kind = kind
        self._library = ctypes.CDLL(str(path))
        self.attention = {"fp32": self._library.jnlp_attention_fp32}
        """Attention by the format of queries, keys and values."""
        if hasattr(self._library, "jnlp_attention_bf16"):
            self.attention["bf16"] = self._library.jnlp_attention_bf16
        for run in self.attention.values():
            run.argtypes, run.restype = _ATTENTION, ctypes.c_int
        self.steps: dict[tuple[str, str], Any] = {}
        """The step between two attentions, by the format of its products and of attention."""
        for formats, name in _STEPS.items():
            if formats[1] in self.attention:
                run = getattr(self._library, name)
                run.argtypes, run.restype = _STEP, ctypes.c_int
                self.steps[formats] = run
        self.product: Any = getattr(self._library, "jnlp_product_bf16", None)
        """A product with weights in bf16, for `Product`; None where the processor has none."""
        if self.product is not None:
            self.product.argtypes, self.product.restype = _STEP, ctypes.c_int
        self.postings = Postings(self._library)
        """Reads a full text's postings."""
        self.int8_offset = int(self._library.jnlp_int8_offset())
        """What is added to a quantised activation before the product."""

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of products that are compiled."""
        return tuple(sorted({products for products, _ in self.steps}))

    def use_openmp(self, path: Path, /) -> bool:
        """Compute on the threads of an OpenMP library from now on; return False if it is not one."""
        return not self._library.jnlp_use_openmp(str(path).encode())


def fits(config: ModernBertConfig, /) -> bool:
    """Return True if a model has the shape that the steps are written for: heads of 64, no biases, sizes in 64s."""
    return (
        config.head_dim == HEAD_DIM
        and config.hidden_size % 64 == 0
        and config.intermediate_size % 64 == 0
        and not (config.attention_bias or config.mlp_bias or config.norm_bias)
    )


class _Linear(ctypes.Structure):
    _fields_ = (
        ("weight", ctypes.c_void_p),
        ("sums", ctypes.c_void_p),
        ("scale", ctypes.c_void_p),
        ("inputs", ctypes.c_int64),
        ("outputs", ctypes.c_int64),
    )


class _Layer(ctypes.Structure):
    _fields_ = (
        ("out", _Linear),
        ("mlp_norm", ctypes.c_void_p),
        ("up", _Linear),
        ("down", _Linear),
        ("attn_norm", ctypes.c_void_p),
        ("qkv", _Linear),
        ("eps", ctypes.c_float),
    )


class Steps:
    """The steps of a model between its attentions.

    Args:
        run: A function of `Binding.steps`.
        config: The model's shape.
        addresses: The addresses of its layers' parts, by the names of `layout.lay_out`. The memory must stay.
    """

    def __init__(self, run: Callable[..., int], config: ModernBertConfig, addresses: Mapping[str, int], /) -> None:
        self._run = run
        d, inner = config.hidden_size, config.intermediate_size
        sizes = {"qkv": (d, 3 * d), "out": (d, d), "up": (d, 2 * inner), "down": (inner, d)}
        self._width = d
        self._steps = [_Layer(eps=config.norm_eps) for _ in range(config.num_hidden_layers + 1)]
        for index in range(config.num_hidden_layers):
            for step, parts in ((index, ("attn_norm", "qkv")), (index + 1, ("out", "mlp_norm", "up", "down"))):
                for part in parts:
                    name = f"{index}.{part}"
                    held: Any = addresses.get(name)
                    if part in sizes:
                        found = (addresses.get(f"{name}.{each}") for each in ("weight", "sums", "scale"))
                        held = _Linear(*found, *sizes[part])
                    setattr(self._steps[step], part, held)

    def __len__(self) -> int:
        """The number of steps: one more than the layers."""
        return len(self._steps)

    def run(self, index: int, x: int, attended: int | None, qkv: int | None, tokens: int, threads: int, /) -> None:
        """Run a step on memory at these addresses; see `kernels.cpp`.

        Raises:
            MemoryError: There is no memory for a block of tokens.
        """
        if self._run(ctypes.byref(self._steps[index]), attended, x, qkv, tokens, self._width, threads):
            raise MemoryError("no memory for a block of tokens")


class _Pages(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_char_p),
        ("starts", ctypes.c_void_p),
        ("first", ctypes.c_void_p),
        ("last_is_here", ctypes.c_void_p),
        ("segments", ctypes.c_int64),
    )


class Found(ctypes.Structure):
    """What a word has in some pages, with the greatest number of a row and the greatest position.

    `plain` is 1 if the rows ascend through all segments and none was deleted.
    """

    rows: int
    positions: int
    last_number: int
    last_position: int
    plain: int
    _fields_ = tuple((name, ctypes.c_int64) for name in ("rows", "positions", "last_number", "last_position", "plain"))


class Postings:
    """Reads where a word is from the pages of a full text of SQLite; see `postings.h`.

    Args:
        library: The built library.

    Raises:
        AttributeError: It lacks a function.
    """

    def __init__(self, library: ctypes.CDLL, /) -> None:
        self._read, self._counts = library.jnlp_postings_read, library.jnlp_postings_counts
        self._read.argtypes = [_POINTER, ctypes.c_char_p, _WIDE, _NARROW, _NARROW, *[_POINTER] * 5]
        self._read.restype = ctypes.c_int
        self._counts.argtypes = [_POINTER, _POINTER, _WIDE, _NARROW, _POINTER, _WIDE, _POINTER]
        self._counts.restype = None

    def pages(self, data: bytes, starts: int, first: int, last_is_here: int, segments: int, /) -> Any:
        """Return pages for the other calls. All but `data` are addresses; the memory must stay.

        Args:
            data: The pages, one after the other.
            starts: Where each begins and the last ends, int64 `[pages + 1]`.
            first: The first page of each segment, and the number of pages, int64 `[segments + 1]`.
            last_is_here: Whether the last page of each segment is among them, int32 `[segments]`.
            segments: Their number.
        """
        return _Pages(data, starts, first, last_is_here, segments)

    def read(
        self, pages: Any, word: bytes, room: tuple[int, int, int], more: int, /, *, wide: bool, far: bool
    ) -> tuple[int, Found]:
        """Read a word's rows: return 0 and what was found, 1 if more pages are needed, -1 if one is damaged.

        Args:
            pages: Of `pages`.
            word: The word as the full text spells it.
            room: The addresses for the numbers of rows, half as many as bytes of the pages; for where the positions of
                each begin and the last end, one more; and for the positions, as many as bytes.
            more: The address for the segments of which the next pages are needed, int32 `[segments]`.
            wide: Numbers and starts are int64, not int32.
            far: Positions are int32, not uint16.
        """
        found = Found()
        state = self._read(ctypes.byref(pages), word, len(word), wide, far, *room, more, ctypes.byref(found))
        return int(state), found

    def counts(
        self, numbers: int, starts: int, rows: int, wanted: int, count: int, found: int, /, *, wide: bool
    ) -> None:
        """Count how often a word is in each of some passages; the first, second, fourth and sixth are addresses.

        Args:
            numbers: Of the rows of `read`.
            starts: The same.
            rows: The number of rows.
            wanted: Passages, int64 `[count]`, ascending.
            count: Their number.
            found: For the result, int32 `[count]`.
            wide: As in `read`.
        """
        self._counts(numbers, starts, rows, wide, wanted, count, found)


class Product:
    """A linear layer with weights in bf16, from fp32 to fp32.

    Args:
        run: `Binding.product`.
        weight: The address of the weights as `layout.lay_out_rows` returns them. The memory must stay.
        inputs: Their columns.
        outputs: Their rows, a multiple of 64.
    """

    def __init__(self, run: Callable[..., int], weight: int, inputs: int, outputs: int, /) -> None:
        self._run, self._inputs = run, inputs
        self._layer = _Layer(qkv=_Linear(weight, None, None, inputs, outputs))

    def run(self, x: int, out: int, tokens: int, threads: int, /) -> None:
        """Multiply the tokens at the address `x` and write to `out`, `[tokens, outputs]`.

        Raises:
            MemoryError: There is no memory for a block of tokens.
        """
        if self._run(ctypes.byref(self._layer), None, x, out, tokens, self._inputs, threads):
            raise MemoryError("no memory for a block of tokens")
