"""What a service and the front of its replicas have in common: they load, are ready or have a problem, and stop."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp_serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Loading:
    """Something that is loaded once, and then answers requests."""

    ready: bool = field(default=False, init=False)
    problem: JnlpError | None = field(default=None, init=False)
    stopping: bool = field(default=False, init=False)
    used: float = field(default_factory=time.monotonic, init=False)
    """When the last request came."""
    on_problem: Callable[[], None] = field(default_factory=lambda: lambda: None, init=False)

    def load(self) -> None:
        """Load, then be ready; a failure is kept for `/health`, and `on_problem` is called."""
        try:
            self._load()
            self.ready = True
        except JnlpError as error:
            self.problem = error
        finally:
            if not self.ready:
                self.problem = self.problem or JnlpError("a bug, see the log")
                self.on_problem()

    def _load(self) -> None:
        raise NotImplementedError

    def check_ready(self) -> None:
        """Raise the 503 of a service that is loading, or could not load."""
        if self.problem is not None:
            raise ApiError(503, f"the service could not start: {self.problem.message}", hint=self.problem.hint)
        if not self.ready:
            raise ApiError(503, "models are being loaded", headers={"Retry-After": "1"})
