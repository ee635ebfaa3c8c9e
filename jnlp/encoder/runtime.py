"""Where and how a model runs: device, dtype, threads, batch size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jnlp.errors import UsageError
from jnlp.types import Overflow

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

CPU_TOKENS = 4096
"""Tokens a batch on a CPU: a batch that fits the caches beats a larger one."""

CUDA_TOKENS = 65_536


def use_threads(count: int, /) -> None:
    """Let torch compute on `count` threads."""
    import torch

    torch.set_num_threads(count)


def uncounted(windowed: int, cut: int, /) -> None:
    """Count nothing."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the user chose for a run, apart from the model.

    Args:
        device: `auto` (CUDA where there is one), `cpu`, `cuda`, `cuda:1` ….
        dtype: `auto`, `fp32` or `bf16`. Auto is bf16 where the processor multiplies bf16 matrices in hardware.
        threads: Threads of the forward pass and the tokenizer; None: torch's choice.
        batch_tokens: Tokens in one batch; None: what suits the device.
        overflow: What happens to a text longer than the model, where a call does not say.
        normalize: Makes an aligned text (`jnlp.text.Aligned`) of each text before the model's own normaliser.
        count: Called after each call with the number of texts read in windows, and of characters left out.
    """

    device: str = "auto"
    dtype: str = "auto"
    threads: int | None = None
    batch_tokens: int | None = None
    overflow: Overflow = Overflow.WINDOW
    normalize: Callable[[str], Any] | None = None
    count: Callable[[int, int], None] = uncounted

    def place(self) -> tuple[torch.device, torch.dtype]:
        """Return the torch device and dtype; a UsageError says if the machine does not have them."""
        import torch

        device, _ = _device(self.device)
        if self.dtype not in ("auto", "fp32", "bf16"):
            raise UsageError(f"no dtype {self.dtype!r}", hint="auto, fp32 or bf16")
        wants = has_bf16(device.type) if self.dtype == "auto" else self.dtype == "bf16"
        return device, torch.bfloat16 if wants else torch.float32

    def budget(self, device: torch.device, /) -> int:
        """Return the tokens of one batch."""
        return self.batch_tokens or (CUDA_TOKENS if device.type == "cuda" else CPU_TOKENS)


def describe(runtime: Runtime, /) -> tuple[str, str, str]:
    """Return the device, the dtype and why this device, for `jnlp doctor`."""
    device, dtype = runtime.place()
    return str(device), "bf16" if dtype.itemsize == 2 else "fp32", _device(runtime.device)[1]


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


@cache
def processor_flags() -> frozenset[str]:
    """Return what the processor can do, as Linux spells it; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())


@cache
def has_bf16(device: str, /) -> bool:
    """Say if a device type multiplies bf16 matrices in hardware (on a CPU: AVX-512 BF16 or AMX, as Linux lists it)."""
    if device == "cuda":
        import torch

        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return not processor_flags().isdisjoint({"avx512_bf16", "amx_bf16"})
