"""OpenAI by its Responses API, and chat completions, as OpenAI made them and many servers speak them.

Wire formats: https://platform.openai.com/docs/api-reference/responses, and /chat and /chat-streaming
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from typing_extensions import override

from techsapo_ops.wallbounce.providers.failures import Cause
from techsapo_ops.wallbounce.providers.reading import (
    LIMIT,
    MODEL,
    NAME,
    SCHEMA,
    SYSTEM,
    USER,
    Counts,
    Ending,
    at,
)
from techsapo_ops.wallbounce.providers.vendor_error import VendorError
from techsapo_ops.wallbounce.providers.wire import Form, WiredModel

_LAST = {"response.completed", "response.incomplete", "response.failed"}


class OpenAI(WiredModel):
    """One model by OpenAI's Responses API. Nothing is stored at the vendor."""

    kind = "openai"
    path = "/responses"
    list_path = "/models/{model}"
    end_at = "shutdown_date"
    body = {
        "model": MODEL, "instructions": SYSTEM, "input": USER, "max_output_tokens": LIMIT, "store": False,
    }  # fmt: skip
    schema = {"text": {"format": {"type": "json_schema", "name": NAME, "strict": True, "schema": SCHEMA}}}
    effort_at = "reasoning.effort"
    counts = Counts(
        read=("input_tokens",),
        written=("output_tokens",),
        cached="input_tokens_details.cached_tokens",
        cache_written="input_tokens_details.cache_write_tokens",
        thinking="output_tokens_details.reasoning_tokens",
    )
    finish_at = ("incomplete_details.reason", "status")
    endings = {
        "completed": Ending.WHOLE, "max_output_tokens": Ending.CUT_OFF, "content_filter": Ending.REFUSED,
        "failed": Ending.FAILED, "cancelled": Ending.FAILED,
    }  # fmt: skip
    otherwise = Ending.EARLY

    @override
    def document(self, event: Any) -> Any:
        """The last event holds the response whole."""
        if event["type"] == "error":
            return {"error": event}
        return event["response"] if event["type"] in _LAST else None

    @override
    def text(self, document: Any) -> str:
        return "".join(part["text"] for part in _parts(document) if part["type"] == "output_text")

    @override
    def refuses(self, document: Any) -> bool:
        return any(part["type"] == "refusal" for part in _parts(document))


def _parts(response: Any) -> list[Any]:
    messages = [item for item in response["output"] if item["type"] == "message"]
    return [part for message in messages for part in message["content"]]


_THOUGHTS = re.compile(r"\s*<(think|thinking)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_LATE_END = re.compile(r"\A[^{].*</(?:think|thinking)>(?=\s*(?:\{|```))", re.DOTALL | re.IGNORECASE)
"""Thoughts whose opening tag stood in the model's template: they end before an answer in JSON."""


class Compatible(WiredModel):
    """One model at any endpoint that speaks chat completions.

    OpenRouter, and proxies, tell some errors in a body with status 200, as a whole or in a choice. What the
    model thought stands in fields of its own (`reasoning`, `reasoning_content`, `reasoning_details`), which
    nobody reads, or in tags at the head of the content. `system_fingerprint` is no version: it names how the
    server runs, so that several answer at a time and each deployment brings new ones.
    """

    kind = "openai-compatible"
    path = "/chat/completions"
    list_path = "/models"
    one_listed = False
    limits: ClassVar[tuple[str, ...]] = ("max_tokens", "max_completion_tokens")
    body = {
        "model": MODEL,
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}],
        "max_tokens": LIMIT,
    }
    schema = {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": NAME, "strict": True, "schema": SCHEMA},
        }
    }
    effort_at = "reasoning_effort"
    streaming = {"stream": True, "stream_options": {"include_usage": True}}
    counts = Counts(
        read=("prompt_tokens",),
        written=("completion_tokens",),
        cached="prompt_tokens_details.cached_tokens",
        cache_written="prompt_tokens_details.cache_write_tokens",
        thinking="completion_tokens_details.reasoning_tokens",
    )
    finish_at = ("choices.0.finish_reason",)
    detail_at = "choices.0.native_finish_reason"
    endings = {
        "length": Ending.CUT_OFF, "content_filter": Ending.REFUSED, "error": Ending.FAILED,
    }  # fmt: skip

    @override
    def document(self, event: Any) -> Any:
        """A chunk as a completion with a message; the one with the usage has no choice."""
        choices = event.get("choices") or [{}]
        return {**event, "choices": [{**choice, "message": choice.get("delta") or {}} for choice in choices]}

    @override
    def text(self, document: Any) -> str:
        """The first choice's text; some servers send it in parts."""
        content = document["choices"][0]["message"].get("content") or ""
        if isinstance(content, list):
            return "".join(part["text"] for part in content if part["type"] == "text")
        if not isinstance(content, str):
            raise TypeError("not text")
        return content

    @override
    def refuses(self, document: Any) -> bool:
        return bool(document["choices"][0]["message"].get("refusal"))

    @override
    def answer(self, content: str) -> str:
        return without_thoughts(content)

    @override
    def spellings(self) -> Sequence[str]:
        """Ollama lists a bare name with `:latest`."""
        return self.model, f"{self.model}:latest"


class OpenRouter(Compatible):
    """One model behind OpenRouter, of whatever vendor.

    Wire format: https://openrouter.ai/docs/api-reference/overview
    """

    kind = "openrouter"
    end_at = "expiration_date"
    own_headers = {"X-Title": "TechSapo"}
    # An endpoint that would ignore the answer's schema is not asked; in words there is none to ignore.
    schema = {**Compatible.schema, "provider": {"require_parameters": True}}
    effort_at = "reasoning.effort"

    @override
    def spellings(self) -> Sequence[str]:
        """A suffix such as `:nitro` may be no model of its own."""
        return self.model, self.model.partition(":")[0]

    @override
    def learn(self, form: Form, error: VendorError) -> Form | None:
        # With `require_parameters` no endpoint may be left that takes a schema: 404.
        if form.structured and error.status == 404 and error.cause is Cause.PARAMETER:
            return replace(form, structured=False)
        return super().learn(form, error)

    @override
    def bill(self, usage: Any) -> float | None:
        """With a key of one's own at the vendor, `cost` is OpenRouter's fee alone."""
        cost = _usd(usage.get("cost"))
        if cost is not None and usage.get("is_byok"):
            return cost + (_usd(at(usage, "cost_details.upstream_inference_cost")) or 0.0)
        return cost


def _usd(value: object) -> float | None:
    """`value` where it is a number, and one that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(min(value, 10**300)) if isinstance(value, int) else value


def without_thoughts(text: str) -> str:
    """`text` without the thoughts at its head; nothing where it was cut off while thinking."""
    end = 0
    while thought := _THOUGHTS.match(text, end):
        end = thought.end()
    return _LATE_END.sub("", text[end:])
