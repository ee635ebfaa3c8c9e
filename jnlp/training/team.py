"""The processes of a run: one alone, or several through accelerate (the extra `train`)."""

from __future__ import annotations

import atexit
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

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

    def mean(self, value: float, /) -> float:
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

    def mean(self, value: float, /) -> float:
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
        return wrapped

    def accumulating(self, module: nn.Module, /, *, last: bool) -> AbstractContextManager[Any]:
        """Return a context without gradient exchange, except for the last micro-batch."""
        context: AbstractContextManager[Any] = nullcontext() if last else self._accelerator.no_sync(module)
        return context

    def backward(self, loss: Tensor, /) -> None:
        """Leave the gradients of a loss in its parameters."""
        self._accelerator.backward(loss)

    def mean(self, value: float, /) -> float:
        """Return the mean over the processes."""
        return float(self._accelerator.reduce(torch.tensor(value, device=self.device), "mean"))

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


def _leave() -> None:
    """End the group of processes: a thread of it that is alive at exit ends the process by `terminate`."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


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
