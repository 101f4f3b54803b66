"""The metrics stream: figures read once for all who listen, as server-sent events and as a WebSocket."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from starlette.requests import Request
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send

from techsapo_ops.catalogue.series import metrics
from techsapo_ops.messages import msg
from techsapo_ops.serve.bodies.base import problem_responses
from techsapo_ops.serve.bodies.monitoring import RecentBody
from techsapo_ops.serve.http.auth import Gate
from techsapo_ops.serve.http.broadcast import Broadcast, Connection
from techsapo_ops.serve.http.hosts import NamedRoute, SameOrigin
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.http.responses import KEY_CHECK, STREAM_HEADERS, disconnected, sse
from techsapo_ops.serve.http.transports import EXTENSION
from techsapo_ops.serve.metrics.registry import Sample
from techsapo_ops.stores.keys import ApiKey

log = structlog.get_logger()

INTERVAL = 2.0
"""Seconds between two readings."""
READINGS = 300
"""Readings that charts can show: ten minutes."""
TOTALS = (
    "techsapo_http_requests_total",
    "techsapo_wallbounce_requests_total",
    "techsapo_llm_requests_total",
    "techsapo_auth_failures_total",
    "techsapo_rate_limit_hits_total",
    "techsapo_anomaly_requests_total",
)
"""Counters in the stream, summed over their labels."""
GAUGES = ("techsapo_inflight_analyses",)

Value = float | dict[str, float]
"""A number, or numbers by the value of the metric's only label."""
Values = dict[str, Value]


def read_values(samples: Callable[[str], Sequence[Sample]]) -> Values:
    """The guide's own metrics, TOTALS and GAUGES, as `samples` tells them by name."""
    values: Values = {}
    for name, entry in metrics().items():
        if not (entry.kind == "untyped" or name in TOTALS or name in GAUGES):
            continue
        series = samples(name)
        if series and entry.kind == "untyped" and len(entry.labels) == 1:
            values[name] = {labels[entry.labels[0]]: round(value, 6) for labels, value in series}
        elif series:
            values[name] = round(sum(value for _, value in series), 6)
    return values


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Reads the figures every `interval` seconds, broadcasts them, and keeps the last minutes' for charts."""

    read: Callable[[], Values]
    instance: str
    interval: float = INTERVAL
    clock: Callable[[], float] = time.time
    broadcast: Broadcast = field(default_factory=Broadcast)
    _history: deque[tuple[float, Values]] = field(default_factory=lambda: deque(maxlen=READINGS))

    async def run(self) -> None:
        """Read and broadcast until cancelled. A reading that fails is logged, and the next one tried."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                await self._tick()
            except Exception as error:  # noqa: BLE001 - whatever a reading meets, the next one may not
                log.error("The metrics stream could not be read", error=repr(error))
            due = max(due + self.interval, loop.time())
            await asyncio.sleep(due - loop.time())

    def history(self) -> RecentBody:
        """The last minutes as columns: times (Unix seconds), and by series its value at each, or null.

        A series is named by its metric, with its label's value in braces where it has one.
        """
        rows = tuple(self._history)
        flat = [_flat(values) for _, values in rows]
        names = sorted({name for row in flat for name in row})
        return RecentBody(
            instance=self.instance,
            interval=self.interval,
            times=[round(when, 1) for when, _ in rows],
            series={name: [row.get(name) for row in flat] for name in names},
        )

    async def _tick(self) -> None:
        values = await asyncio.to_thread(self.read)
        now = self.clock()
        self._history.append((now, values))
        data = {"time": round(now, 3), "instance": self.instance, "metrics": values}
        message = {"type": "metrics", "data": data}
        await self.broadcast.publish(json.dumps(message, ensure_ascii=False, separators=(",", ":")))


def _flat(values: Mapping[str, Value]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat.update({f"{name}{{{label}}}": number for label, number in value.items()})
        else:
            flat[name] = value
    return flat


SSE_PATH = "/api/v1/metrics/stream"
WEBSOCKET_PATH = "/ws/metrics"
SUBPROTOCOL = "techsapo"
"""What a browser asks for beside `key.KEY`, since it can't set headers on a WebSocket."""
MAX_CLIENTS = 10_000
GOING_AWAY = 1012
"""Close code "service restart" (IANA): come back, a moment later."""
BARRED = 1008
"""Close code "policy violation" (RFC 6455): the key was revoked or has expired."""


_KEY = re.compile(r"key\.(\S+)")


def live_routes(broadcast: Broadcast, gate: Gate, origins: SameOrigin) -> Sequence[BaseRoute]:
    """GET /api/v1/metrics/stream and ws://…/ws/metrics, which `origins` guards."""
    return (
        Route(SSE_PATH, ServerSentEvents(broadcast, gate), methods=["GET"]),
        WebSocketRoute(WEBSOCKET_PATH, WebSocket(broadcast, gate, origins)),
    )


STREAM: dict[str, Any] = {
    "tags": ["monitoring"],
    "summary": "The metrics every two seconds, as server-sent events.",
    "description": f"The same as WebSocket messages: {WEBSOCKET_PATH}. See docs/streams.md.",
    "parameters": [
        {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"},
         "description": "The last event that was received; events missed since then are sent first."},
    ],
    "responses": {
        "200": {"description": "Events.", "content": {"text/event-stream": {}}},
        **{str(status): answer for status, answer in problem_responses(401, 403).items()},
    },
}  # fmt: skip
"""The stream as /openapi.json describes it: FastAPI does not know plain ASGI routes."""


async def watch_keys(
    broadcast: Broadcast, gate: Gate, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """End the streams whose key was revoked or has expired, until cancelled."""

    def why(key: str) -> str:
        problem = gate.barred(key, "monitor")
        return problem.detail if problem is not None else ""

    while True:
        await pause(KEY_CHECK)
        broadcast.bar(why)


class ServerSentEvents:
    """The stream as server-sent events. Last-Event-ID gets a client what it missed meanwhile."""

    def __init__(self, broadcast: Broadcast, gate: Gate) -> None:
        self._broadcast = broadcast
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope["route"] = NamedRoute(SSE_PATH)
        request = Request(scope)
        last_id = request.headers.get("last-event-id", "")
        key = await self._gate.admit_monitor(request)
        _room(self._broadcast)
        del request  # its headers would be kept as long as the stream
        with self._broadcast.subscribe(_connection(scope), key.id if key is not None else "") as subscriber:
            gone = asyncio.create_task(disconnected(receive))
            gone.add_done_callback(lambda _: subscriber.leave())
            try:
                await send({"type": "http.response.start", "status": 200, "headers": list(STREAM_HEADERS)})
                # Spread, so that the clients of an instance that stops do not come back all at once.
                retry = f"retry: {random.randint(1000, 3000)}\n\n".encode()  # noqa: S311 - no secret
                missed = self._broadcast.missed(last_id)
                await send(_body(retry + b"".join(frame.event for frame in missed)))
                while (frame := await subscriber.next()) is not None:
                    await send(_body(frame.event))
                if subscriber.barred and not gone.done():
                    await send(
                        _body(sse(Problem(401, "unauthorized", subscriber.barred).document(), "problem"))
                    )
                await send(_body(b"", more=False))
            finally:
                await _end(gone)


class WebSocket:
    """The stream as text messages. Pings and the end of peers that do not answer them are the server's."""

    def __init__(self, broadcast: Broadcast, gate: Gate, origins: SameOrigin) -> None:
        self._broadcast = broadcast
        self._gate = gate
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        scope["route"] = NamedRoute(WEBSOCKET_PATH)
        await receive()  # websocket.connect
        try:
            chosen, key = await self._admit(scope)
        except Problem as problem:
            await problem.answer(scope)(scope, receive, send)
            return
        with self._broadcast.subscribe(_connection(scope), key.id if key is not None else "") as subscriber:
            gone = asyncio.create_task(disconnected(receive))
            gone.add_done_callback(lambda _: subscriber.leave())
            try:
                await send({"type": "websocket.accept", "subprotocol": chosen})
                for newest in self._broadcast.missed(""):
                    await send({"type": "websocket.send", "text": newest.json})
                while (frame := await subscriber.next()) is not None:
                    await send({"type": "websocket.send", "text": frame.json})
                if not gone.done():
                    code, reason = (
                        (BARRED, subscriber.barred) if subscriber.barred else (GOING_AWAY, "instance stops")
                    )
                    await send({"type": "websocket.close", "code": code, "reason": reason})
            except OSError:  # the peer went in the middle of a message (uvicorn's ClientDisconnected)
                pass
            finally:
                await _end(gone)

    async def _admit(self, scope: Scope) -> tuple[str | None, ApiKey | None]:
        """The subprotocol to answer with, and the key that it came with. Raises Problem."""
        offered = list(scope.get("subprotocols", ()))
        key = next((m[1] for m in map(_KEY.fullmatch, offered) if m), None)
        headers = list(scope["headers"])
        if key is not None:
            headers.append((b"x-api-key", key.encode("latin-1")))
        request = Request({**scope, "type": "http", "method": "GET", "headers": headers})
        await self._origins.check(request)
        admitted = await self._gate.admit_monitor(request)
        _room(self._broadcast)
        return SUBPROTOCOL if SUBPROTOCOL in offered else None, admitted


def _room(broadcast: Broadcast) -> None:
    if broadcast.closed:
        raise Problem(503, "overloaded", msg("this instance is stopping"), retry_after=1.0)
    if len(broadcast) >= MAX_CLIENTS:
        raise Problem(
            503,
            "overloaded",
            msg("{max_clients} streams are already open", max_clients=MAX_CLIENTS),
            retry_after=10.0,
        )


def _connection(scope: Scope) -> Connection | None:
    connection: Connection | None = (scope.get("extensions") or {}).get(EXTENSION)
    return connection


def _body(content: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
