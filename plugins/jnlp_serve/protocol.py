"""HTTP as uvicorn reads it; bytes that are no request are answered in the service's own form."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from jnlp_serve.errors import ApiError, response_of
from jnlp_serve.security import HEADERS

REFUSED = ApiError(
    400,
    "this is no HTTP request",
    hint="other characters than ASCII in an address must be percent-encoded: curl -G --data-urlencode 'q=…'",
)


class Protocol(HttpToolsProtocol):
    """One connection."""

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed with one JSON error, and close the connection."""
        answer = response_of(REFUSED, "/")
        headers = [*answer.raw_headers, *HEADERS, (b"connection", b"close")]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + lines + b"\r\n" + bytes(answer.body))
        self.transport.close()
