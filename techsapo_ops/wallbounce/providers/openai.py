"""OpenAI by its Responses API.

Wire format: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from typing_extensions import override

from techsapo_ops.messages import msg
from techsapo_ops.spec.models.providers import OpenAIProvider
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.prompts import Prompt
from techsapo_ops.wallbounce.provider import Price
from techsapo_ops.wallbounce.providers.base import Completion, Tally, tokens_of
from techsapo_ops.wallbounce.providers.kinds import ProviderKind
from techsapo_ops.wallbounce.providers.listed import Listed, openai_model
from techsapo_ops.wallbounce.providers.told import failure_in_200
from techsapo_ops.wallbounce.providers.upstream import broken_off
from techsapo_ops.wallbounce.providers.wire import Form, Reading, WiredModel, refusal

_FAILED = {"failed", "cancelled"}
_LAST = {"response.completed", "response.incomplete", "response.failed"}


class OpenAI(WiredModel):
    """One model by OpenAI's Responses API. Nothing is stored at the vendor."""

    default_url = OpenAIProvider.address
    promised = msg("a response")
    told_alone = True

    def __init__(self, name: str, spec: OpenAIProvider, price: Price) -> None:
        super().__init__(name, spec, price)
        self._effort = spec.effort

    @override
    def url(self) -> str:
        return f"{self._base_url}/responses"

    @override
    def list_url(self) -> str:
        return f"{self._base_url}/models/{quote(self.model, safe='')}"

    @override
    def read_list(self, answer: Any) -> Listed:
        return openai_model(answer)

    @override
    def request(self, prompt: Prompt, system: str, form: Form) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "instructions": system,
            "input": prompt.user,
            "max_output_tokens": self.max_output_tokens,
            "store": False,
        }
        text: dict[str, Any] = {}
        if self._effort is not None:
            body["reasoning"] = {"effort": self._effort}
        if form.structured:
            text["format"] = {
                "type": "json_schema",
                "name": prompt.name,
                "strict": True,
                "schema": prompt.schema,
            }
        if text:
            body["text"] = text
        if self.stream:
            body["stream"] = True
        return body

    @override
    def read(self, reply: Any, tally: Tally) -> Completion:
        return read_response(reply, tally)

    @override
    def reading(self) -> Reading:
        return _Events()


KIND = ProviderKind(OpenAI)


class _Events(Reading):
    """The events of a streamed response; the last one holds it whole."""

    def __init__(self) -> None:
        super().__init__()
        self._last: Any = None

    @override
    def add(self, event: Any, tally: Tally) -> None:
        if event["type"] == "error":
            raise failure_in_200(event)
        if event["type"] in _LAST:
            self._last = event["response"]

    @override
    def reply(self, tally: Tally) -> Completion:
        if self._last is None:
            raise broken_off(self.begun)
        return read_response(self._last, tally)


def read_response(response: Any, tally: Tally) -> Completion:
    """Text and tokens of a response's JSON. Raises ProviderError where the model failed or refused, and what
    reading JSON of another shape raises.
    """
    usage, error, status = response.get("usage"), response.get("error"), response.get("status")
    if usage is not None:
        tally.tokens = _tokens(usage)
    if error is not None:
        raise failure_in_200({"error": error})
    messages = [item for item in response["output"] if item["type"] == "message"]
    parts = [part for message in messages for part in message["content"]]
    text = "".join(part["text"] for part in parts if part["type"] == "output_text")
    refused = any(part["type"] == "refusal" for part in parts)
    reason = (response.get("incomplete_details") or {}).get("reason")
    if reason == "content_filter" or (refused and not text):
        raise refusal()
    if status in _FAILED:
        told = msg("the vendor says no more than that the call was {status}", status=status)
        raise ProviderError(FailureKind.UNAVAILABLE, told, began=True)
    if status in {"completed", None}:
        return Completion(text, tally.tokens)
    why = (
        ""
        if reason == "max_output_tokens"
        else msg("the vendor ended the answer early ({reason})", reason=reason or status)
    )
    return Completion(text, tally.tokens, False, why)


def _tokens(usage: Any) -> Tokens | None:
    read, written = usage.get("input_tokens_details") or {}, usage.get("output_tokens_details") or {}
    return tokens_of(
        usage["input_tokens"],
        usage["output_tokens"],
        read.get("cached_tokens") or 0,
        cache_written=read.get("cache_write_tokens") or 0,
        thinking=written.get("reasoning_tokens") or 0,
    )
