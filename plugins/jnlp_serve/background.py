"""`jnlp serve --background` and `--stop`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError, UsageError
from jnlp.executors import services

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BACKGROUND = "JNLP_SERVE_BACKGROUND"
"""Set in the environment of a service that runs in the background."""

IDLE = 3600.0
"""Seconds without a request after which a service in the background ends, unless `--idle` says otherwise."""

PATIENCE = 300.0
"""Seconds that a service may take to load its models."""


def is_child() -> bool:
    """Return whether this process is the service that `--background` started."""
    return BACKGROUND in os.environ


def start(arguments: Sequence[str], /, *, port: int) -> dict[str, Any]:
    """Start the service as a process of its own, and return its state when it is ready.

    Args:
        arguments: The arguments of `jnlp`.
        port: The port it is to listen on, which names its log.

    Raises:
        UsageError: There can be no socket on this machine.
        JnlpError: It ends before it is ready; its last words are in the error.
    """
    place = services.folder()
    if place is None:
        raise UsageError(
            "a service in the background needs a folder for its socket",
            hint="set XDG_RUNTIME_DIR to a folder of yours with mode 0700",
        )
    log = place / f"serve-{port}.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "jnlp", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, BACKGROUND: "1"},
            start_new_session=True,
        )
    path = place / f"{child.pid}.sock"
    end = time.monotonic() + PATIENCE
    while child.poll() is None and time.monotonic() < end:
        state = _state(path)
        if state is not None and state["ready"]:
            return {**state, "log": str(log)}
        time.sleep(0.05)
    if child.poll() is None:
        child.terminate()
        raise JnlpError(f"the service was not ready after {PATIENCE:g} s", hint=f"its log is {log}")
    message, hint = _last_words(log)
    raise JnlpError(message, hint=hint)


def stop() -> list[int]:
    """End the services that run in the background, and return their process ids once they have gone."""
    ended: list[tuple[int, Path]] = []
    for path in services.sockets():
        try:
            with services.Connection(path) as connection:
                ended.append((connection.ask("stop"), path))
        except (services.NotServedError, OSError, EOFError):
            continue
    end = time.monotonic() + PATIENCE
    while any(path.exists() for _process, path in ended) and time.monotonic() < end:
        time.sleep(0.02)
    return [process for process, _path in ended]


def _state(path: Path) -> dict[str, Any] | None:
    try:
        with services.Connection(path) as connection:
            found: dict[str, Any] = connection.ask("state")
            return found
    except (services.NotServedError, OSError, EOFError):
        return None


def _last_words(log: Path) -> tuple[str, str]:
    """Return the message and the hint of a service that ended: its error, else where its log is."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line.partition("error: ")[2] for line in lines if line.startswith("jnlp: error: ")]
    hints = [line.partition("hint: ")[2] for line in lines if line.strip().startswith("hint: ")]
    if errors:
        return errors[-1], hints[-1] if hints else f"its log is {log}"
    return "the service ended before it was ready", f"its log is {log}"
