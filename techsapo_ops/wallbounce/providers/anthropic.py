"""Claude by Anthropic's Messages API, through the vendor's SDK; its own retries are off.

Wire format: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from techsapo_ops.spec.models.app import AnthropicProvider
from techsapo_ops.wallbounce.model import FailureKind, ProviderError, Question, Tokens
from techsapo_ops.wallbounce.prompts import Prompt, with_schema
from techsapo_ops.wallbounce.provider import Price
from techsapo_ops.wallbounce.providers.base import LanguageModel, Reply
from techsapo_ops.wallbounce.providers.sdk import http_client, schema_turned_away, told
from techsapo_ops.wallbounce.providers.upstream import Once, connection_failure, status_failure

if TYPE_CHECKING:
    from types import ModuleType

    from anthropic import AsyncAnthropic
    from anthropic.types import Message

_CUT_OFF = {"max_tokens", "model_context_window_exceeded"}


class Anthropic(LanguageModel):
    """One Claude model."""

    def __init__(self, name: str, spec: AnthropicProvider, price: Price) -> None:
        super().__init__(name, spec, price)
        self._base_url = spec.base_url or "https://api.anthropic.com"
        self._structured = True
        self._sdk: ModuleType | None = None
        self._client = Once(self._make)

    async def warm(self) -> None:
        """Import the SDK in a thread and make its client."""
        await self._client.get()

    async def close(self) -> None:
        """Close the connection pool."""
        if self._client.made is not None:
            await self._client.made.close()

    async def complete(self, prompt: Prompt, question: Question) -> Reply:
        """One message, without the schema once the model has turned it away. See LanguageModel.complete."""
        client: AsyncAnthropic = await self._client.get()
        sdk: Any = self._sdk
        try:
            if self._structured:
                try:
                    return await self._call(client, prompt, prompt.system, structured=True)
                except sdk.BadRequestError as error:
                    if not schema_turned_away(400, told(error)):
                        raise
                    self._structured = False
            return await self._call(client, prompt, with_schema(prompt, question.language), structured=False)
        except sdk.AnthropicError as error:
            raise self._failure(sdk, error) from None
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            # The SDK passes on what it could not parse: broken JSON, or a body of another shape.
            raise ProviderError(
                FailureKind.BAD_ANSWER, f"the reply can't be read ({type(error).__name__})"
            ) from None

    async def _call(self, client: AsyncAnthropic, prompt: Prompt, system: str, *, structured: bool) -> Reply:
        options: dict[str, Any] = {}
        if structured:
            options["output_config"] = {"format": {"type": "json_schema", "schema": dict(prompt.schema)}}
        message = await client.messages.create(
            model=self.model,
            max_tokens=self.max_output_tokens,
            system=system,
            messages=[{"role": "user", "content": prompt.user}],
            timeout=self.timeout,
            **options,
        )
        return read_message(message)

    async def _make(self) -> AsyncAnthropic:
        sdk: Any = await asyncio.to_thread(_import_sdk)
        self._sdk = sdk
        client: AsyncAnthropic = sdk.AsyncAnthropic(
            api_key=self._key.reveal() if self._key else "none",
            base_url=self._base_url,
            max_retries=0,
            timeout=self.timeout,
            http_client=http_client(),
        )
        return client

    def _failure(self, sdk: Any, error: Exception) -> ProviderError:
        """Our kind of error for one of the SDK's."""
        if isinstance(error, sdk.APIResponseValidationError):
            return ProviderError(FailureKind.BAD_ANSWER, "the reply is not what the API promises")
        if isinstance(error, sdk.APIConnectionError):
            return connection_failure(error, self.timeout)
        if isinstance(error, sdk.APIStatusError):
            return status_failure(error.status_code, told(error), error.response.headers)
        return ProviderError(FailureKind.BAD_ANSWER, str(error))


def read_message(message: Message) -> Reply:
    """Text and tokens of a message. Raises ProviderError where Claude refused."""
    if message.stop_reason == "refusal":
        raise ProviderError(FailureKind.REFUSED, "the provider refused the question's content")
    text = "".join(block.text for block in message.content if block.type == "text")
    usage = message.usage
    cached = usage.cache_read_input_tokens or 0
    sent = usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0)
    return Reply(text, Tokens(sent, usage.output_tokens, cached), message.stop_reason not in _CUT_OFF)


def _import_sdk() -> ModuleType:
    import anthropic
    import anthropic.resources.messages  # the SDK imports its parts when they are first used

    return anthropic
