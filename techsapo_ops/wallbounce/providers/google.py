"""Gemini by Google's Generative Language API, through the `google-genai` SDK; its own retries are off.

Wire format: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from techsapo_ops.adapters.imports import first_use, without
from techsapo_ops.spec.models.providers import GoogleProvider
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.failures import Cause, FailureKind, ProviderError
from techsapo_ops.wallbounce.prompts import Prompt, with_schema
from techsapo_ops.wallbounce.provider import Price
from techsapo_ops.wallbounce.providers.base import Completion, KeyedModel, Tally, hush
from techsapo_ops.wallbounce.providers.kinds import ProviderKind
from techsapo_ops.wallbounce.providers.sdk import schema_turned_away
from techsapo_ops.wallbounce.providers.told import failure_of
from techsapo_ops.wallbounce.providers.upstream import Once, broken_off, connection_failure, open_session
from techsapo_ops.wallbounce.question import Question

if TYPE_CHECKING:
    import aiohttp
    from google.genai.client import AsyncClient
    from google.genai.types import GenerateContentResponse

_API_VERSION = "v1beta"
"""In v1, generateContent knows neither systemInstruction nor responseMimeType nor thinkingConfig: 400
(googleapis/googleapis, google/ai/generativelanguage/v1/generative_service.proto, 2026-08-22). Said aloud, as
the SDK would else take the version from the environment.
"""
_CUT_OFF = "MAX_TOKENS"
_REFUSALS = {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "MODEL_ARMOR"}


@dataclass(frozen=True, slots=True)
class _Made:
    client: AsyncClient
    session: aiohttp.ClientSession
    sdk_error: type[Exception]
    connection_errors: tuple[type[Exception], ...]


class Google(KeyedModel):
    """One Gemini model."""

    def __init__(self, name: str, spec: GoogleProvider, price: Price) -> None:
        super().__init__(name, spec, price)
        self._base_url = spec.base_url
        self._budget = spec.thinking_budget
        self._level = spec.thinking_level
        self._structured = True
        self._made = Once(self._make)

    @override
    async def warm(self) -> None:
        await self._made.get()

    @override
    async def close(self) -> None:
        if self._made.made is not None:
            await self._made.made.session.close()

    @override
    async def complete(self, prompt: Prompt, question: Question, tally: Tally) -> Completion:
        made: _Made = await self._made.get()
        try:
            if self._structured:
                try:
                    return await self._call(made.client, prompt, prompt.system, tally, structured=True)
                except made.sdk_error as error:
                    if not schema_turned_away(*_status_and_message(error)):
                        raise
                    self._structured = False
            words = with_schema(prompt, question.language)
            return await self._call(made.client, prompt, words, tally, structured=False)
        except made.sdk_error as error:
            raise _failure(error) from None
        except made.connection_errors as error:
            raise connection_failure(error, self.timeout) from None
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            # The SDK passes on what it could not parse: broken JSON, or a body of another shape.
            raise ProviderError(
                FailureKind.BAD_ANSWER, f"the reply can't be read ({type(error).__name__})", began=True
            ) from None

    async def _call(
        self, client: AsyncClient, prompt: Prompt, system: str, tally: Tally, *, structured: bool
    ) -> Completion:
        from google.genai import types

        thinking = None
        if self._budget is not None:
            thinking = types.ThinkingConfig(thinking_budget=self._budget)
        elif self._level is not None:
            thinking = types.ThinkingConfig(thinking_level=types.ThinkingLevel(self._level.upper()))
        config = types.GenerateContentConfig(
            system_instruction=system,
            max_output_tokens=self.max_output_tokens,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            response_mime_type="application/json" if structured else None,
            response_json_schema=dict(prompt.schema) if structured else None,
            thinking_config=thinking,
        )
        if self.stream:
            stream = await client.models.generate_content_stream(
                model=self.model, contents=prompt.user, config=config
            )
            return await _read_stream(stream, tally)
        response = await client.models.generate_content(model=self.model, contents=prompt.user, config=config)
        return read_generation(response, tally)

    async def _make(self) -> _Made:
        import_errors = await asyncio.to_thread(first_use, _import_sdk)
        hush("google_genai")
        session = open_session()
        try:
            client = await asyncio.to_thread(
                _client, self._key.reveal() if self._key else "none", self._base_url, session
            )
        except BaseException:
            await session.close()
            raise
        return _Made(client, session, *import_errors)


KIND = ProviderKind(Google)


def read_generation(response: GenerateContentResponse, tally: Tally) -> Completion:
    """Text and tokens of the first candidate. Raises ProviderError where prompt or answer was blocked."""
    finish = _look_at(response, tally)
    if not response.candidates:
        raise ProviderError(FailureKind.BAD_ANSWER, "the reply holds no candidate", began=True)
    return Completion(_text_of(response), tally.tokens, finish != _CUT_OFF)


async def _read_stream(responses: AsyncIterator[GenerateContentResponse], tally: Tally) -> Completion:
    """What streamed responses add up to; the last one says why it ends. Each counts all tokens so far."""
    text: list[str] = []
    finish: str | None = None
    async for response in responses:
        finish = _look_at(response, tally) or finish
        text.append(_text_of(response))
    if finish is None:
        raise broken_off(bool(text))
    return Completion("".join(text), tally.tokens, finish != _CUT_OFF)


def _look_at(response: GenerateContentResponse, tally: Tally) -> str | None:
    """Count the response's tokens, thinking as output, as it is billed; why it ends, if it does.

    Raises ProviderError where prompt or answer was blocked.
    """
    usage = response.usage_metadata
    if usage is not None and usage.prompt_token_count is not None:
        written = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        tally.tokens = Tokens(usage.prompt_token_count, written, usage.cached_content_token_count or 0)
    feedback = response.prompt_feedback
    if feedback is not None and feedback.block_reason is not None:
        raise ProviderError(
            FailureKind.REFUSED,
            f"the provider refused the question's content ({feedback.block_reason.value})",
            cause=Cause.CONTENT,
        )
    if not response.candidates:
        return None
    candidate = response.candidates[0]
    finish = candidate.finish_reason.value if candidate.finish_reason is not None else None
    if finish in _REFUSALS:
        raise ProviderError(
            FailureKind.REFUSED,
            f"the provider withheld its answer ({finish})",
            cause=Cause.CONTENT,
            began=True,
        )
    return finish


def _text_of(response: GenerateContentResponse) -> str:
    """The first candidate's text without its thoughts."""
    content = response.candidates[0].content if response.candidates else None
    parts = (content.parts if content is not None else None) or []
    return "".join(part.text for part in parts if part.text and not part.thought)


def _failure(error: Exception) -> ProviderError:
    """Our kind of error for the SDK's."""
    status, _ = _status_and_message(error)
    response = getattr(error, "response", None)
    headers = {k.lower(): v for k, v in getattr(response, "headers", {}).items()}
    return failure_of(status, getattr(error, "details", None), headers)


def _status_and_message(error: Any) -> tuple[int, str]:
    code = error.code if isinstance(error.code, int) else 502
    return code, f"{error.message or 'no message'} ({error.status})"


def _client(key: str, base_url: str | None, session: aiohttp.ClientSession) -> AsyncClient:
    import ssl

    from google import genai
    from google.genai import types

    # The SDK would read certificate authorities once for each of its clients. Only ours is used, which trusts
    # the system's, as at every other vendor; the rest get a context that trusts nobody.
    options = types.HttpOptions(
        base_url=base_url,
        api_version=_API_VERSION,
        aiohttp_client=session,
        async_client_args={"ssl": True},
        client_args={"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)},
        retry_options=types.HttpRetryOptions(attempts=1),
    )
    return genai.Client(api_key=key, vertexai=False, http_options=options).aio


def _import_sdk() -> tuple[type[Exception], tuple[type[Exception], ...]]:
    import aiohttp

    with without("rich"):  # 3 MB for the command line of httpx, which the SDK imports for its types
        from google import genai  # noqa: F401 - the import is what is wanted
        from google.genai import errors

    return errors.APIError, (aiohttp.ClientError, TimeoutError, OSError)
