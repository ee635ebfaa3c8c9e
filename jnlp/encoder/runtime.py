"""Where and how a model runs: device, dtype, threads, batch size."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from jnlp.encoder.forms.kernels.processors import processor_flags
from jnlp.errors import UsageError
from jnlp.types import Overflow
from jnlp.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

DTYPES = ("auto", "fp32", "bf16", "int8")


def ignore_counts(windowed: int, cut: int, /) -> None:
    """Count nothing."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The settings of a run, apart from the model.

    Args:
        device: `auto` (CUDA if available), `cpu`, `cuda`, `cuda:1` ….
        dtype: `auto`, `fp32`, `bf16` or `int8`. Auto is bf16 if the processor multiplies bf16 matrices in hardware.
            int8 applies to the layers' projections on a CPU; the rest is as with auto.
        threads: Threads of the forward pass and the tokenizer; None: the cores that the process may use.
        batch_tokens: Tokens in one batch; None: as many as fit the caches, or the GPU's memory.
        compile: Compile the layers for a GPU.
        overflow: The default policy for texts longer than the model.
        normalize: Makes an aligned text (`jnlp.text.Aligned`) of each text before the model's own normaliser.
        count: Called after each call with the number of texts read in windows, and of characters left out.
        usage: Counts the encoder's work and its time.
        backend: `auto`, `torch` or `numpy`; see `jnlp.encoder.arrays.load.choose`.
        converted: A folder shared by processes: weights converted to another dtype are stored there once and mapped by
            all. None: each process converts its own.
    """

    device: str = "auto"
    dtype: str = "auto"
    threads: int | None = None
    batch_tokens: int | None = None
    compile: bool = False
    backend: str = "auto"
    overflow: Overflow = Overflow.WINDOW
    normalize: Callable[[str], Any] | None = None
    count: Callable[[int, int], None] = ignore_counts
    usage: Usage = field(default_factory=Usage)
    converted: Path | None = None

    def place(self) -> tuple[torch.device, torch.dtype]:
        """Return the torch device and dtype; raise UsageError if the machine does not have them."""
        import torch

        device, _ = _device(self.device)
        if self.dtype not in DTYPES:
            raise UsageError(f"no dtype {self.dtype!r}", hint=", ".join(DTYPES))
        if self.dtype == "int8" and device.type != "cpu":
            raise UsageError(f"int8 runs on a CPU, not on {device}", hint="--device cpu, or --dtype bf16")
        if self.compile and device.type != "cuda":
            raise UsageError(f"compiling is for a GPU, and the model runs on {device}", hint="leave --compile out")
        return device, torch.bfloat16 if dtype_name(str(device), self.dtype) == "bf16" else torch.float32

    def budget(self, device: str, /, *, hidden: int = 512, intermediate: int = 2048, blocks: bool = False) -> int:
        """Return the token budget for a model of these sizes on a device; `blocks`: it runs in blocks of tokens."""
        from jnlp.encoder import budget, threads

        if self.batch_tokens:
            return self.batch_tokens
        itemsize = 2 if dtype_name(device, self.dtype) == "bf16" else 4
        width = budget.token_bytes(hidden, 0 if blocks else intermediate, itemsize)
        if device.startswith("cuda"):
            import torch

            return budget.cuda_budget(width, torch.cuda.mem_get_info(torch.device(device))[0])
        bounds = budget.BLOCKS_TOKENS if blocks else budget.CPU_TOKENS
        return budget.cpu_budget(width, self.threads or threads.default_threads(), bounds=bounds)


def describe(runtime: Runtime, /) -> tuple[str, str, str]:
    """Return the device, the dtype and why this device, for `jnlp doctor`."""
    device, dtype = runtime.place()
    name = "int8" if runtime.dtype == "int8" else "bf16" if dtype.itemsize == 2 else "fp32"
    return str(device), name, _device(runtime.device)[1]


def _device(name: str) -> tuple[torch.device, str]:
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda"), torch.cuda.get_device_name()
        return torch.device("cpu"), "no CUDA device"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"no device {name!r}", hint="auto, cpu, cuda, or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"no device {name!r}: torch sees {torch.cuda.device_count()} CUDA devices", hint="--device cpu"
        )
    return device, "as asked"


def dtype_name(device: str, dtype: str, /) -> str:
    """Return the dtype of a model's states on a device, for a dtype of `Runtime`: `bf16` or `fp32`."""
    wants = has_bf16(device) if dtype in ("auto", "int8") else dtype == "bf16"
    return "bf16" if wants else "fp32"


@cache
def has_bf16(device: str, /) -> bool:
    """Return True if a device multiplies bf16 matrices in hardware (on a CPU: AVX-512 BF16 or AMX)."""
    if device.startswith("cuda"):
        import torch

        with torch.cuda.device(torch.device(device)):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return not processor_flags().isdisjoint({"avx512_bf16", "amx_bf16"})
