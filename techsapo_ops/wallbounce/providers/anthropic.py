"""Claude by Anthropic's Messages API.

Wire format: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.providers.body import LIMIT, MODEL, SCHEMA, SYSTEM, USER
from techsapo_ops.wallbounce.providers.reading import Counts, Ending
from techsapo_ops.wallbounce.providers.wire import WiredModel


class Anthropic(WiredModel):
    """One Claude model."""

    kind = "anthropic"
    path = "/v1/messages"
    list_path = "/v1/models/{model}"
    end_at = "retires_at"
    login = ("x-api-key", "{key}")
    own_headers = {"anthropic-version": "2023-06-01"}
    body = {
        "model": MODEL,
        "max_tokens": LIMIT,
        "system": SYSTEM,
        "messages": [{"role": "user", "content": USER}],
    }
    schema = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    effort_at = "output_config.effort"
    counts = Counts(
        read=("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
        written=("output_tokens",),
        cached="cache_read_input_tokens",
        cache_written="cache_creation_input_tokens",
        thinking="output_tokens_details.thinking_tokens",
    )
    counted_late = True
    finish_at = ("stop_reason",)
    detail_at = "stop_details.category"
    endings = {
        "refusal": Ending.REFUSED, "max_tokens": Ending.CUT_OFF, "pause_turn": Ending.EARLY,
        "tool_use": Ending.EARLY, "model_context_window_exceeded": Ending.EARLY,
    }  # fmt: skip
    reasons = {
        "cyber": msg("as a matter of computer crime"),
        "bio": msg("as a matter of biology"),
        "frontier_llm": msg("as a matter of building models"),
        "reasoning_extraction": msg("as an attempt to have it tell its reasoning"),
        "general_harms": msg("as harmful"),
        "model_context_window_exceeded": msg(
            "question and answer exceed the model's context; shorten the question"
        ),
    }

    @override
    def document(self, event: Any) -> Any:
        """Input is counted at the start of a message, output at its end."""
        match event["type"]:
            case "message_start":
                return {"content": [], "usage": {**event["message"]["usage"], "output_tokens": 0}}
            case "content_block_delta" if event["delta"]["type"] == "text_delta":
                return {"content": [{"type": "text", "text": event["delta"]["text"]}]}
            case "message_delta":
                return {"content": [], "usage": event["usage"], **event["delta"]}
            case "error":
                return event
        return None

    @override
    def text(self, document: Any) -> str:
        return "".join(block["text"] for block in document["content"] if block["type"] == "text")
