"""The vendors' wire formats, spoken in their SDKs' own types."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from anthropic.types import Message, TextBlock, ThinkingBlock
from anthropic.types import Usage as ClaudeUsage
from google.genai import types as gemini
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionMessage
from openai.types.chat.chat_completion import Choice
from openai.types.completion_usage import PromptTokensDetails
from openai.types.responses import Response

from vendors import CACHED_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, Asked, strict
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


def _bearer(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


class Chat:
    """Chat completions, as OpenAI and its imitators speak them."""

    prefix = "/v1"
    overloaded = 503
    quota = 429
    idle = b": keep-alive\n\n"

    def asked(self, request: web.Request, body: dict[str, Any]) -> Asked:
        assert request.path == f"{self.prefix}/chat/completions"
        system, user = body["messages"]
        assert (system["role"], user["role"]) == ("system", "user")
        form = body.get("response_format")
        schema = form["json_schema"]["schema"] if form else None
        return Asked(body["model"], system["content"], user["content"], schema, _bearer(request), body)

    def reply(self, model: str, text: str, finish: str = "stop", usage: bool = True) -> dict[str, Any]:
        reason: Any = {"filter": "content_filter"}.get(finish, finish)
        message = ChatCompletionMessage(role="assistant", content=text, refusal=None)
        counted = CompletionUsage(
            prompt_tokens=INPUT_TOKENS,
            completion_tokens=OUTPUT_TOKENS,
            total_tokens=INPUT_TOKENS + OUTPUT_TOKENS,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=CACHED_TOKENS),
        )
        completion = ChatCompletion(
            id="chatcmpl-1",
            object="chat.completion",
            created=1700000000,
            model=model,
            choices=[Choice(index=0, message=message, finish_reason=reason, logprobs=None)],
            usage=counted if usage else None,
        )
        return completion.model_dump(mode="json")

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

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        return {"error": {"message": message, "code": status, "metadata": {"provider_name": "Lab"}}}


class Responses:
    """OpenAI's Responses API."""

    prefix = "/v1"
    overloaded = 503
    quota = 429
    idle = b": keep-alive\n\n"

    def asked(self, request: web.Request, body: dict[str, Any]) -> Asked:
        assert request.path == f"{self.prefix}/responses"
        strict.openai(body)
        form = body.get("text", {}).get("format")
        schema = form["schema"] if form else None
        return Asked(body["model"], body["instructions"], body["input"], schema, _bearer(request), body)

    def reply(self, model: str, text: str, finish: str = "stop", usage: bool = True) -> dict[str, Any]:
        part = {"type": "output_text", "text": text, "annotations": []}
        if finish == "filter":
            part = {"type": "refusal", "refusal": "I can't help with that."}
        whole = {
            "id": "resp_1",
            "object": "response",
            "created_at": 1700000000,
            "model": model,
            "status": "incomplete" if finish == "length" else "completed",
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if finish == "length" else None,
            "instructions": None,
            "metadata": {},
            "output": [
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {
                    "type": "message",
                    "id": "msg_1",
                    "role": "assistant",
                    "status": "completed",
                    "content": [part],
                },
            ],
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": {
                "input_tokens": INPUT_TOKENS,
                "input_tokens_details": {"cached_tokens": CACHED_TOKENS, "cache_write_tokens": 0},
                "output_tokens": OUTPUT_TOKENS,
                "output_tokens_details": {"reasoning_tokens": THOUGHT},
                "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
            },
        }
        if not usage:
            del whole["usage"]
        return Response.model_validate(whole).model_dump(mode="json", exclude_unset=True)

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

    def asked(self, request: web.Request, body: dict[str, Any]) -> Asked:
        assert request.path == "/v1/messages"
        assert request.headers["anthropic-version"]
        strict.anthropic(body)
        (message,) = body["messages"]
        form = body.get("output_config", {}).get("format")
        schema = form["schema"] if form else None
        key = request.headers.get("x-api-key") or _bearer(request)
        return Asked(body["model"], body["system"], message["content"], schema, key, body)

    def reply(self, model: str, text: str, finish: str = "stop", usage: bool = True) -> dict[str, Any]:
        reason: Any = {"stop": "end_turn", "length": "max_tokens", "filter": "refusal"}[finish]
        thinking = ThinkingBlock(type="thinking", thinking="考え中", signature="c2ln")
        message = Message(
            id="msg_1",
            type="message",
            role="assistant",
            model=model,
            content=[thinking, TextBlock(type="text", text=text, citations=None)] if text else [],
            stop_reason=reason,
            stop_sequence=None,
            usage=ClaudeUsage(
                input_tokens=INPUT_TOKENS - CACHED_TOKENS - 10,
                cache_creation_input_tokens=10,
                cache_read_input_tokens=CACHED_TOKENS,
                output_tokens=OUTPUT_TOKENS,
            ),
        )
        return message.model_dump(mode="json")

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

    def asked(self, request: web.Request, body: dict[str, Any]) -> Asked:
        key = request.headers.get("x-goog-api-key", "")
        model, method = strict.google(request.path, key, body)
        body["stream"] = method == "streamGenerateContent" and request.query["alt"] == "sse"
        assert body["stream"] or method == "generateContent", request.path
        config = body["generationConfig"]
        schema = config.get("responseJsonSchema")
        system = "".join(p["text"] for p in body["systemInstruction"]["parts"])
        (content,) = body["contents"]
        user = "".join(p["text"] for p in content["parts"])
        return Asked(model, system, user, schema, key, body)

    def reply(self, model: str, text: str, finish: str = "stop", usage: bool = True) -> dict[str, Any]:
        counted = gemini.GenerateContentResponseUsageMetadata(
            prompt_token_count=INPUT_TOKENS,
            cached_content_token_count=CACHED_TOKENS,
            candidates_token_count=OUTPUT_TOKENS - THOUGHT,
            thoughts_token_count=THOUGHT,
            total_token_count=INPUT_TOKENS + OUTPUT_TOKENS,
        )
        parts = [gemini.Part(text="考え中", thought=True), gemini.Part(text=text)]
        reasons = {"stop": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY"}
        candidate = gemini.Candidate(
            index=0,
            content=None if finish == "filter" else gemini.Content(role="model", parts=parts),
            finish_reason=gemini.FinishReason(reasons[finish]),
        )
        response = gemini.GenerateContentResponse(
            candidates=[candidate], usage_metadata=counted if usage else None, model_version=model
        )
        return response.model_dump(mode="json", by_alias=True, exclude_none=True)

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
