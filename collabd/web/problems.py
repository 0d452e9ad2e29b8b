"""Errors over HTTP: ``application/problem+json`` (RFC 9457) with a stable ``code``."""

import json
import math
from http import HTTPStatus

from starlette.responses import Response

from collabd.errors import CollabdError, TooMany, UnsupportedCoding

MEDIA_TYPE = "application/problem+json"


def problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    """A refusal for programs (``code``) and people (``detail``)."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    return Response(json.dumps(body, ensure_ascii=False), status, headers, MEDIA_TYPE)


def problem_of(error: CollabdError) -> Response:
    """The refusal that an error stands for."""
    headers = {}
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "1"
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(math.ceil(error.seconds))
    if isinstance(error, UnsupportedCoding):
        headers["Accept-Encoding"] = "identity"
    return problem(error.status, error.code, str(error), headers)
