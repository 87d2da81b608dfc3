"""Answers of our own: errors in the API's form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from edgedistill.capture.json_text import text_of

if TYPE_CHECKING:
    from edgedistill.capture.json_text import Json

KINDS = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}


def json_answer(value: Json, status: int = 200) -> Response:
    """Return an answer of one JSON document."""
    return Response(text_of(value), status, media_type="application/json")


def error_answer(status: int, message: str, *, param: str | None = None, code: str | None = None) -> Response:
    """Return an error that clients of the API understand."""
    kind = KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")  # noqa: PLR2004 - HTTP
    return json_answer({"error": {"message": message, "type": kind, "param": param, "code": code}}, status)
