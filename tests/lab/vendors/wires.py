"""The vendors' wire formats, by the response schemas that tests/cases/vendors names."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from vendors import keys, lists, strict
from vendors.answers import CACHED_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS
from vendors.core import Asked
from vendors.lists import Row
from vendors.refusals import Refused
from vendors.streams import (
    Event,
    chat_events,
    claude_events,
    gemini_events,
    responses_error,
    responses_events,
)

THOUGHT = 25
"""Part of OUTPUT_TOKENS that went into thinking."""
WRITTEN = 10
"""Part of INPUT_TOKENS that Claude wrote into its cache."""


def _bearer(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


class Chat:
    """Chat completions, as OpenAI and its imitators speak them."""

    prefix = "/v1"
    overloaded = 503
    quota = 429
    idle = b": keep-alive\n\n"
    rows = lists.COMPATIBLE
    keyed = False
    open_paths: tuple[str, ...] = ()

    def key(self, request: web.Request) -> str:
        return _bearer(request)

    def asked(self, request: web.Request, body: dict[str, Any]) -> Asked:
        assert request.path == f"{self.prefix}/chat/completions"
        system, user = body["messages"]
        assert (system["role"], user["role"]) == ("system", "user")
        form = body.get("response_format")
        schema = form["json_schema"]["schema"] if form else None
        return Asked(body["model"], system["content"], user["content"], schema, self.key(request), body)

    def unknown_key(self, key: str) -> Refused:
        return keys.openai(key)

    def listed(self, request: web.Request, rows: list[Row]) -> Any:
        return lists.served(request, self.prefix, rows)

    def reply(self, model: str, text: str, finish: str = "stop", usage: bool = True) -> dict[str, Any]:
        reason = {"filter": "content_filter"}.get(finish, finish)
        whole: dict[str, Any] = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1700000000,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": reason,
                }
            ],
        }
        if usage:
            whole["usage"] = {
                "prompt_tokens": INPUT_TOKENS,
                "completion_tokens": OUTPUT_TOKENS,
                "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
                "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
            }
        return whole

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": code, "param": None, "code": code}}

    def events(self, whole: dict[str, Any]) -> list[Event]:
        return chat_events(whole)

    def error_event(self, status: int, message: str, code: str) -> Event:
        return "", self.error(status, message, code)


class OpenRouter(Chat):
    """Chat completions as OpenRouter speaks them: error codes are numbers, out of money is 402."""

    prefix = "/api/v1"
    quota = 402
    idle = b": OPENROUTER PROCESSING\n\n"
    rows = lists.OPENROUTER
    keyed = True
    open_paths = ("/api/v1/models",)

    def unknown_key(self, key: str) -> Refused:
        return keys.openrouter(key)

    def listed(self, request: web.Request, rows: list[Row]) -> Any:
        return lists.openrouter(request, rows)

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        return {"error": {"message": message, "code": status, "metadata": {"provider_name": "Lab"}}}


class Responses:
    """OpenAI's Responses API."""

    prefix = "/v1"
    overloaded = 503
    quota = 429
    idle = b": keep-alive\n\n"
    rows = lists.OPENAI
    keyed = True
    open_paths = ()

    def key(self, request: web.Request) -> str:
        return _bearer(request)

    def asked(self, request: web.Request, body: dict[str, Any]) -> Asked:
        assert request.path == f"{self.prefix}/responses"
        strict.openai(body)
        form = body.get("text", {}).get("format")
        schema = form["schema"] if form else None
        return Asked(body["model"], body["instructions"], body["input"], schema, self.key(request), body)

    def unknown_key(self, key: str) -> Refused:
        return keys.openai(key)

    def listed(self, request: web.Request, rows: list[Row]) -> Any:
        return lists.openai(request, self.prefix, rows)

    def reply(self, model: str, text: str, finish: str = "stop", usage: bool = True) -> dict[str, Any]:
        part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        if finish == "filter":
            part = {"type": "refusal", "refusal": "I can't help with that."}
        reason = {"stop": None, "filter": None, "length": "max_output_tokens"}.get(finish, finish)
        status = "incomplete" if reason else "completed"
        whole: dict[str, Any] = {
            "id": "resp_1",
            "object": "response",
            "created_at": 1700000000,
            "model": model,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "instructions": None,
            "metadata": {},
            "output": [
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {
                    "type": "message",
                    "id": "msg_1",
                    "role": "assistant",
                    "status": status,
                    "content": [part],
                },
            ],
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "service_tier": "default",
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
        }
        if usage:
            whole["usage"] = {
                "input_tokens": INPUT_TOKENS,
                "input_tokens_details": {"cached_tokens": CACHED_TOKENS, "cache_write_tokens": 0},
                "output_tokens": OUTPUT_TOKENS,
                "output_tokens_details": {"reasoning_tokens": THOUGHT},
                "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
            }
        return whole

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": code, "param": None, "code": code}}

    def events(self, whole: dict[str, Any]) -> list[Event]:
        return responses_events(whole)

    def error_event(self, status: int, message: str, code: str) -> Event:
        return responses_error(message, code)


class Claude:
    """Anthropic's Messages API."""

    prefix = ""
    overloaded = 529
    quota = 402
    idle = b'event: ping\ndata: {"type": "ping"}\n\n'
    rows = lists.ANTHROPIC
    keyed = True
    open_paths = ()

    def key(self, request: web.Request) -> str:
        return request.headers.get("x-api-key") or _bearer(request)

    def asked(self, request: web.Request, body: dict[str, Any]) -> Asked:
        assert request.path == "/v1/messages"
        assert request.headers["anthropic-version"]
        strict.anthropic(body)
        (message,) = body["messages"]
        form = body.get("output_config", {}).get("format")
        schema = form["schema"] if form else None
        return Asked(body["model"], body["system"], message["content"], schema, self.key(request), body)

    def unknown_key(self, key: str) -> Refused:
        return keys.anthropic(key)

    def listed(self, request: web.Request, rows: list[Row]) -> Any:
        return lists.anthropic(request, rows)

    def reply(self, model: str, text: str, finish: str = "stop", usage: bool = True) -> dict[str, Any]:
        reason = {"stop": "end_turn", "length": "max_tokens", "filter": "refusal"}.get(finish, finish)
        thinking = {"type": "thinking", "thinking": "考え中", "signature": "c2ln"}
        whole: dict[str, Any] = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [thinking, {"type": "text", "text": text, "citations": None}] if text else [],
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": {
                "input_tokens": INPUT_TOKENS - CACHED_TOKENS - WRITTEN,
                "cache_creation_input_tokens": WRITTEN,
                "cache_read_input_tokens": CACHED_TOKENS,
                "cache_creation": {"ephemeral_5m_input_tokens": WRITTEN, "ephemeral_1h_input_tokens": 0},
                "output_tokens": OUTPUT_TOKENS,
                "output_tokens_details": {"thinking_tokens": THOUGHT},
                "service_tier": "standard",
            },
        }
        if reason == "refusal":
            whole["stop_details"] = {"type": "refusal", "category": "cyber", "explanation": None}
        return whole

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        return {"type": "error", "error": {"type": f"{code}", "message": message}, "request_id": "req_1"}

    def events(self, whole: dict[str, Any]) -> list[Event]:
        return claude_events(whole)

    def error_event(self, status: int, message: str, code: str) -> Event:
        return "error", self.error(status, message, code)


class Gemini:
    """Google's Generative Language API."""

    prefix = ""
    overloaded = 503
    quota = 429
    idle = b'data: {"candidates": [{"index": 0, "content": {"role": "model", "parts": []}}]}\n\n'
    statuses = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
    rows = lists.GOOGLE
    keyed = True
    open_paths = ()

    def key(self, request: web.Request) -> str:
        return request.headers.get("x-goog-api-key", "")

    def asked(self, request: web.Request, body: dict[str, Any]) -> Asked:
        key = self.key(request)
        model, method = strict.google(request.path, key, body)
        body["stream"] = method == "streamGenerateContent" and request.query["alt"] == "sse"
        assert body["stream"] or method == "generateContent", request.path
        config = body["generationConfig"]
        schema = config.get("responseJsonSchema")
        system = "".join(p["text"] for p in body["systemInstruction"]["parts"])
        (content,) = body["contents"]
        user = "".join(p["text"] for p in content["parts"])
        return Asked(model, system, user, schema, key, body)

    def unknown_key(self, key: str) -> Refused:
        return keys.google(key)

    def listed(self, request: web.Request, rows: list[Row]) -> Any:
        return lists.google(request, rows)

    def reply(self, model: str, text: str, finish: str = "stop", usage: bool = True) -> dict[str, Any]:
        reason = {"stop": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY"}.get(finish, finish)
        candidate: dict[str, Any] = {"index": 0, "finishReason": reason}
        if finish != "filter":
            parts = [{"text": "考え中", "thought": True}, {"text": text}]
            candidate["content"] = {"role": "model", "parts": parts}
        whole: dict[str, Any] = {"candidates": [candidate], "modelVersion": model, "responseId": "r1"}
        if usage:
            whole["usageMetadata"] = {
                "promptTokenCount": INPUT_TOKENS,
                "cachedContentTokenCount": CACHED_TOKENS,
                "candidatesTokenCount": OUTPUT_TOKENS - THOUGHT,
                "thoughtsTokenCount": THOUGHT,
                "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
            }
        return whole

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        named = self.statuses.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
        return {"error": {"code": status, "message": message, "status": named}}

    def events(self, whole: dict[str, Any]) -> list[Event]:
        return gemini_events(whole)

    def error_event(self, status: int, message: str, code: str) -> Event:
        return "", self.error(status, message, code)


WIRES = {
    "openai-compatible": Chat(),
    "openai": Responses(),
    "openrouter": OpenRouter(),
    "anthropic": Claude(),
    "google": Gemini(),
}
