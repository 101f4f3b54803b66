"""What every request goes through, as plain ASGI: the envelope around it, and maintenance."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from techsapo_ops.catalogue.series import ANSWERING
from techsapo_ops.messages import msg
from techsapo_ops.serve.http.anomalies import Anomalies
from techsapo_ops.serve.http.problems import BROKE, REFUSALS, Problem, answer_to
from techsapo_ops.serve.http.proxies import Proxies, header_of
from techsapo_ops.serve.instance import Lifecycle
from techsapo_ops.serve.metrics.metrics import Metrics
from techsapo_ops.serve.metrics.own_time import OwnTime
from techsapo_ops.serve.metrics.tracing import Tracing
from techsapo_ops.stack.maintenance import ALONE, OPEN_PATHS, PAGE, PROBLEM, RETRY_AFTER

log = structlog.get_logger()

LANGUAGE_COOKIE = "techsapo_language"
_LANGUAGE = re.compile(rf"(?:^|; ?)({LANGUAGE_COOKIE}=(?:en|ja))(?:;|$)".encode())
_SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STREAM = b"text/event-stream"
DRILL = "drill"
"""What the state of a drill's request has, once it was let in: which kind it is."""
UNMATCHED = "unmatched"
"""The route of every path that there is not."""
_PROBES = frozenset({"/health", "/api/v1/health", "/ping", "/metrics"})
_REFUSED = frozenset({400, 401, 403, 404, 405, 413, 415, 421, 422, 429, 503})
"""Statuses of requests that cost their client nothing: of a flood of them, some lines are enough."""
_CONTENT_SECURITY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", _CONTENT_SECURITY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_NO_STORE = (b"cache-control", b"no-store")
"""For every answer that says nothing itself: the pages' own files alone are kept, and asked for again."""


def request_id_of(scope: Scope) -> str:
    """The caller's X-Request-ID where it is sane (letters, digits, `._-`, at most 128), else a new one."""
    given = header_of(scope, b"x-request-id")
    if given is not None and _SANE_ID.fullmatch(given):
        return given
    return f"req_{secrets.token_hex(16)}"


def only_language(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """`headers` with the language of the pages as their only cookie.

    Nothing here reads another one, and Python before 3.11.10 and 3.12.6 takes seconds for the quotes in one
    of 30 KB (CVE-2024-7592).
    """
    cookies = [value for name, value in headers if name == b"cookie"]
    if not cookies:
        return headers
    rest = [header for header in headers if header[0] != b"cookie"]
    chosen = next((found[1] for value in cookies if (found := _LANGUAGE.search(value))), None)
    return rest if chosen is None else [*rest, (b"cookie", chosen)]


@dataclass(frozen=True, slots=True)
class Envelope:
    """Gives each request its id and its client's address (`request.state.client`), counts and logs it, sets
    the headers of every answer, and makes sure that there is one. While the instance drains, it asks
    kept-alive connections to close.
    """

    app: ASGIApp
    metrics: Metrics
    lifecycle: Lifecycle
    anomalies: Anomalies
    proxies: Proxies
    tracing: Tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        scope["headers"] = only_language(scope["headers"])
        request_id = request_id_of(scope)
        scope["state"] = {**scope.get("state", {}), "request_id": request_id}
        OwnTime.begin(scope, self.metrics.lag.missed())
        scope["state"]["client"] = await self.proxies.client(scope)
        trace = self.tracing.request(scope, request_id)
        extra = (*_HEADERS, (b"x-request-id", request_id.encode("ascii")))
        status, streamed = 0, scope["type"] == "websocket"

        async def send_with_headers(message: Message) -> None:
            nonlocal status, streamed
            if message["type"] == "websocket.accept":
                status = 101
                message["headers"] = [*message.get("headers", ()), extra[-1]]
            elif message["type"] in {"http.response.start", "websocket.http.response.start"}:
                status = message["status"]
                own = list(message.get("headers", ()))
                streamed |= any(k == b"content-type" and v.startswith(_STREAM) for k, v in own)
                closing = ((b"connection", b"close"),) if self.lifecycle.draining else ()
                given = {k.lower().encode(): v.encode() for k, v in scope["state"].get("headers", {}).items()}
                own += [(k, v) for k, v in given.items() if all(k != there for there, _ in own)]
                own += [_NO_STORE] if all(k.lower() != _NO_STORE[0] for k, _ in own) else []
                message["headers"] = [*own, *extra, *closing]
            await send(message)

        try:
            try:
                await self.app(scope, receive, send_with_headers)
            except REFUSALS as error:
                if status:
                    raise
                await answer_to(error, scope)(scope, receive, send_with_headers)
        except Exception:
            log.exception("Request failed", requestId=request_id, path_template=_route(scope))
            if status:
                scope["state"]["problem_status"] = 500
                raise
            problem = Problem(500, "internal_error", BROKE)
            await problem.answer(scope)(scope, receive, send_with_headers)
        finally:
            taken = time.perf_counter() - started
            self._account(scope, request_id, status or 499, taken, streamed=streamed)
            route = _route(scope)
            problem_status = scope["state"].get(
                "problem_status", 0
            )  # within a stream, whose status was sent before
            trace.ended(route if route != UNMATCHED else None, status or 499, problem_status)
            if DRILL not in scope["state"]:
                self.anomalies.seen(scope, known=route != UNMATCHED)

    def _account(self, scope: Scope, request_id: str, status: int, seconds: float, *, streamed: bool) -> None:
        """Count and log a request; of a stream the time says nothing."""
        given = scope.get("method", "GET")  # a WebSocket has none
        method = given if given in _METHODS else "OTHER"
        route = _route(scope)
        drill = scope["state"].get(DRILL)
        if drill is not None:
            self.metrics.drilled(drill, status)
            log.debug("Request of a drill", requestId=request_id, method=method, route=route, status=status)
            return
        self.metrics.http(method, route, status, None if streamed else seconds, request_id)
        own = None
        if route in ANSWERING and not 400 <= status < 499:  # what is refused takes no time worth telling
            own = OwnTime.of(scope).seconds()
            self.metrics.answered(method, route, own, request_id)
            if status < 500 <= scope["state"].get("problem_status", 0):
                self.metrics.count("techsapo_http_failed_streams_total", method, route)
        problem = scope["state"].get("problem")
        if problem is not None:
            self.metrics.count("techsapo_errors_total", problem)
        tell = log.debug if route in _PROBES else log.info
        refused = {"refused": str(status)} if status in _REFUSED else {}
        tell(
            msg("HTTP request"),
            requestId=request_id,
            method=method,
            route=route,
            status=status,
            processingTime=round(seconds * 1000, 1),
            **({} if own is None else {"ownTime": round(own * 1000, 1)}),
            **refused,
        )


def _route(scope: MutableMapping[str, Any]) -> str:
    """The template of the route that was taken; never the raw path, which a client chooses."""
    return str(getattr(scope.get("route"), "path", UNMATCHED))


CHECK_EVERY = 0.5
"""Seconds between two checks whether maintenance goes on."""
_OPEN = re.compile(OPEN_PATHS)


class Closed:
    """Answers users from `folder` while maintenance goes on there. It is counted nowhere: nothing failed."""

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self._app = app
        self._folder = folder
        self._checked = -CHECK_EVERY
        self._on = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        asked = scope["type"] in {"http", "websocket"} and not _OPEN.match(scope["path"])
        if not asked or not self._goes_on():
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1013, "reason": "maintenance"})
        else:
            await self._answer(scope)(scope, receive, send)

    def _goes_on(self) -> bool:
        now = time.monotonic()
        if now - self._checked >= CHECK_EVERY:
            self._checked, self._on = now, all((self._folder / name).exists() for name in (PROBLEM, ALONE))
        return self._on

    def _answer(self, scope: Scope) -> Response:
        accepts = b",".join(value for name, value in scope["headers"] if name == b"accept")
        name, kind = (PAGE, "text/html") if b"text/html" in accepts else (PROBLEM, "application/problem+json")
        try:
            content = (self._folder / name).read_bytes()
        except OSError:  # it ends in this moment
            content = b""
        headers = {"Retry-After": str(RETRY_AFTER), "Cache-Control": "no-store"}
        return Response(content, 503, headers, kind)
