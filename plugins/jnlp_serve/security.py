"""Who may ask, and what a browser may do with the answers."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jnlp.errors import UsageError
from jnlp_serve.errors import ApiError
from jnlp_serve.options import TOKEN_VARIABLE

if TYPE_CHECKING:
    from jnlp_serve.options import ServeOptions

OPEN_PATHS = frozenset({"/health"})
"""Paths that need no token, so that a supervisor can ask them."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of every response: files of this service alone, nothing inline."""

HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
"""Headers of every response."""


def is_loopback(host: str, /) -> bool:
    """Return True if an address or name is this machine's own: 127.0.0.1, ::1, localhost.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
        (True, False)
    """
    if host.lower().rstrip(".") == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return False


def check_exposure(options: ServeOptions, /) -> None:
    """Refuse to listen where others can ask, without a token.

    Raises:
        UsageError: The address is not loopback, there is no token, and `allow_anyone` is not set.
    """
    if options.token is not None and len(options.token) < 8:
        raise UsageError("the token is shorter than 8 characters", hint="openssl rand -hex 16 makes one")
    if not is_loopback(options.host) and options.token is None and not options.allow_anyone:
        raise UsageError(
            f"others can reach {options.host}, and there is no token",
            hint=f"set {TOKEN_VARIABLE}, or give --allow-anyone",
        )


class Gate:
    """Checks the token, the host and the origin of requests.

    Args:
        options: The service's.
    """

    def __init__(self, options: ServeOptions, /) -> None:
        self._token = options.token.encode() if options.token else None
        self._own_hosts = is_loopback(options.host) and self._token is None

    def check(self, path: str, headers: dict[bytes, bytes], /) -> None:
        """Refuse a request that may not be answered.

        Raises:
            ApiError: 401 without the token; 403 for a page of another site, or another name for this machine.
        """
        host = headers.get(b"host", b"").decode("latin-1")
        if self._own_hosts and not is_loopback(_name(host)):
            raise ApiError(403, "the Host header names another machine", hint="use http://127.0.0.1 or a --token")
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and urlsplit(origin).netloc.lower() != host.lower():
            raise ApiError(403, "requests from pages of other sites are not answered")
        if self._token is None or path in OPEN_PATHS:
            return
        given = _token(headers.get(b"authorization", b""))
        if given is None or not hmac.compare_digest(given, self._token):
            scheme = "Basic" if b"text/html" in headers.get(b"accept", b"") else "Bearer"
            raise ApiError(
                401,
                "the token is missing or wrong",
                hint="Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": f'{scheme} realm="jnlp"'},
                code="invalid_api_key",
            )


def _token(header: bytes) -> bytes | None:
    """Return the token of an Authorization header: a bearer token, or the password that a browser asks for."""
    scheme, _, value = header.strip().partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    if scheme.lower() == b"basic":
        with suppress(binascii.Error, ValueError):
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
    return None


def _name(host: str) -> str:
    """Return the name of a Host header, without the port."""
    with suppress(ValueError):
        return urlsplit(f"//{host}").hostname or ""
    return ""
