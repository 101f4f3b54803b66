"""The vendors' wire formats, by the response schemas that tests/cases/vendors names."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from vendors import keys, lists
from vendors.answers import CACHED_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, THOUGHT, WRITTEN
from vendors.chats import Chat, OpenAIChat, OpenRouter, bearer, words
from vendors.core import Asked, Body, Reply, Wire
from vendors.lists import Row
from vendors.refusals import Refused, claude_refusal, gemini_refusal, openai_refusal
from vendors.rules import anthropic, google, openai
from vendors.streams import Event, claude_events, gemini_events, responses_error, responses_events


class Responses(OpenAIChat):
    """OpenAI's Responses API."""

    def asked(self, request: web.Request, body: dict[str, Any]) -> Asked:
        self.taken(request, body)
        form = body.get("text", {}).get("format", {})
        system, user = body.get("instructions") or "", words(body["input"])
        return Asked(body["model"], system, user, form.get("schema"), self.key(request), body)

    def taken(self, request: web.Request, body: dict[str, Any]) -> list[str]:
        if request.path != f"{self.prefix}/responses":
            raise openai_refusal(404, f"Invalid URL (POST {request.path})", None, None)
        openai.content_type(request.content_type)
        openai.responses(body)
        return []

    def reply(
        self, model: str, text: str, finish: str = "stop", usage: bool = True, body: Body = None
    ) -> Reply:
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
                {"type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": [part]},
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
        if not text and finish == "length":  # it thought until there was no room for an answer
            del whole["output"][1:]
        if usage:
            whole["usage"] = {
                "input_tokens": INPUT_TOKENS,
                "input_tokens_details": {"cached_tokens": CACHED_TOKENS, "cache_write_tokens": 0},
                "output_tokens": OUTPUT_TOKENS,
                "output_tokens_details": {"reasoning_tokens": THOUGHT},
                "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
            }
        return whole

    def events(self, whole: dict[str, Any]) -> list[Event]:
        return responses_events(whole)

    def error_event(self, status: int, message: str, code: str) -> Event:
        return responses_error(message, code)


class Claude:
    """Anthropic's Messages API."""

    kind = "anthropic"
    prefix = ""
    idle = b'event: ping\ndata: {"type": "ping"}\n\n'
    rows = lists.ANTHROPIC
    keyed = True
    open_paths = ()

    def key(self, request: web.Request) -> str:
        return request.headers.get("x-api-key") or bearer(request)

    def asked(self, request: web.Request, body: dict[str, Any]) -> Asked:
        if request.path != f"{self.prefix}/v1/messages":
            raise claude_refusal(404, "not_found_error", "Not Found")
        version = request.headers.get("anthropic-version")
        anthropic.headers(version, request.content_type)
        anthropic.messages(body, str(version), self.behind(body))
        form = body.get("output_config", {}).get("format")
        schema = form["schema"] if form else None
        system, user = words(body.get("system", "")), words(body["messages"][-1]["content"])
        return Asked(body["model"], system, user, schema, self.key(request), body)

    def behind(self, body: dict[str, Any]) -> str | None:
        """The model behind the name in a request, where that is another."""
        return None

    def unknown_key(self, key: str) -> Refused:
        return keys.anthropic(key)

    def listed(self, request: web.Request, rows: list[Row]) -> Any:
        anthropic.headers(request.headers.get("anthropic-version"), "application/json")
        return lists.anthropic(request, rows)

    def reply(
        self, model: str, text: str, finish: str = "stop", usage: bool = True, body: Body = None
    ) -> Reply:
        reason = {"stop": "end_turn", "length": "max_tokens", "filter": "refusal"}.get(finish, finish)
        shown = anthropic.thinks(model, body or {})
        thought = {
            "type": "thinking",
            "thinking": "" if shown == "omitted" else "考え中",
            "signature": "c2ln",
        }
        blocks: list[dict[str, Any]] = [thought] if shown else []
        blocks.append({"type": "text", "text": text, "citations": None})
        whole: dict[str, Any] = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": blocks if text else [thought] if reason == "max_tokens" and shown else [],
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": {
                "input_tokens": INPUT_TOKENS - CACHED_TOKENS - WRITTEN,
                "cache_creation_input_tokens": WRITTEN,
                "cache_read_input_tokens": CACHED_TOKENS,
                "cache_creation": {"ephemeral_5m_input_tokens": WRITTEN, "ephemeral_1h_input_tokens": 0},
                "output_tokens": OUTPUT_TOKENS,
                "output_tokens_details": {"thinking_tokens": THOUGHT if shown else 0},
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

    kind = "google"
    prefix = ""
    idle = b'data: {"candidates": [{"index": 0, "content": {"role": "model", "parts": []}}]}\n\n'
    statuses = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
    rows = lists.GOOGLE
    keyed = True
    open_paths = ()

    def key(self, request: web.Request) -> str:
        return request.headers.get("x-goog-api-key", "")

    def asked(self, request: web.Request, body: dict[str, Any]) -> Asked:
        key = self.key(request)
        model, method = self.taken(request, key, body)
        if request.content_type != "application/json":
            raise gemini_refusal(400, "INVALID_ARGUMENT", "Content-Type: application/json is required")
        # What asks for a stream is the method; without alt=sse one would get a JSON array of all events.
        body["stream"] = method == "streamGenerateContent"
        if body["stream"] and request.query.get("alt") != "sse":
            raise gemini_refusal(400, "INVALID_ARGUMENT", "the stand-in streams with alt=sse alone")
        spelt = {google.camel(name): value for name, value in body.items()}
        config = {google.camel(name): value for name, value in spelt.get("generationConfig", {}).items()}
        system = "".join(p["text"] for p in spelt.get("systemInstruction", {}).get("parts", ()))
        user = "".join(p["text"] for p in spelt["contents"][-1]["parts"])
        return Asked(model, system, user, config.get("responseJsonSchema"), key, body)

    def taken(self, request: web.Request, key: str, body: dict[str, Any]) -> tuple[str, str]:
        """Model and method of a call that is taken. Raises Refused for others."""
        return google.generate(request.path, key, body)

    def unknown_key(self, key: str) -> Refused:
        return keys.google(key)

    def listed(self, request: web.Request, rows: list[Row]) -> Any:
        return lists.google(request, rows)

    def reply(
        self, model: str, text: str, finish: str = "stop", usage: bool = True, body: Body = None
    ) -> Reply:
        reason = {"stop": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY"}.get(finish, finish)
        candidate: dict[str, Any] = {"index": 0, "finishReason": reason}
        if finish != "filter":
            shown = body is None or google.shows_thoughts(body)
            thoughts = [{"text": "考え中", "thought": True}] if shown else []
            parts = [*thoughts, {"text": text}] if text else thoughts
            candidate["content"] = {"role": "model", "parts": parts} if parts else {"role": "model"}
        whole: dict[str, Any] = {"candidates": [candidate], "modelVersion": model, "responseId": "r1"}
        if usage:
            whole["usageMetadata"] = {
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": INPUT_TOKENS}],
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


WIRES: dict[str, Wire] = {
    "openai-compatible": Chat(),
    "openai": Responses(),
    "openrouter": OpenRouter(),
    "anthropic": Claude(),
    "google": Gemini(),
}
"""The stand-in of each kind's own vendor."""
