"""Loopback vendors: one server per wire format, which plays the part that the model's name asks for.

What vendors refuse is refused by tests/cases/vendors, as they had it on the days that stand there. Nothing
here says anything about what the real vendors answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Protocol

from aiohttp import web

from vendors.lists import Row
from vendors.refusals import Refused

ANSWER: dict[str, Any] = {
    "answer": "ディスクが一杯です。「df -h」で確認し、古いログを消してください。",
    "root_cause": "ディスクの空き容量が尽きた",
    "claims": ["空き容量が尽きた", "古いログが残っている"],
    "commands": ["df -h", "journalctl --vacuum-size=500M"],
    "risk": "reversible",
    "self_conf": 0.9,
}
WHOLE = json.dumps(ANSWER, ensure_ascii=False)
INPUT_TOKENS, OUTPUT_TOKENS, CACHED_TOKENS = 120, 60, 20
HUGE = 10_000_000


@dataclass(frozen=True)
class Asked:
    """A call as the vendor understood it; `schema` is None where no structured output was asked for."""

    model: str
    system: str
    user: str
    schema: dict[str, Any] | None
    key: str
    body: dict[str, Any]


class Wire(Protocol):
    """A wire format."""

    prefix: str
    """Path of the base URL."""
    overloaded: int
    """Status that says overloaded."""
    quota: int
    """Status that says the account has no money left."""
    idle: bytes
    """What a stream holds while the model thinks."""
    rows: tuple[Row, ...]
    """The models that the vendor serves."""
    keyed: bool
    """Whether a call without a key is refused."""
    open_paths: tuple[str, ...]
    """What is told without a key all the same."""

    def key(self, request: web.Request) -> str:
        """The key that came along, empty if none did."""
        ...

    def unknown_key(self, key: str) -> Refused:
        """The refusal of a key that the vendor does not know, or of none."""
        ...

    def listed(self, request: web.Request, rows: list[Row]) -> Any:
        """What a GET is answered with: `rows` as the vendor's list of models, or one of them.

        Raises Refused.
        """
        ...

    def asked(self, request: web.Request, body: dict[str, Any]) -> Asked: ...

    def reply(self, model: str, text: str, finish: str = "stop", usage: bool = True) -> dict[str, Any]:
        """`finish`: stop, length or filter."""
        ...

    def error(self, status: int, message: str, code: str) -> dict[str, Any]: ...

    def events(self, whole: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """Name and data of the events of a stream that adds up to the reply `whole`."""
        ...

    def error_event(self, status: int, message: str, code: str) -> tuple[str, dict[str, Any]]:
        """The event by which the vendor tells an error in the middle of a stream."""
        ...


@dataclass
class Vendor:
    """What was asked of a vendor, which calls were dropped by the caller, tokens that were generated."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    """What broke the vendor's rules; see strict.py."""
    paths: list[str] = field(default_factory=list)
    peers: set[object] = field(default_factory=set)
    """Addresses that called."""
    dropped: int = 0
    tokens: int = 0
    sent: int = 0
    under_way: asyncio.Event = field(default_factory=asyncio.Event)
    reply: Mapping[str, Any] | None = None
    """A reply of tests/cases/provider_errors.yaml, given to every call."""
    key: str | None = None
    """The only key that is let in; None: any."""
    listed: int = 0
    """How often its models were asked for."""
    retires: dict[str, date] = field(default_factory=dict)
    """Day on which its list of models says that one of them ends."""


def graded(user: str) -> str:
    """Grades for the peers in a grading prompt: the first of each one's claims entailed, others not."""
    data = json.loads(user.removeprefix("<data>\n").removesuffix("\n</data>"))
    score = {"score": 3, "evidence": "妥当"}
    grades = [
        {
            "label": peer["label"],
            "claims": [
                {"stance": "contradicts" if n else "entails", "evidence": "根拠"}
                for n in range(len(peer["claims"]))
            ],
            "correctness": score,
            "safety": {"score": 4, "evidence": "安全"},
            "completeness": {"score": 2, "evidence": "不足"},
        }
        for peer in data["answers"]
    ]
    return json.dumps({"grades": grades}, ensure_ascii=False)


ERRORS: Mapping[str, tuple[int, str, str]] = {
    "broken": (500, "The server had an error", "server_error"),
    "unauthorized": (401, "Incorrect API key provided: {key}", "invalid_api_key"),
    "forbidden": (403, "Your key may not use this model", "permission_error"),
    "unknown": (404, "The model does not exist", "not_found_error"),
    "too-long": (413, "Request exceeds the maximum size", "request_too_large"),
    "busy": (429, "Rate limit reached", "rate_limit_error"),
    "busy-date": (429, "Rate limit reached", "rate_limit_error"),
    "gateway": (504, "The upstream took too long", "timeout_error"),
}
TEXTS: Mapping[str, str] = {
    "plain": "再起動してください。\nconfidence: 0.85",
    "fenced": f"はい、こちらです。\n```json\n{WHOLE}\n```\n以上です。",
    "json-cut": WHOLE[: WHOLE.index("古いログを消して")],
    "empty": "",
}


PLAYS = {
    *ERRORS, *TEXTS, "good", "m", "flaky", "mends", "overloaded", "no-money", "proxy-page", "no-schema",
    "slow", "huge", "huge-chunked", "bomb", "trickle", "hangs-up", "half", "other-shape", "list", "html",
    "cut-off", "cut-off-in-claims", "filtered", "uncounted", "never-streams", "error-midway", "busy-midway",
    "cut-midway", "ends-midway", "endless",
}  # fmt: skip
"""Models that only the lab knows, each named after what it does."""


async def _play(seen: Vendor, wire: Wire, request: web.Request, asked: Asked) -> web.StreamResponse:
    model = asked.model
    if seen.reply is not None:
        return _tabled(seen.reply, asked.key)
    calls = sum(a.model == model for a in seen.asked)
    if model in ERRORS or (model == "flaky" and calls == 1) or (model == "mends" and calls <= 3):
        status, message, code = ERRORS.get(model, ERRORS["broken"])
        headers = {}
        if model == "busy":
            headers["Retry-After"] = "7"
        elif model == "busy-date":
            headers["Retry-After"] = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
        told = wire.error(status, message.format(key=asked.key), code)
        return web.json_response(told, status=status, headers=headers)
    if model == "overloaded":
        return web.json_response(
            wire.error(wire.overloaded, "Overloaded", "overloaded_error"), status=wire.overloaded
        )
    if model == "no-money":
        told = wire.error(wire.quota, "You exceeded your current quota, check billing", "insufficient_quota")
        return web.json_response(told, status=wire.quota)
    if model == "proxy-page":
        return web.Response(status=503, text="<html>no backend</html>", content_type="text/html")
    if model == "no-schema" and asked.schema is not None:
        told = wire.error(
            400, "response_format / json_schema output_config is not supported", "invalid_request"
        )
        return web.json_response(told, status=400)
    if asked.body.get("stream") and model not in {"other-shape", "list", "html", "never-streams"}:
        return await _stream(seen, wire, request, model)
    if model == "slow":
        await _generate(seen)
    if model in {"huge", "huge-chunked", "bomb"}:
        return await _huge(seen, wire, request, model)
    if model == "trickle":
        return await _trickle(seen, wire, request, model)
    if model == "hangs-up":
        assert request.transport is not None
        request.transport.close()
        return web.Response()
    if model == "half":
        whole = json.dumps(wire.reply(model, WHOLE))
        return web.Response(text=whole[: len(whole) // 2], content_type="application/json")
    if model == "other-shape":
        return web.json_response({"hello": ["world"]})
    if model == "list":
        return web.json_response([])
    if model == "html":
        return web.Response(text="<html>captive portal</html>", content_type="text/html")
    if model == "cut-off":
        return web.json_response(wire.reply(model, "途中で切れ", "length"))
    if model == "cut-off-in-claims":
        return web.json_response(wire.reply(model, WHOLE[: WHOLE.index('"claims"') + 12], "length"))
    if model == "filtered":
        return web.json_response(wire.reply(model, "", "filter"))
    if model == "uncounted":
        return web.json_response(wire.reply(model, WHOLE, usage=False))
    text = TEXTS.get(model) if model in TEXTS else graded(asked.user) if "answers" in asked.user else WHOLE
    return web.json_response(wire.reply(model, text or ""))


def _tabled(reply: Mapping[str, Any], key: str) -> web.Response:
    status, headers = reply.get("status", 200), reply.get("headers", {})
    if "text" in reply:
        return web.Response(text=reply["text"], status=status, headers=headers, content_type="text/html")
    body = json.dumps(reply["body"], ensure_ascii=False).replace("{key}", key)
    return web.Response(text=body, status=status, headers=headers, content_type="application/json")


async def _stream(seen: Vendor, wire: Wire, request: web.Request, model: str) -> web.StreamResponse:
    """Stream the answer, or half of it and what the model's name says."""
    finish = {"cut-off": "length", "filtered": "filter"}.get(model, "stop")
    text = "" if finish == "filter" else "途中で切れ" if finish == "length" else WHOLE
    events = wire.events(wire.reply(model, text, finish, usage=model != "uncounted"))
    half = events[: len(events) // 2]
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    try:
        await response.write(wire.idle)
        if model in {"error-midway", "busy-midway"}:
            word = "overloaded_error" if model == "error-midway" else "rate_limit_exceeded"
            status = 503 if model == "error-midway" else 429
            events = [*half, wire.error_event(status, "It went wrong", word)]
        elif model in {"cut-midway", "ends-midway", "slow"}:
            events = half
        for event in events:
            await response.write(_event(*event))
        if model == "slow":
            await _generate(seen, lambda: response.write(wire.idle))
        elif model == "endless":
            while True:
                await response.write(b"data: " + b"x" * 65536)
                seen.sent += 65536
        elif model == "cut-midway":
            assert request.transport is not None
            request.transport.close()
        elif model != "ends-midway" and events[-1][1].get("object") == "chat.completion.chunk":
            await response.write(b"data: [DONE]\n\n")
    except (ConnectionError, asyncio.CancelledError):
        seen.dropped = 1
        raise
    return response


def _event(name: str, data: dict[str, Any]) -> bytes:
    named = f"event: {name}\n" if name else ""
    return f"{named}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


async def _nothing() -> None: ...


async def _generate(seen: Vendor, tell: Callable[[], Awaitable[None]] = _nothing) -> None:
    """A token every 5 ms, each of them counted, until the answer is whole or the caller is gone."""
    try:
        for _ in range(6000):
            await asyncio.sleep(0.005)
            await tell()
            seen.tokens += 1
    except asyncio.CancelledError:
        seen.dropped += 1
        raise


async def _huge(seen: Vendor, wire: Wire, request: web.Request, model: str) -> web.StreamResponse:
    whole = json.dumps(wire.reply(model, "あ" * HUGE), ensure_ascii=False).encode()
    if model == "huge":
        return web.Response(body=whole, content_type="application/json")
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    if model == "bomb":
        response.enable_compression(web.ContentCoding.gzip)
    await response.prepare(request)
    try:
        for start in range(0, len(whole), 65536):
            await response.write(whole[start : start + 65536])
            seen.sent += 65536
    except (ConnectionError, asyncio.CancelledError):
        seen.dropped += 1
        raise
    return response


async def _trickle(seen: Vendor, wire: Wire, request: web.Request, model: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    try:
        for byte in json.dumps(wire.reply(model, WHOLE)).encode():
            await response.write(bytes([byte]))
            await asyncio.sleep(0.05)
    except (ConnectionError, asyncio.CancelledError):
        seen.dropped += 1
        raise
    return response


def _let_in(seen: Vendor, wire: Wire, request: web.Request) -> None:
    """Raise Refused for another key than the one that is let in, or for none where the vendor wants one."""
    given = wire.key(request)
    if (wire.keyed and not given) or (seen.key is not None and given != seen.key):
        raise wire.unknown_key(given)


@asynccontextmanager
async def vendor(wire: Wire) -> AsyncIterator[Vendor]:
    """Run a vendor on a free port of this event loop."""
    seen = Vendor()

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            _let_in(seen, wire, request)
            asked = wire.asked(request, await request.json())
        except Refused as refused:
            seen.refused.append(refused)
            return web.json_response(refused.body, status=refused.status)
        seen.asked.append(asked)
        seen.paths.append(request.path)
        seen.peers.add(request.transport and request.transport.get_extra_info("peername"))
        seen.under_way.set()
        return await _play(seen, wire, request, asked)

    async def show(request: web.Request) -> web.StreamResponse:
        seen.listed += 1
        last = request.path.rpartition("/")[2]
        if last in ERRORS:
            status, message, code = ERRORS[last]
            return web.json_response(
                wire.error(status, message.format(key=wire.key(request)), code), status=status
            )
        known = [*wire.rows, *(Row(play) for play in sorted(PLAYS))]
        rows = [replace(row, retires=seen.retires.get(row.id, row.retires)) for row in known]
        try:
            if request.path not in wire.open_paths:
                _let_in(seen, wire, request)
            return web.json_response(wire.listed(request, rows))
        except Refused as refused:
            seen.refused.append(refused)
            return web.json_response(refused.body, status=refused.status)

    app = web.Application(client_max_size=8 * 1024**2)
    app.router.add_post("/{path:.*}", answer)
    app.router.add_get("/{path:.*}", show)
    # handler_cancellation: the handler is told when its caller hangs up.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    seen.url = f"http://127.0.0.1:{runner.addresses[0][1]}{wire.prefix}"
    try:
        yield seen
    finally:
        await runner.cleanup()
