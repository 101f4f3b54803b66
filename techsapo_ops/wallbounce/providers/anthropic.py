"""Claude by Anthropic's Messages API.

Wire format: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from typing_extensions import override

from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.prompts import Prompt
from techsapo_ops.wallbounce.providers.base import Completion, Tally, tokens_of
from techsapo_ops.wallbounce.providers.kinds import ProviderKind
from techsapo_ops.wallbounce.providers.listed import Listed, claude_model
from techsapo_ops.wallbounce.providers.told import failure_in_200
from techsapo_ops.wallbounce.providers.upstream import broken_off
from techsapo_ops.wallbounce.providers.wire import Form, Reading, WiredModel, refusal

_VERSION = "2023-06-01"
_CUT_OFF = {"max_tokens", "model_context_window_exceeded"}


class Anthropic(WiredModel):
    """One Claude model."""

    default_url = "https://api.anthropic.com"
    promised = "a message"
    told_alone = True

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
        if form.structured:
            body["output_config"] = {"format": {"type": "json_schema", "schema": prompt.schema}}
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
            tally.tokens = _tokens(self._sent, event["usage"]["output_tokens"])
        elif kind == "error":
            raise failure_in_200(event)

    @override
    def reply(self, tally: Tally) -> Completion:
        if self._stop is None:
            raise broken_off(self.begun)
        return _reply("".join(self._text), self._stop, tally)


def read_message(message: Any, tally: Tally) -> Completion:
    """Text and tokens of a message's JSON. Raises ProviderError where Claude refused, and what reading
    JSON of another shape raises.
    """
    text = "".join(block["text"] for block in message["content"] if block["type"] == "text")
    tally.tokens = _tokens(message["usage"], message["usage"]["output_tokens"])
    return _reply(text, message["stop_reason"], tally)


def _reply(text: str, stop: str | None, tally: Tally) -> Completion:
    if stop == "refusal":
        raise refusal()
    return Completion(text, tally.tokens, stop not in _CUT_OFF)


def _tokens(usage: Any, written: object) -> Tokens | None:
    cached = usage.get("cache_read_input_tokens") or 0
    created = usage.get("cache_creation_input_tokens") or 0
    return tokens_of(usage["input_tokens"] + cached + created, written, cached)
