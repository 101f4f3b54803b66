"""OpenAI by its Responses API.

Wire format: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from techsapo_ops.wallbounce.providers.body import LIMIT, MODEL, NAME, SCHEMA, SYSTEM, USER
from techsapo_ops.wallbounce.providers.reading import Counts, Ending
from techsapo_ops.wallbounce.providers.wire import WiredModel

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
