"""Runs the service: one process, or several that share a port and the weights."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import uvicorn

from jnlp.errors import JnlpError
from jnlp_serve.app import create_app, loaded_app
from jnlp_serve.front import Front
from jnlp_serve.job import Job, is_here, replica_executor
from jnlp_serve.metrics import SHARED
from jnlp_serve.options import TOKEN_VARIABLE
from jnlp_serve.protocol import Protocol
from jnlp_serve.resident import Resident
from jnlp_serve.security import check_exposure, is_loopback

if TYPE_CHECKING:
    from fastapi import FastAPI

    from jnlp.engine import Engine
    from jnlp_serve.loading import Loading
    from jnlp_serve.options import ServeOptions
    from jnlp_serve.service import Service

VARIABLE = "JNLP_SERVE_JOB"
"""The environment variable with which a worker process gets its job."""


WORKER_SECONDS = 60
"""A worker process that does not answer its parent for so long is replaced."""


def run(job: Job, engine: Engine, /, *, quiet: bool = False) -> None:
    """Serve until SIGTERM or Ctrl-C; requests that are running are finished first.

    Raises:
        UsageError: Others can reach the address, and there is no token.
        JnlpError: The port is taken.
    """
    check_exposure(job.options)
    listener = _listen(job.options)
    address = _address(listener)
    if not quiet:
        _say(job, address)
    with ExitStack() as stack:
        stack.callback(listener.close)
        if not is_here(job.settings):
            _run_replicas(job, engine, listener, stack)
        elif job.settings.workers > 1:
            _run_workers(job, listener, stack)
        else:
            app = create_app(engine, job.indexes, job.options, models=job.models, log=log_line)
            server = _Server(_config(job, app), app.state.service)
            stack.enter_context(Resident(app.state.service, address, server.stop))
            server.run([listener])
            if app.state.service.problem is not None:
                raise app.state.service.problem


def worker() -> FastAPI:
    """Return the application of a worker process, its models loaded; its job is in the environment.

    A worker takes connections only when it is ready, because they share one port. It ends with the process that started
    it.

    Raises:
        JnlpError: A model cannot be loaded.
    """
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True, name="jnlp-parent").start()
    job = Job.from_json(os.environ[VARIABLE])
    app = loaded_app(job, dataclasses.replace(job.settings, workers=1), log=log_line)
    service: Service = app.state.service
    Resident(service, "", lambda: os.kill(os.getppid(), signal.SIGTERM)).__enter__()  # until the process ends
    return app


def _end_with(parent: int) -> None:
    """End this process, after its running requests, once another process is its parent: its own was killed."""
    while os.getppid() == parent:
        time.sleep(1.0)
    signal.raise_signal(signal.SIGTERM)


def log_line(line: str, /) -> None:
    """Write a line of the access log on stderr."""
    sys.stderr.write(line + "\n")


class _Server(uvicorn.Server):
    """A server that answers 503 on `/health` from the moment it is asked to stop."""

    def __init__(self, config: uvicorn.Config, service: Loading) -> None:
        super().__init__(config)
        self._service = service
        service.on_problem = self.stop

    def stop(self) -> None:
        """End after the requests that are running."""
        self.should_exit = True

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._service.stopping = True
        super().handle_exit(sig, frame)


def _config(job: Job, app: Any, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Protocol,
        access_log=False,
        log_level=logging.WARNING,
        timeout_graceful_shutdown=int(job.options.grace) or None,
        server_header=False,
        timeout_keep_alive=30,
        proxy_headers=False,
        **more,
    )


def _run_workers(job: Job, listener: socket.socket, stack: ExitStack) -> None:
    from uvicorn.supervisors import Multiprocess

    from jnlp.encoder.threads import default_threads

    count = job.settings.workers
    threads = max(1, (job.settings.threads or default_threads()) // count)
    shared = stack.enter_context(tempfile.TemporaryDirectory(prefix="jnlp-serve-"))
    counts = stack.enter_context(tempfile.TemporaryDirectory(prefix="jnlp-serve-"))
    settings = dataclasses.replace(job.settings, threads=threads)
    os.environ[VARIABLE] = dataclasses.replace(job, settings=settings, shared=shared).to_json()
    os.environ[SHARED] = counts
    config = _config(
        job, "jnlp_serve.server:worker", factory=True, workers=count, timeout_worker_healthcheck=WORKER_SECONDS
    )
    Multiprocess(config, [listener]).run()


def _run_replicas(job: Job, engine: Engine, listener: socket.socket, stack: ExitStack) -> None:
    """Serve from processes elsewhere; this one hands on requests."""
    least, at_once = job.options.min_replicas, job.options.max_requests
    os.environ.pop(TOKEN_VARIABLE, None)  # replicas get the environment, and need no token
    replicas = stack.enter_context(
        replica_executor(engine).replicas(
            job.settings, "jnlp_serve.replica:make", (job.behind().to_json(),), least=least, at_once=at_once
        )
    )
    front = Front(job.options, replicas, log=log_line)
    server = _Server(_config(job, front.app, lifespan="off"), front)
    threading.Thread(target=front.load, daemon=True, name="jnlp-load").start()
    server.run([listener])
    if front.problem is not None:
        raise front.problem


def _listen(options: ServeOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host.strip("[]"), options.port))
    except OSError as error:
        listener.close()
        raise JnlpError(
            f"cannot listen on {options.host}:{options.port}: {(error.strerror or str(error)).lower()}",
            hint="another --port, or --port 0 for a free one",
        ) from error
    listener.listen(2048)
    listener.set_inheritable(True)
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _say(job: Job, address: str) -> None:
    sys.stderr.write(f"jnlp: serving on {address} (API: {address}/docs; Ctrl-C stops)\n")
    if job.options.allow_anyone and not is_loopback(job.options.host) and job.options.token is None:
        sys.stderr.write("jnlp: everybody who can reach this address is answered, without a token\n")
    sys.stderr.flush()
