"""`jnlp serve` as an application of Ray Serve, for clusters whose configuration says what to serve.

Ray Serve's own proxies, one on each node, take the requests, and its configuration says how many replicas there are.
Each replica is a whole service: it checks the token and its limits itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp.errors import UsageError
from jnlp.registry import import_target
from jnlp.strict_json import dumps
from jnlp_ray.replicas import QUIET, serve_module

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "service"
"""What configurations call the deployment."""

PARTS = ("options", "settings", "indexes", "models")


def application(given: Mapping[str, Mapping[str, Any]]) -> Any:
    """Return the application for Ray Serve's configuration: `import_path: jnlp_ray.service:application`.

    Args:
        given: `args` of the configuration: `indexes` (folders by name), `models` (by task), `options` and `settings`,
            named as the flags of `jnlp serve` without dashes (`max_texts: 100`). The token is best in the environment
            of the nodes, `JNLP_SERVE_TOKEN`.

    Raises:
        UsageError: A part has another name.
        MissingExtraError: Ray or its part for serving is not installed.

    Example:
        >>> made = application({"indexes": {"rules": "/data/rules.idx"}})  # doctest: +SKIP
        >>> ray.serve.run(made)  # doctest: +SKIP
    """
    job = described(given)
    serve = serve_module()

    def build() -> Any:
        return import_target("jnlp_serve.replica:application")(job)

    threads = given.get("settings", {}).get("threads", 1)
    service = serve.deployment(serve.ingress(build)()).options(
        name=NAME, ray_actor_options={"num_cpus": threads}, logging_config=QUIET
    )
    return service.bind()


def described(given: Mapping[str, Mapping[str, Any]], /) -> str:
    """Return as JSON what is served.

    Args:
        given: As `application` takes it.

    Raises:
        UsageError: A part has another name.

    Example:
        >>> described({"settings": {"threads": 8}})
        '{"options": {}, "settings": {"threads": 8}, "indexes": {}, "models": {}}'
    """
    if strange := set(given) - set(PARTS):
        raise UsageError(f"there is no '{min(strange)}' of a service", hint=f"there are: {', '.join(PARTS)}")
    return dumps({part: dict(given.get(part, {})) for part in PARTS})
