"""OpenAI by its Responses API, through the vendor's SDK; its own retries are off.

Wire format: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from techsapo_ops.spec.models.app import OpenAIProvider, OpenRouterProvider
from techsapo_ops.wallbounce.model import FailureKind, ProviderError, Question, Tokens
from techsapo_ops.wallbounce.prompts import Prompt, with_schema
from techsapo_ops.wallbounce.provider import Price
from techsapo_ops.wallbounce.providers.base import LanguageModel, Reply
from techsapo_ops.wallbounce.providers.sdk import http_client, schema_turned_away, told
from techsapo_ops.wallbounce.providers.upstream import Once, connection_failure, status_failure

if TYPE_CHECKING:
    from types import ModuleType

    from openai import AsyncOpenAI
    from openai.types.responses import Response


class OpenAISDK(LanguageModel):
    """A model behind the openai SDK; which of its calls is made is the subclass's."""

    base_url = "https://api.openai.com/v1"
    headers: dict[str, str] = {}

    def __init__(self, name: str, spec: OpenAIProvider | OpenRouterProvider, price: Price) -> None:
        super().__init__(name, spec, price)
        self._base_url = spec.base_url or self.base_url
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
        """One call, without the schema once the model has turned it away. See LanguageModel.complete."""
        client: AsyncOpenAI = await self._client.get()
        sdk: Any = self._sdk
        try:
            if self._structured:
                try:
                    return await self.call(client, prompt, prompt.system, structured=True)
                except sdk.BadRequestError as error:
                    if not schema_turned_away(400, told(error)):
                        raise
                    self._structured = False
            words = with_schema(prompt, question.language)
            return await self.call(client, prompt, words, structured=False)
        except sdk.OpenAIError as error:
            raise self._failure(sdk, error) from None
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            # The SDK passes on what it could not parse: broken JSON, or a body of another shape.
            raise ProviderError(
                FailureKind.BAD_ANSWER, f"the reply can't be read ({type(error).__name__})"
            ) from None

    @abstractmethod
    async def call(self, client: AsyncOpenAI, prompt: Prompt, system: str, *, structured: bool) -> Reply:
        """One call of the SDK."""

    async def _make(self) -> AsyncOpenAI:
        sdk: Any = await asyncio.to_thread(_import_sdk)
        self._sdk = sdk
        client: AsyncOpenAI = sdk.AsyncOpenAI(
            api_key=self._key.reveal() if self._key else "none",  # the SDK insists on one, a proxy may not
            base_url=self._base_url,
            default_headers=self.headers,
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


class OpenAI(OpenAISDK):
    """One model by OpenAI's Responses API. Nothing is stored at the vendor."""

    def __init__(self, name: str, spec: OpenAIProvider, price: Price) -> None:
        super().__init__(name, spec, price)
        self._effort = spec.reasoning_effort
        self._verbosity = spec.verbosity

    async def call(self, client: AsyncOpenAI, prompt: Prompt, system: str, *, structured: bool) -> Reply:
        """One response."""
        options: dict[str, Any] = {}
        text: dict[str, Any] = {}
        if self._effort is not None:
            options["reasoning"] = {"effort": self._effort}
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
            options["text"] = text
        response = await client.responses.create(
            model=self.model,
            instructions=system,
            input=prompt.user,
            max_output_tokens=self.max_output_tokens,
            store=False,
            **options,
        )
        return read_response(response)


def read_response(response: Response) -> Reply:
    """Text and tokens of a response. Raises ProviderError where the model failed or refused."""
    if response.error is not None:
        limited = response.error.code == "rate_limit_exceeded"
        kind = FailureKind.RATE_LIMITED if limited else FailureKind.UNAVAILABLE
        raise ProviderError(kind, f"{response.error.message} ({response.error.code})")
    text = response.output_text
    refused = any(
        part.type == "refusal" for item in response.output if item.type == "message" for part in item.content
    )
    reason = response.incomplete_details.reason if response.incomplete_details else None
    if reason == "content_filter" or (refused and not text):
        raise ProviderError(FailureKind.REFUSED, "the provider refused the question's content")
    tokens = None
    if response.usage is not None:
        details = response.usage.input_tokens_details
        cached = details.cached_tokens if details else 0
        tokens = Tokens(response.usage.input_tokens, response.usage.output_tokens, cached or 0)
    return Reply(text, tokens, response.status in {"completed", None})


def _import_sdk() -> ModuleType:
    import openai
    import openai.resources.responses  # the SDK imports its parts when they are first used

    return openai
