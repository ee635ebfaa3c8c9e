"""The processes of a run: one alone, or several through accelerate (the extra `train`)."""

from __future__ import annotations

import atexit
import gc
import sys
import time
import traceback
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

import torch

from jnlp.encoder.runtime import Runtime
from jnlp.errors import MissingExtraError
from jnlp.training.launch import is_shared

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

_PATIENCE = timedelta(hours=24)  # the others wait while the main process tokenises the corpus


class Team(Protocol):
    """The processes of a run. All of them must call collective methods in the same order."""

    @property
    def rank(self) -> int:
        """The number of this process; only the main process, 0, writes."""
        ...

    @property
    def size(self) -> int:
        """The number of processes."""
        ...

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        ...

    def prepare(self, module: nn.Module, /) -> nn.Module:
        """Return a module whose gradients become the mean over all processes."""
        ...

    def accumulating(self, module: nn.Module, /, *, last: bool) -> AbstractContextManager[Any]:
        """Return a context for one micro-batch; processes exchange gradients only in a step's last one."""
        ...

    def backward(self, loss: Tensor, /) -> None:
        """Leave the gradients of a loss in its parameters."""
        ...

    def mean(self, value: Tensor, /) -> Tensor:
        """Return the mean of a value over the processes."""
        ...

    def total(self, values: Tensor, /) -> Tensor:
        """Return the sum of a tensor over the processes."""
        ...

    def follow(self, values: tuple[float, ...], /) -> tuple[float, ...]:
        """Return the main process's values, for decisions that depend on its clock and signals."""
        ...

    def wait(self) -> None:
        """Wait until all processes are here."""
        ...


@dataclass(frozen=True, slots=True)
class Alone:
    """One process."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    rank: int = 0
    size: int = 1

    def prepare(self, module: nn.Module, /) -> nn.Module:
        """Return the module."""
        return module

    def accumulating(self, module: nn.Module, /, *, last: bool) -> AbstractContextManager[Any]:
        """Return a context that does nothing."""
        del module, last
        return nullcontext()

    def backward(self, loss: Tensor, /) -> None:
        """Leave the gradients of a loss in its parameters."""
        loss.backward()  # type: ignore[no-untyped-call]

    def mean(self, value: Tensor, /) -> Tensor:
        """Return the value."""
        return value

    def total(self, values: Tensor, /) -> Tensor:
        """Return the tensor."""
        return values

    def follow(self, values: tuple[float, ...], /) -> tuple[float, ...]:
        """Return the values."""
        return values

    def wait(self) -> None:
        """Do nothing."""


class Accelerated:
    """The processes that `accelerate launch` or `torchrun` started.

    Args:
        device: `auto`, or `cpu` to stay off the GPUs.

    Raises:
        MissingExtraError: accelerate is not installed.
    """

    def __init__(self, device: str = "auto") -> None:
        try:
            from accelerate import Accelerator, InitProcessGroupKwargs
            from accelerate.utils import GradientAccumulationPlugin
        except ImportError as error:
            raise MissingExtraError("train", "training in several processes") from error
        # Its functions have the group of processes as a default value, forever, if there is one when it is imported.
        import torch.distributed.nn  # noqa: F401

        patience = InitProcessGroupKwargs(timeout=_PATIENCE)
        self._accelerator = Accelerator(  # precision and accumulation are the recipe's, whatever the user's config says
            cpu=device == "cpu",
            mixed_precision="no",
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
            kwargs_handlers=[patience],
        )
        self.device: torch.device = self._accelerator.device
        self.rank: int = self._accelerator.process_index
        self.size: int = self._accelerator.num_processes
        if self.size > 1:
            atexit.register(_leave)

    def prepare(self, module: nn.Module, /) -> nn.Module:
        """Return the module, wrapped in DistributedDataParallel if there are several processes."""
        wrapped: nn.Module = self._accelerator.prepare_model(module)
        if wrapped is not module:
            _wrapped.add(wrapped)
        return wrapped

    def accumulating(self, module: nn.Module, /, *, last: bool) -> AbstractContextManager[Any]:
        """Return a context without gradient exchange, except for the last micro-batch."""
        context: AbstractContextManager[Any] = nullcontext() if last else self._accelerator.no_sync(module)
        return context

    def backward(self, loss: Tensor, /) -> None:
        """Leave the gradients of a loss in its parameters."""
        self._accelerator.backward(loss)

    def mean(self, value: Tensor, /) -> Tensor:
        """Return the mean over the processes."""
        mean: Tensor = self._accelerator.reduce(value, "mean")
        return mean

    def total(self, values: Tensor, /) -> Tensor:
        """Return the sum over the processes."""
        summed: Tensor = self._accelerator.reduce(values, "sum")
        return summed

    def follow(self, values: tuple[float, ...], /) -> tuple[float, ...]:
        """Return the main process's values."""
        from accelerate.utils import broadcast

        row = broadcast(torch.tensor(values, dtype=torch.float64, device=self.device))
        return tuple(row.tolist())

    def wait(self) -> None:
        """Wait until all processes are here."""
        self._accelerator.wait_for_everyone()


def add_gradients(module: nn.Module, team: Team, /) -> None:
    """Replace the gradients of a module by their sums over the processes."""
    if team.size == 1:
        return
    params = [param for param in module.parameters() if param.requires_grad]
    parts = [torch.zeros_like(param) if param.grad is None else param.grad for param in params]
    summed = team.total(torch.cat([part.flatten() for part in parts]))
    for param, part in zip(params, torch.split(summed, [part.numel() for part in parts]), strict=True):
        param.grad = part.view_as(param).clone()


_wrapped: WeakSet[nn.Module] = WeakSet()
"""The modules that exchange gradients: each holds the group of processes."""


def _leave() -> None:
    """End the group of processes and its threads, which belong to the group: they end with the last reference to it.

    A thread of gloo frees the tensors of the last exchange, for which it needs the interpreter's lock. If it asks for
    the lock when the interpreter has begun to end, it is ended in the middle of C++ code, and C++ aborts the process.
    """
    if not torch.distributed.is_initialized():
        return
    for module in _wrapped:
        for name in ("reducer", "logger", "process_group"):
            vars(module).pop(name, None)
    traceback.clear_frames(getattr(sys, "last_traceback", None))  # of the error that ends the program
    torch.distributed.destroy_process_group()
    gc.collect()
    _let_threads_rest()


def _let_threads_rest(patience: float = 5.0) -> None:
    """Wait until gloo's threads rest, if somebody else holds the group; Linux alone tells their states."""
    rested, end = 0, time.monotonic() + patience
    while rested < 3 and time.monotonic() < end and (states := _states_of_threads("pt_gloo")):
        rested = rested + 1 if states == {"S"} else 0
        time.sleep(0.02)  # the lock is theirs


def _states_of_threads(prefix: str) -> set[str]:
    """Return the states of this process's threads with such names: `S` is one that waits, `R` one that runs."""
    states = set()
    for place in Path("/proc/self/task").glob("*/stat"):
        with suppress(OSError):  # the thread has ended
            name, state = place.read_text("utf-8").partition("(")[2].rsplit(") ", 1)
            if name.startswith(prefix):
                states.add(state[0])
    return states


def assemble(device: str = "auto") -> Team:
    """Return the team of this process.

    Args:
        device: `auto` (a GPU if available), `cpu` or `cuda`.

    Raises:
        UsageError: There is no such device.
        MissingExtraError: There are several processes, and accelerate is not installed.
    """
    place, _ = Runtime(device=device).place()
    if is_shared():
        return Accelerated(device)
    return Alone(place)
