"""Errors as RFC 9457 problem documents with a stable `code`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

Code = Literal[
    "body_too_large",
    "internal_error",
    "invalid_request",
    "malformed_json",
    "method_not_allowed",
    "no_provider",
    "not_found",
    "over_request_budget",
    "overloaded",
    "prompt_too_long",
    "providers_failed",
    "timeout",
    "unsupported_media_type",
]
MEDIA_TYPE = "application/problem+json"
_BY_STATUS: Mapping[int, Code] = {404: "not_found", 405: "method_not_allowed", 415: "unsupported_media_type"}


class Problem(Exception):
    """An error that becomes a problem document with `members` added; `retry_after` is in seconds."""

    def __init__(
        self, status: int, code: Code, detail: str, *, retry_after: float | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code: Code = code
        self.detail = detail
        self.retry_after = retry_after
        self.members = members

    def response(self, request_id: str = "") -> Response:
        """The HTTP answer."""
        body = {
            "type": f"urn:techsapo:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **({"request_id": request_id} if request_id else {}),
            **self.members,
        }
        headers = (
            {} if self.retry_after is None else {"Retry-After": str(max(1, math.ceil(self.retry_after)))}
        )
        return Response(
            json.dumps(body, ensure_ascii=False).encode(errors="replace"), self.status, headers, MEDIA_TYPE
        )


def add_problem_handlers(app: FastAPI) -> None:
    """Turn every error of `app` into a problem document."""

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)  # noqa: S101 - registered for this type alone
        return error.response(_request_id(request))

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type alone
        return _from_validation(error).response(_request_id(request))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type alone
        code = _BY_STATUS.get(error.status_code, "invalid_request")
        response = Problem(error.status_code, code, str(error.detail)).response(_request_id(request))
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)


def _from_validation(error: RequestValidationError) -> Problem:
    """The problem of a body that does not fit; never repeats what was sent."""
    found = error.errors()
    if any(e["type"] == "json_invalid" for e in found):
        return Problem(400, "malformed_json", "the body is not JSON")
    problems = [{"field": ".".join(str(p) for p in e["loc"][1:]), "message": e["msg"]} for e in found[:20]]
    told = "; ".join(f"{p['field'] or 'body'}: {p['message']}" for p in problems)
    return Problem(422, "invalid_request", told, errors=problems)


def _request_id(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))
