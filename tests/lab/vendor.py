"""A vendor of answers on loopback that speaks OpenAI's wire format: chat completions and responses.

What it does is chosen by the model's name, so that one server plays every part.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

ADVICE = "「systemctl status」で状態を確認し、ログの誤りを直してから再起動してください。"


@dataclass
class Vendor:
    """What was asked of it, and how many calls were dropped by the caller."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    dropped: int = 0
    under_way: asyncio.Event = field(default_factory=asyncio.Event)


def _chat(model: str, text: str, finish: str = "stop") -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},
    }


def _response(model: str, text: str, status: str = "completed") -> dict[str, Any]:
    content = {"type": "output_text", "text": text, "annotations": []}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1700000000,
        "model": model,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": None,
        "metadata": {},
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [content],
            },
        ],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": 120,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 60,
            "output_tokens_details": {"reasoning_tokens": 20},
            "total_tokens": 180,
        },
    }


def _error(status: int, message: str, **headers: str) -> web.Response:
    body = {"error": {"message": message, "type": "error", "param": None, "code": None}}
    return web.json_response(body, status=status, headers=headers)


@asynccontextmanager
async def vendor() -> AsyncIterator[Vendor]:
    """Run a vendor on a free port of this event loop; its base URL ends in /v1."""
    seen = Vendor()

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        model = body["model"]
        chat = request.path.endswith("/chat/completions")
        seen.requests.append(body)
        seen.paths.append(request.path)
        seen.authorizations.append(request.headers.get("Authorization", ""))
        seen.under_way.set()
        if model == "slow":
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                seen.dropped += 1
                raise
        key = seen.authorizations[-1].removeprefix("Bearer ")
        if model == "busy":
            return _error(429, "Rate limit reached", **{"Retry-After": "7"})
        if model == "broken":
            return _error(500, "The server had an error")
        if model == "overloaded":
            return web.Response(status=503, text="<html>no backend</html>")
        if model == "unauthorized":
            return _error(401, f"Incorrect API key provided: {key}")
        if model == "unknown":
            return _error(404, "The model does not exist")
        if model == "truncated":
            whole = json.dumps(_chat(model, ADVICE) if chat else _response(model, ADVICE))
            return web.Response(text=whole[: len(whole) // 2], content_type="application/json")
        if model == "hangs-up":
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if model == "other-shape":
            return web.json_response({"hello": ["world"]})
        if model == "list":
            return web.json_response([])
        if model == "html":
            return web.Response(text="<html>captive portal</html>", content_type="text/html")
        if model == "empty":
            return web.json_response(_chat(model, "") if chat else _response(model, ""))
        if model == "huge":
            text = "あ" * 4_000_000
            return web.json_response(_chat(model, text) if chat else _response(model, text))
        if model == "cut-off":
            cut = _chat(model, ADVICE, "length") if chat else _response(model, ADVICE, "incomplete")
            return web.json_response(cut)
        if model == "filtered":
            return web.json_response(_chat(model, "", "content_filter"))
        text = f"{ADVICE}\nconfidence: 0.9"
        return web.json_response(_chat(model, text) if chat else _response(model, text))

    app = web.Application(client_max_size=8 * 1024**2)
    app.router.add_post("/v1/chat/completions", answer)
    app.router.add_post("/v1/responses", answer)
    # handler_cancellation: the handler is told when its caller hangs up.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    seen.url = f"http://127.0.0.1:{port}/v1"
    try:
        yield seen
    finally:
        await runner.cleanup()
