"""Chat completions, as OpenAI, OpenRouter and the servers on one's own machine speak them."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from vendors import keys, lists
from vendors.answers import CACHED_TOKENS, COST_USD, INPUT_TOKENS, OUTPUT_TOKENS, THOUGHT, THOUGHTS
from vendors.core import Asked, Body, Reply
from vendors.lists import Row
from vendors.refusals import Refused, openai_refusal
from vendors.rules import local, openai, openrouter
from vendors.streams import Event, chat_events


def bearer(request: web.Request) -> str:
    """The key of an Authorization header."""
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


def words(content: Any) -> str:
    """The text of a message's content: itself, or the parts that are text."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") or words(part.get("content", "")) for part in content)


class Chat:
    """What any server of chat completions on one's own machine reads, without more."""

    kind = "openai-compatible"
    prefix = "/v1"
    idle = b": keep-alive\n\n"
    rows = lists.COMPATIBLE
    keyed = False
    open_paths: tuple[str, ...] = ()

    def key(self, request: web.Request) -> str:
        return bearer(request)

    def asked(self, request: web.Request, body: dict[str, Any]) -> Asked:
        unread = self.taken(request, body)
        if request.path != f"{self.prefix}/chat/completions":
            raise openai_refusal(404, f"Invalid URL (POST {request.path})", None, None)
        system = "".join(
            words(m["content"]) for m in body["messages"] if m["role"] in {"system", "developer"}
        )
        user = words(body["messages"][-1]["content"])
        schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
        return Asked(body["model"], system, user, schema, self.key(request), body, tuple(unread))

    def taken(self, request: web.Request, body: dict[str, Any]) -> list[str]:
        """What of a call that is taken is not read. Raises Refused for others."""
        openai.content_type(request.content_type)
        local.any_of_them(body)
        return []

    def unknown_key(self, key: str) -> Refused:
        return keys.openai(key)

    def listed(self, request: web.Request, rows: list[Row]) -> Any:
        return lists.served(request, self.prefix, rows)

    def reply(
        self, model: str, text: str, finish: str = "stop", usage: bool = True, body: Body = None
    ) -> Reply:
        reason = {"filter": "content_filter"}.get(finish, finish)
        whole: dict[str, Any] = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1700000000,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, **self.beside(text)},
                    "logprobs": None,
                    "finish_reason": reason,
                }
            ],
        }
        if usage:
            whole["usage"] = self.usage()
        return whole

    def beside(self, text: str) -> dict[str, Any]:
        """What a message holds beside role and content."""
        return {"refusal": None}

    def usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": INPUT_TOKENS,
            "completion_tokens": OUTPUT_TOKENS,
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
            "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
        }

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": code, "param": None, "code": code}}

    def events(self, whole: dict[str, Any]) -> list[Event]:
        return chat_events(whole)

    def error_event(self, status: int, message: str, code: str) -> Event:
        return "", self.error(status, message, code)


class OpenAIChat(Chat):
    """Chat completions at api.openai.com."""

    kind = "openai"
    rows = lists.OPENAI
    keyed = True

    def taken(self, request: web.Request, body: dict[str, Any]) -> list[str]:
        openai.content_type(request.content_type)
        openai.chat(body)
        return []

    def listed(self, request: web.Request, rows: list[Row]) -> Any:
        return lists.openai(request, self.prefix, rows)

    def reply(
        self, model: str, text: str, finish: str = "stop", usage: bool = True, body: Body = None
    ) -> Reply:
        return {**super().reply(model, text, finish, usage, body), "system_fingerprint": "fp_44709d6fcb"}

    def beside(self, text: str) -> dict[str, Any]:
        return {"refusal": None, "annotations": []}

    def usage(self) -> dict[str, Any]:
        return {
            **super().usage(),
            "prompt_tokens_details": {
                "cached_tokens": CACHED_TOKENS,
                "cache_write_tokens": 0,
                "audio_tokens": 0,
            },
            "completion_tokens_details": {
                "reasoning_tokens": THOUGHT,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


class OpenRouter(Chat):
    """Chat completions as OpenRouter speaks them: error codes are numbers, out of money is 402."""

    kind = "openrouter"
    prefix = "/api/v1"
    idle = b": OPENROUTER PROCESSING\n\n"
    rows = lists.OPENROUTER
    keyed = True
    open_paths = ("/api/v1/models",)

    def taken(self, request: web.Request, body: dict[str, Any]) -> list[str]:
        openrouter.chat(body)
        return list(openrouter.lacking(body["model"], body))

    def unknown_key(self, key: str) -> Refused:
        return keys.openrouter(key)

    def listed(self, request: web.Request, rows: list[Row]) -> Any:
        return lists.openrouter(request, rows)

    def reply(
        self, model: str, text: str, finish: str = "stop", usage: bool = True, body: Body = None
    ) -> Reply:
        if body is not None and "response_format" in openrouter.lacking(model, body):
            text = "ディスクが一杯です。"  # an endpoint that passes over the schema
        whole = super().reply(model, text, finish, usage)
        choice = whole["choices"][0]
        if body is None or not body.get("reasoning", {}).get("exclude"):
            details = [{"type": "reasoning.text", "text": THOUGHTS, "format": "unknown", "index": 0}]
            choice["message"] |= {"reasoning": THOUGHTS, "reasoning_details": details}
        choice["native_finish_reason"] = choice["finish_reason"]
        return {"provider": "Lab", **whole}

    def usage(self) -> dict[str, Any]:
        return {
            **super().usage(),
            "completion_tokens_details": {"reasoning_tokens": THOUGHT},
            "cost": COST_USD,
            "is_byok": False,
            "cost_details": {"upstream_inference_cost": None},
        }

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        return {"error": {"message": message, "code": status, "metadata": {"provider_name": "Lab"}}}

    def error_event(self, status: int, message: str, code: str) -> Event:
        return "", {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1700000000,
            "model": "lab",
            "provider": "Lab",
            "error": {"code": status, "message": message},
            "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
        }


_FINGERPRINTS = {"ollama": "fp_ollama", "llama_cpp": "b7310-2c453c6c"}
"""Of the program, not of the model: all of Ollama's are the same, and llama.cpp names its build."""


class Local(Chat):
    """One of the servers of tests/cases/vendors/compatible.yaml, whose models think."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._thinking: str = local.RULES[server]["thinking"]

    def taken(self, request: web.Request, body: dict[str, Any]) -> list[str]:
        unread = local.chat(self._server, body)
        body.setdefault("model", "good")
        return unread

    def listed(self, request: web.Request, rows: list[Row]) -> Any:
        told = {"vllm": lists.vllm, "llama_cpp": lists.llama_cpp}.get(self._server, lists.served)
        return told(request, self.prefix, rows)

    def reply(
        self, model: str, text: str, finish: str = "stop", usage: bool = True, body: Body = None
    ) -> Reply:
        tagged = self._thinking == "tags" and text
        whole = super().reply(
            model, f"<think>\n{THOUGHTS}\n</think>\n\n{text}" if tagged else text, finish, usage
        )
        return {**whole, "system_fingerprint": _FINGERPRINTS.get(self._server)}

    def beside(self, text: str) -> dict[str, Any]:
        return {} if self._thinking == "tags" else {self._thinking: THOUGHTS}

    def usage(self) -> dict[str, Any]:
        told = super().usage()
        if self._server != "llama_cpp":  # the others count no cached tokens
            del told["prompt_tokens_details"]
        return told


SERVERS = {server: Local(server) for server in local.SERVERS}
"""Ollama, vLLM, llama.cpp and LM Studio."""
