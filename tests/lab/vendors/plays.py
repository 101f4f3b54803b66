"""The parts that a stand-in plays, each by the name of the model that is asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from techsapo_ops.catalogue.yaml_text import read_yaml
from vendors.answers import DOCUMENTED, ERRORS, HUGE, MARKED, TEXTS, WHOLE, graded
from vendors.core import Asked, Vendor, Wire

_REPLIES: Mapping[str, Any] = read_yaml(
    (Path(__file__).parents[2] / "cases" / "provider_errors.yaml").read_text(encoding="utf-8")
)["replies"]


async def play(seen: Vendor, wire: Wire, request: web.Request, asked: Asked) -> web.StreamResponse:
    model = asked.model
    if seen.reply is not None:
        return tabled(seen.reply, asked.key)
    if (row := documented(wire, model)) is not None:
        return tabled(row, asked.key)
    if model in ERRORS:
        status, message, code = ERRORS[model]
        headers = {}
        if model == "busy":
            headers["Retry-After"] = "7"
        elif model == "busy-date":
            headers["Retry-After"] = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
        told = wire.error(status, message.format(key=asked.key), code)
        return web.json_response(told, status=status, headers=headers)
    if model == "proxy-page":
        return web.Response(status=503, text="<html>no backend</html>", content_type="text/html")
    if model == "no-schema" and asked.schema is not None:
        told = wire.error(
            400, "response_format / json_schema output_config is not supported", "invalid_request"
        )
        return web.json_response(told, status=400)
    if asked.body.get("stream") and model not in {"other-shape", "list", "html", "never-streams"}:
        return await _stream(seen, wire, request, asked)
    if model == "held" or (model == "held-grades" and "answers" in asked.user):
        await seen.released.wait()
    if model == "thinks":
        await asyncio.sleep(0.3)
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
    return web.json_response(_made(wire, asked))


def documented(wire: Wire, model: str) -> Mapping[str, Any] | None:
    """What the vendor of `wire` is known to say in the case that `model` plays, if any is known."""
    row = _REPLIES.get(DOCUMENTED.get(model, ""), {"cases": {}})
    case: Mapping[str, Any] | None = row["cases"].get(wire.kind)
    return case


def _made(wire: Wire, asked: Asked) -> dict[str, Any]:
    """The reply that `asked` gets, whole."""
    model, finish = asked.model, "stop"
    text = graded(asked.user) if "answers" in asked.user else WHOLE
    if model == "cut-off":
        text, finish = "途中で切れ", "length"
    elif model == "cut-off-in-claims":
        text, finish = WHOLE[: WHOLE.index('"claims"') + 12], "length"
    elif model == "all-thought":
        text, finish = "", "length"
    elif model == "filtered":
        text, finish = "", "filter"
    elif model == "markdown" and "answers" not in asked.user:
        text = MARKED
    elif model in TEXTS:
        text = TEXTS[model]
    whole = wire.reply(model, text, finish, model != "uncounted", asked.body)
    named = "modelVersion" if "modelVersion" in whole else "model"
    others = {row.id: row.replies_as for row in wire.rows if row.replies_as}
    return {**whole, named: others.get(model, whole[named])}


def tabled(reply: Mapping[str, Any], key: str) -> web.Response:
    status, headers = reply.get("status", 200), reply.get("headers", {})
    if "text" in reply:
        return web.Response(text=reply["text"], status=status, headers=headers, content_type="text/html")
    body = json.dumps(reply["body"], ensure_ascii=False).replace("{key}", key)
    return web.Response(text=body, status=status, headers=headers, content_type="application/json")


async def _stream(seen: Vendor, wire: Wire, request: web.Request, asked: Asked) -> web.StreamResponse:
    """Stream the answer, or half of it and what the model's name says."""
    model = asked.model
    events = wire.events(_made(wire, asked))
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
