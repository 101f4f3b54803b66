"""Chat completions, as OpenAI made them and many servers speak them.

Wire format: https://platform.openai.com/docs/api-reference/chat and /chat-streaming
"""

from __future__ import annotations

import re
from typing import Any

from typing_extensions import override

from techsapo_ops.wallbounce.providers.body import LIMIT, MODEL, NAME, SCHEMA, SYSTEM, USER
from techsapo_ops.wallbounce.providers.listed import Listed, in_list
from techsapo_ops.wallbounce.providers.reading import Counts, Ending
from techsapo_ops.wallbounce.providers.wire import WiredModel

_THOUGHTS = re.compile(r"\s*<(think|thinking)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_LATE_END = re.compile(r"\A[^{].*</(?:think|thinking)>(?=\s*(?:\{|```))", re.DOTALL | re.IGNORECASE)
"""Thoughts whose opening tag stood in the model's template: they end before an answer in JSON."""


class ChatModel(WiredModel):
    """A model that is asked by chat completions.

    OpenRouter, and proxies, tell some errors in a body with status 200, as a whole or in a choice. What the
    model thought stands in fields of its own (`reasoning`, `reasoning_content`, `reasoning_details`), which
    nobody reads, or in tags at the head of the content.
    """

    path = "/chat/completions"
    list_path = "/models"
    one_listed = False
    limits = ("max_tokens", "max_completion_tokens")
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
    def read_list(self, answer: Any) -> Listed:
        return in_list(answer, self.model)


def without_thoughts(text: str) -> str:
    """`text` without the thoughts at its head; nothing where it was cut off while thinking."""
    end = 0
    while found := _THOUGHTS.match(text, end):
        end = found.end()
    return _LATE_END.sub("", text[end:])
