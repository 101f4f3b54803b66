"""Claude by Anthropic's Messages API, through the vendor's SDK.

Wire format: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.failures import Cause, FailureKind, ProviderError
from techsapo_ops.wallbounce.prompts import Prompt
from techsapo_ops.wallbounce.providers.base import Completion, Tally, tokens_of
from techsapo_ops.wallbounce.providers.kinds import ProviderKind
from techsapo_ops.wallbounce.providers.sdk import SDKModel
from techsapo_ops.wallbounce.providers.upstream import broken_off

if TYPE_CHECKING:
    from types import ModuleType

    from anthropic import AsyncAnthropic
    from anthropic.types import RawMessageStreamEvent

_CUT_OFF = {"max_tokens", "model_context_window_exceeded"}


class Anthropic(SDKModel):
    """One Claude model."""

    base_url = "https://api.anthropic.com"
    client = "AsyncAnthropic"
    error = "AnthropicError"

    @override
    async def send(
        self, client: AsyncAnthropic, prompt: Prompt, system: str, tally: Tally, *, structured: bool
    ) -> Completion:
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": self.max_output_tokens,
            "system": system,
            "messages": [{"role": "user", "content": prompt.user}],
        }
        if structured:
            body["output_config"] = {"format": {"type": "json_schema", "schema": dict(prompt.schema)}}
        if self.stream:
            return await self._read_stream(await client.messages.create(**body, stream=True), tally)
        return read_message(await self.post(client, "/v1/messages", body), tally)

    async def _read_stream(self, events: AsyncIterator[RawMessageStreamEvent], tally: Tally) -> Completion:
        """Text and tokens of a streamed message.

        Input is counted at the start, output at the end; of a stream that breaks off the longest answer is
        charged, as thinking is not shown and yet billed.
        """
        text: list[str] = []
        sent: Any = None
        stop: str | None = None
        async for event in events:
            if event.type == "message_start":
                sent = event.message.usage.to_dict()
                tally.tokens = _tokens(sent, self.max_output_tokens)
            elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                text.append(event.delta.text)
            elif event.type == "message_delta":
                stop = event.delta.stop_reason
                tally.tokens = _tokens(sent, event.usage.output_tokens)
        if stop is None:
            raise broken_off(sent is not None)
        return _reply("".join(text), stop, tally)

    @override
    @staticmethod
    def import_sdk() -> ModuleType:
        import anthropic
        import anthropic.resources.messages

        return anthropic


KIND = ProviderKind(Anthropic)


def read_message(message: dict[str, Any], tally: Tally) -> Completion:
    """Text and tokens of a message's JSON. Raises ProviderError where Claude refused, and what `sdk_failures`
    lists for a body of another shape.
    """
    text = "".join(block["text"] for block in message["content"] if block["type"] == "text")
    tally.tokens = _tokens(message["usage"], message["usage"]["output_tokens"])
    return _reply(text, message["stop_reason"], tally)


def _reply(text: str, stop: str | None, tally: Tally) -> Completion:
    if stop == "refusal":
        raise ProviderError(
            FailureKind.REFUSED,
            "the provider refused the question's content",
            cause=Cause.CONTENT,
            began=True,
        )
    return Completion(text, tally.tokens, stop not in _CUT_OFF)


def _tokens(usage: dict[str, Any], written: object) -> Tokens | None:
    cached = usage.get("cache_read_input_tokens") or 0
    created = usage.get("cache_creation_input_tokens") or 0
    return tokens_of(usage["input_tokens"] + cached + created, written, cached)
