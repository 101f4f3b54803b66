"""Errors as RFC 9457 problem documents with a stable `code`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Literal

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from techsapo_ops.adapters.jsons import dump
from techsapo_ops.catalogue.translations import LANGUAGES, Language, in_language, words_of
from techsapo_ops.masking.fields import with_texts
from techsapo_ops.messages import joined, msg, template
from techsapo_ops.serve.bodies.base import OpenAIError, OpenAIErrorBody, ProblemBody

Code = Literal[
    "audit_unavailable",
    "body_too_large",
    "budget_exhausted",
    "budget_reserved",
    "conflict",
    "empty_array",
    "forbidden",
    "idempotency_key_reused",
    "internal_error",
    "invalid_request",
    "invalid_type",
    "invalid_value",
    "key_busy",
    "malformed_json",
    "method_not_allowed",
    "misdirected",
    "missing_required_parameter",
    "no_prometheus",
    "no_provider",
    "not_found",
    "over_request_budget",
    "overloaded",
    "prompt_too_long",
    "providers_failed",
    "rate_limited",
    "timeout",
    "sign_in",
    "unauthorized",
    "unconfirmed",
    "unreachable",
    "unknown_model",
    "unknown_parameter",
    "unsupported_media_type",
    "unsupported_parameter",
    "unsupported_value",
]
_WORDS = {
    "extra_forbidden": msg("unknown field; see /openapi.json"),
    "missing": msg("is missing"),
    "model_type": msg("must be a JSON object"),
}
"""By pydantic's type of an error: what it says in words of Python."""
TITLES = (
    template("Bad Request"),
    template("Unauthorized"),
    template("Payment Required"),
    template("Forbidden"),
    template("Not Found"),
    template("Method Not Allowed"),
    template("Conflict"),
    template("Request Entity Too Large"),
    template("Content Too Large"),
    template("Unsupported Media Type"),
    template("Misdirected Request"),
    template("Unprocessable Entity"),
    template("Unprocessable Content"),
    template("Too Many Requests"),
    template("Internal Server Error"),
    template("Bad Gateway"),
    template("Service Unavailable"),
    template("Gateway Timeout"),
)
"""Python's phrases of the statuses that problems have; two are others from Python 3.13 on."""
MEDIA_TYPE = "application/problem+json"
BROKE = msg("an internal error; the app's log has the details")
"""The detail of an internal error."""
OPENAI_PATHS = "/v1/"
"""Below this path errors have OpenAI's shape, which its clients read."""
_OPENAI_TYPES: Mapping[int, str] = {
    402: "insufficient_quota",
    403: "permission_error",
    429: "requests",
}
_OPENAI_CODES: Mapping[Code, str] = {
    "budget_exhausted": "insufficient_quota",
    "key_busy": "rate_limit_exceeded",
    "over_request_budget": "insufficient_quota",
    "prompt_too_long": "context_length_exceeded",
    "rate_limited": "rate_limit_exceeded",
    "unauthorized": "invalid_api_key",
    "unknown_model": "model_not_found",
}
"""Codes that OpenAI's clients know for what ours say."""
_BY_STATUS: Mapping[int, Code] = {404: "not_found", 405: "method_not_allowed", 415: "unsupported_media_type"}

_HEADER = b"accept-language"
_MOST = 32
"""Entries that are looked at: nobody reads so many languages."""


def reader_language(scope: Scope) -> Language:
    """The language of an error: the one that the request prefers, else English."""
    return preferred_language(scope) or LANGUAGES[0]


def preferred_language(scope: Scope) -> Language | None:
    """Ours that Accept-Language weighs highest (RFC 9110, 12.5.4); None where it names none of ours."""
    header = b",".join(value for name, value in scope.get("headers", ()) if name == _HEADER).decode("latin-1")
    wanted = dict(reversed(list(_wanted(header))))
    best = max(wanted, key=wanted.__getitem__, default=None)
    return best if best and wanted[best] else None


def _wanted(header: str) -> Iterator[tuple[Language, float]]:
    """Ours among the languages in the header's value, with their weights."""
    for entry in header.split(",", _MOST)[:_MOST]:
        tag, _, parameter = entry.strip().lower().partition(";")
        primary = tag.strip().partition("-")[0]
        for language in LANGUAGES:
            if primary == language:
                yield language, _weight(parameter)


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0


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

    def document(self, request_id: str = "", language: Language = "en") -> dict[str, Any]:
        """The problem document, its words in `language`."""
        phrase = HTTPStatus(self.status).phrase
        return ProblemBody(
            type=f"urn:techsapo:problem:{self.code}",
            title=words_of(language)(phrase),
            status=self.status,
            code=self.code,
            detail=in_language(self.detail, language),
            **({"request_id": request_id} if request_id else {}),
            **({} if self.retry_after is None else {"retry_after": self._wait}),
            **with_texts(self.members, partial(in_language, language=language)),
        ).document()

    def body(self, scope: Scope) -> dict[str, Any]:
        """The document in the shape and the language that the client of `scope` reads."""
        request_id, language = _request_id(scope), reader_language(scope)
        write = self.openai if for_openai(scope) else self.document
        return write(request_id, language)

    def answer(self, scope: Scope) -> Response:
        """The HTTP answer to the request of `scope`."""
        self.note(scope)
        headers = {"Content-Language": reader_language(scope), "Vary": "Accept-Language"}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self._wait)
        openai = for_openai(scope)
        # OpenAI answers 400 to every body that it does not take.
        status = 400 if openai and self.status == 422 else self.status
        return Response(dump(self.body(scope)), status, headers, "application/json" if openai else MEDIA_TYPE)

    def note(self, scope: Scope) -> None:
        """Let whoever counts the request of `scope` know its problem."""
        state = scope.setdefault("state", {})
        state["problem"], state["problem_status"] = self.code, self.status

    def openai(self, request_id: str = "", language: Language = "en") -> dict[str, Any]:
        """The error as OpenAI's API writes it, with the code of the problem and `request_id` beside it.

        Its words are in `language`.
        """
        kind = _OPENAI_TYPES.get(
            self.status, "invalid_request_error" if self.status < 500 else "server_error"
        )
        code = _OPENAI_CODES.get(self.code, self.code)
        error = OpenAIError(
            message=in_language(self.detail, language), type=kind, param=self.members.get("param"), code=code
        )
        context = {"request_id": request_id} if request_id else {}
        return OpenAIErrorBody(error=error, problem=self.code, **context).document()

    @property
    def _wait(self) -> int:
        """Whole seconds until it may be tried again."""
        return max(1, math.ceil(self.retry_after or 0))


def for_openai(scope: Scope) -> bool:
    """Whether the client of `scope` reads errors as OpenAI's API writes them."""
    return str(scope.get("path", "")).startswith(OPENAI_PATHS)


def require_text(name: str, value: str) -> None:
    """Raises Problem where the parameter `name` is empty, for routes that say so only to whom they let in."""
    if not value.strip():
        raise Problem(422, "invalid_request", msg("{name} must not be empty", name=name))


def unconfirmed() -> Problem:
    """That nothing was asked: what may be spent, or was begun, could be forgotten by a failover now."""
    detail = msg(
        "no provider was asked, because the shared store can't currently rule out paying twice for this "
        "question; try again"
    )
    return Problem(503, "unconfirmed", detail, retry_after=2.0)


def _request_id(scope: Scope) -> str:
    return str(scope.get("state", {}).get("request_id", ""))


REFUSALS = (Problem, RequestValidationError, HTTPException)
"""What routes raise in place of an answer."""


def answer_to(error: Problem | RequestValidationError | HTTPException, scope: Scope) -> Response:
    """What the request of `scope` is answered that ended with `error`."""
    if isinstance(error, Problem):
        return error.answer(scope)
    if isinstance(error, RequestValidationError):
        return _from_validation(error).answer(scope)
    response = _from_status(error).answer(scope)
    response.headers.update(error.headers or {})
    return response


def _from_status(error: HTTPException) -> Problem:
    status, detail = error.status_code, error.detail
    code = _BY_STATUS.get(status, "invalid_request")
    if code == "not_found":
        detail = msg("there is no such address; see /openapi.json")
    elif code == "method_not_allowed" and (allowed := (error.headers or {}).get("Allow")):
        detail = msg("this address accepts {allowed}", allowed=allowed)
    return Problem(status, code, str(detail))


def _from_validation(error: RequestValidationError) -> Problem:
    """The problem of a body that does not fit; never repeats what was sent."""
    faults = error.errors()
    if any(e["type"] == "json_invalid" for e in faults):
        return Problem(400, "malformed_json", msg("the body is not JSON"))
    problems = [
        {
            "field": ".".join(str(p) for p in e["loc"][1:]),
            "message": _WORDS.get(str(e["type"]), str(e["msg"])),
        }
        for e in faults[:20]
    ]
    detail = joined("; ", (msg("{p}: {p2}", p=p["field"] or "body", p2=p["message"]) for p in problems))
    return Problem(422, "invalid_request", detail, errors=problems)
