"""Errors as responses: one JSON object that says what is wrong and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from jnlp.errors import JnlpError, MissingExtraError, RecordError, UsageError
from jnlp.strict_json import dumps

if TYPE_CHECKING:
    from collections.abc import Mapping

VALIDATION, OVERLOADED, BACKEND, UNHEALTHY = "Validation", "Overloaded", "Backend", "Unhealthy"
"""The values of `error_type`, as in Text Embeddings Inference."""

_TYPES = {429: OVERLOADED, 500: BACKEND, 503: UNHEALTHY, 504: BACKEND, 424: BACKEND}
_OPENAI_TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """A request that cannot be answered.

    Args:
        status: The HTTP status.
        message: One line: what is wrong, and where in the request.
        hint: What to do, or None.
        headers: Further headers of the response.
        code: A word for programs, in OpenAI's form: `model_not_found`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        /,
        *,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.hint, self.code = status, message, hint, code
        self.headers = dict(headers or {})


def response_of(error: ApiError, path: str, /) -> Response:
    """Return an error as JSON: below `/v1/` in OpenAI's form, elsewhere in that of Text Embeddings Inference."""
    text = f"{error.message} ({error.hint})" if error.hint else error.message
    body: dict[str, Any]
    if path.startswith("/v1/"):
        kind = _OPENAI_TYPES.get(error.status, "server_error" if error.status >= 500 else "invalid_request_error")
        body = {"error": {"message": text, "type": kind, "param": None, "code": error.code}}
    else:
        body = {"error": text, "error_type": _TYPES.get(error.status, VALIDATION)}
    content = dumps(body, ascii=True).encode()  # a message may quote half a character
    return Response(content, error.status, error.headers, media_type="application/json")


def api_error(error: JnlpError, /) -> ApiError:
    """Return the response to an error of the library: 422 for the request's mistakes, 424 for the service's own."""
    wrong = isinstance(error, UsageError | RecordError) and not isinstance(error, MissingExtraError)
    return ApiError(422 if wrong else 424, error.message, hint=error.hint)
