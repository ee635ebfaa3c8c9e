"""The options of `jnlp serve`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from jnlp.types import Option

TOKEN_VARIABLE = "JNLP_SERVE_TOKEN"
"""The environment variable with the token, which other users of the machine cannot see."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where the service listens, whom it answers, and its limits."""

    host: Annotated[str, Option("The address to listen on; another than loopback needs a token.", metavar="HOST")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Option("The port; 0 takes a free one.", ge=0, le=65_535)] = 8765
    token: Annotated[
        str | None,
        Option(
            f"Requests must have this token as a bearer token or as the password. Better: set {TOKEN_VARIABLE}.",
            metavar="TOKEN",
        ),
    ] = None
    allow_anyone: Annotated[bool, Option("Answer everybody who can reach the address, without a token.")] = False
    tasks: Annotated[
        tuple[str, ...],
        Option("Serve these tasks alone, and load their models before the service is ready.", metavar="NAMES"),
    ] = ()
    max_bytes: Annotated[int, Option("Maximum bytes of a request; more: status 413.", ge=1_000)] = 4_000_000
    max_texts: Annotated[int, Option("Maximum texts of a request; more: status 413.", ge=1)] = 2_048
    max_requests: Annotated[
        int, Option("Maximum requests in work or waiting, for each process; more: status 429.", ge=1)
    ] = 128
    max_queue: Annotated[int, Option("Maximum texts waiting, for each process; more: status 429.", ge=1)] = 8_192
    timeout: Annotated[float, Option("Maximum seconds of a request; longer: status 504.", gt=0)] = 60.0
    wait: Annotated[
        float, Option("Milliseconds that a batch waits for more texts under load; none when idle.", ge=0, le=1_000)
    ] = 2.0
    grace: Annotated[float, Option("Seconds for running requests to finish when the service stops.", ge=0)] = 30.0
    idle: Annotated[
        float | None,
        Option("Leave after SECONDS without a request; 0: never. Default: never; in the background 3600.", ge=0),
    ] = None
    min_replicas: Annotated[
        int, Option("With --executor ray: processes that run without work too; --workers is the most.", ge=1)
    ] = 1
