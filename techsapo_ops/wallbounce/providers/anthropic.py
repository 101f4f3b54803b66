"""Claude by Anthropic's Messages API.

Wire format: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from typing_extensions import override

from techsapo_ops.messages import msg
from techsapo_ops.spec.models.providers import AnthropicProvider
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.prompts import Prompt
from techsapo_ops.wallbounce.provider import Price
from techsapo_ops.wallbounce.providers.base import Completion, Tally, tokens_of
from techsapo_ops.wallbounce.providers.kinds import ProviderKind
from techsapo_ops.wallbounce.providers.listed import Listed, claude_model
from techsapo_ops.wallbounce.providers.told import failure_in_200
from techsapo_ops.wallbounce.providers.upstream import broken_off
from techsapo_ops.wallbounce.providers.wire import REFUSED, Form, Reading, WiredModel, refusal

_VERSION = "2023-06-01"
_NOT_WHOLE = {
    "max_tokens": "",
    "model_context_window_exceeded": msg(
        "question and answer exceed the model's context; shorten the question"
    ),
    "pause_turn": msg("the vendor paused in the middle of the answer (pause_turn)"),
    "tool_use": msg("the model asked for a tool, and it has none (tool_use)"),
}
"""Reasons to stop before the answer is whole, and what to say where tokens are not what it lacked."""
_CATEGORIES = {
    "cyber": msg("as a matter of computer crime"),
    "bio": msg("as a matter of biology"),
    "frontier_llm": msg("as a matter of building models"),
    "reasoning_extraction": msg("as an attempt to have it tell its reasoning"),
    "general_harms": msg("as harmful"),
}


class Anthropic(WiredModel):
    """One Claude model."""

    default_url = AnthropicProvider.address
    promised = msg("a message")
    told_alone = True

    def __init__(self, name: str, spec: AnthropicProvider, price: Price) -> None:
        super().__init__(name, spec, price)
        self._effort = spec.effort

    @override
    def login(self, key: str) -> dict[str, str]:
        return {"x-api-key": key}

    @override
    def own_headers(self) -> dict[str, str]:
        return {"anthropic-version": _VERSION}

    @override
    def url(self) -> str:
        return f"{self._base_url}/v1/messages"

    @override
    def list_url(self) -> str:
        return f"{self._base_url}/v1/models/{quote(self.model, safe='')}"

    @override
    def read_list(self, answer: Any) -> Listed:
        return claude_model(answer)

    @override
    def request(self, prompt: Prompt, system: str, form: Form) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": self.max_output_tokens,
            "system": system,
            "messages": [{"role": "user", "content": prompt.user}],
        }
        output: dict[str, Any] = {}
        if self._effort is not None:
            output["effort"] = self._effort
        if form.structured:
            output["format"] = {"type": "json_schema", "schema": prompt.schema}
        if output:
            body["output_config"] = output
        if self.stream:
            body["stream"] = True
        return body

    @override
    def read(self, reply: Any, tally: Tally) -> Completion:
        return read_message(reply, tally)

    @override
    def reading(self) -> Reading:
        return _Events(self.max_output_tokens)


KIND = ProviderKind(Anthropic)


class _Events(Reading):
    """The events of a streamed message.

    Input is counted at the start, output at the end; of a stream that breaks off the `longest` answer is
    charged, as thinking is not shown and yet billed.
    """

    def __init__(self, longest: int) -> None:
        super().__init__()
        self._longest = longest
        self._text: list[str] = []
        self._sent: Any = None
        self._stop: str | None = None
        self._details: Any = None

    @override
    def add(self, event: Any, tally: Tally) -> None:
        kind = event["type"]
        if kind == "message_start":
            self._sent = event["message"]["usage"]
            tally.tokens = _tokens(self._sent, self._longest)
        elif kind == "content_block_delta" and event["delta"]["type"] == "text_delta":
            self._text.append(event["delta"]["text"])
        elif kind == "message_delta":
            self._stop = event["delta"]["stop_reason"]
            self._details = event["delta"].get("stop_details")
            self._sent = {**self._sent, **{k: v for k, v in event["usage"].items() if v is not None}}
            tally.tokens = _tokens(self._sent, self._sent["output_tokens"])
        elif kind == "error":
            raise failure_in_200(event)

    @override
    def reply(self, tally: Tally) -> Completion:
        if self._stop is None:
            raise broken_off(self.begun)
        return _reply("".join(self._text), self._stop, self._details, tally)


def read_message(message: Any, tally: Tally) -> Completion:
    """Text and tokens of a message's JSON. Raises ProviderError where Claude refused, and what reading
    JSON of another shape raises.
    """
    tally.tokens = _tokens(message["usage"], message["usage"]["output_tokens"])
    text = "".join(block["text"] for block in message["content"] if block["type"] == "text")
    return _reply(text, message["stop_reason"], message.get("stop_details"), tally)


def _reply(text: str, stop: str | None, details: Any, tally: Tally) -> Completion:
    if stop == "refusal":
        category = (details or {}).get("category")
        raise refusal(
            msg("{refused} ({categories})", refused=REFUSED, categories=_CATEGORIES.get(category, category))
            if category
            else REFUSED
        )
    return Completion(text, tally.tokens, stop not in _NOT_WHOLE, _NOT_WHOLE.get(stop or "", ""))


def _tokens(usage: Any, written: object) -> Tokens | None:
    cached = usage.get("cache_read_input_tokens") or 0
    created = usage.get("cache_creation_input_tokens") or 0
    thought = (usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0
    read = usage["input_tokens"] + cached + created
    return tokens_of(read, written, cached, cache_written=created, thinking=thought)
