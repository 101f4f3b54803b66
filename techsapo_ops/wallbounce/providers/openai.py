"""OpenAI by its Responses API, through the vendor's SDK.

Wire format: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from techsapo_ops.spec.models.providers import OpenAIProvider
from techsapo_ops.wallbounce.failures import Cause, FailureKind, ProviderError
from techsapo_ops.wallbounce.prompts import Prompt
from techsapo_ops.wallbounce.provider import Price
from techsapo_ops.wallbounce.providers.base import Completion, Tally, tokens_of
from techsapo_ops.wallbounce.providers.kinds import ProviderKind
from techsapo_ops.wallbounce.providers.sdk import SDKModel
from techsapo_ops.wallbounce.providers.upstream import broken_off, told_failure

if TYPE_CHECKING:
    from types import ModuleType

    from openai import AsyncOpenAI
    from openai.types.responses import Response, ResponseStreamEvent


class OpenAISDK(SDKModel):
    """A model behind the openai SDK."""

    base_url = "https://api.openai.com/v1"
    client = "AsyncOpenAI"
    error = "OpenAIError"

    @override
    @staticmethod
    def import_sdk() -> ModuleType:
        import openai
        import openai.resources.responses

        return openai


class OpenAI(OpenAISDK):
    """One model by OpenAI's Responses API. Nothing is stored at the vendor."""

    def __init__(self, name: str, spec: OpenAIProvider, price: Price) -> None:
        super().__init__(name, spec, price)
        self._effort = spec.reasoning_effort
        self._verbosity = spec.verbosity

    @override
    async def send(
        self, client: AsyncOpenAI, prompt: Prompt, system: str, tally: Tally, *, structured: bool
    ) -> Completion:
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
        if self._verbosity is not None:
            text["verbosity"] = self._verbosity
        if structured:
            text["format"] = {
                "type": "json_schema",
                "name": prompt.name,
                "strict": True,
                "schema": dict(prompt.schema),
            }
        if text:
            body["text"] = text
        if self.stream:
            return await read_stream(await client.responses.create(**body, stream=True), tally)
        return read_response(await self.post(client, "/responses", body), tally)


KIND = ProviderKind(OpenAI)


async def read_stream(events: AsyncIterator[ResponseStreamEvent], tally: Tally) -> Completion:
    """The response that a stream ends with; it holds the whole text. Raises as read_response does."""
    last: Response | None = None
    event: ResponseStreamEvent | None = None
    async for event in events:
        if event.type == "error":
            raise told_failure(event.code, event.message)
        if event.type in {"response.completed", "response.incomplete", "response.failed"}:
            last = event.response
    if last is None:
        raise broken_off(event is not None)
    return read_response(last.to_dict(), tally)


def read_response(response: dict[str, Any], tally: Tally) -> Completion:
    """Text and tokens of a response's JSON. Raises ProviderError where the model failed or refused, and what
    `sdk_failures` lists for a body of another shape.
    """
    usage, error = response.get("usage"), response.get("error")
    if usage is not None:
        cached = (usage.get("input_tokens_details") or {}).get("cached_tokens")
        tally.tokens = tokens_of(usage["input_tokens"], usage["output_tokens"], cached or 0)
    if error is not None:
        raise told_failure(error["code"], error["message"])
    messages = [item for item in response["output"] if item["type"] == "message"]
    parts = [part for message in messages for part in message["content"]]
    text = "".join(part["text"] for part in parts if part["type"] == "output_text")
    refused = any(part["type"] == "refusal" for part in parts)
    reason = (response.get("incomplete_details") or {}).get("reason")
    if reason == "content_filter" or (refused and not text):
        raise ProviderError(
            FailureKind.REFUSED,
            "the provider refused the question's content",
            cause=Cause.CONTENT,
            began=True,
        )
    return Completion(text, tally.tokens, response.get("status") in {"completed", None})
