"""OpenAI by its Responses API, and any OpenAI-compatible endpoint by chat completions.

Both use the vendor's SDK over aiohttp; the SDK is imported in a thread when the first question comes, as
the import takes over half a second. Its own retries are off.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from techsapo_ops.adapters.http import os_reason
from techsapo_ops.spec.models.app import CompatibleProvider, OpenAIProvider
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.wallbounce.model import Answer, FailureKind, Language, ProviderError, Question, Tokens
from techsapo_ops.wallbounce.provider import Price

if TYPE_CHECKING:
    from types import ModuleType

    from openai import APIStatusError, AsyncOpenAI

INSTRUCTIONS: dict[Language, str] = {
    "ja": (
        "あなたはITインフラの障害対応の専門家です。日本語で、原因・確認手順・対処を簡潔に答えてください。"
        "最後の行に「confidence: 0.00〜1.00」の形式で答えの確からしさを書いてください。"
    ),
    "en": (
        "You are an expert in IT infrastructure incidents. Answer briefly in English: cause, checks, fix. "
        "On the last line write how sure you are as `confidence: 0.00` to `confidence: 1.00`."
    ),
}
_CONFIDENCE = re.compile(r"\n?\s*confidence\s*[:：]\s*(0(?:\.\d+)?|1(?:\.0+)?|\.\d+)\s*\Z", re.IGNORECASE)
_NO_KEY = "none"
"""Local servers want no key, the SDK insists on one."""


@dataclass(frozen=True, slots=True)
class _Reply:
    text: str
    tokens: Tokens
    complete: bool


class OpenAICompatible:
    """One model at OpenAI or at a compatible endpoint."""

    def __init__(self, name: str, spec: OpenAIProvider | CompatibleProvider, price: Price) -> None:
        self.name = name
        self.kind = spec.kind
        self.model = spec.model
        self.timeout = seconds(spec.timeout)
        self.price = price
        self.max_output_tokens = spec.max_output_tokens
        self._spec = spec
        self._client: AsyncOpenAI | None = None
        self._sdk: ModuleType | None = None
        self._loading = asyncio.Lock()

    async def answer(self, question: Question) -> Answer:
        """See Provider.answer."""
        started = time.perf_counter()
        client, sdk = await self._ready()
        try:
            reply = await self._call(client, question)
        except sdk.OpenAIError as error:
            raise self._failure(sdk, error) from None
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            # The SDK passes on what it could not parse: broken JSON, or a body of another shape.
            raise ProviderError(
                FailureKind.BAD_ANSWER, f"the reply can't be read ({type(error).__name__})"
            ) from None
        if not reply.complete:
            raise ProviderError(FailureKind.BAD_ANSWER, "the answer was cut off; raise max_output_tokens")
        text, sure = split_confidence(reply.text)
        return Answer(
            provider=self.name,
            model=self.model,
            text=text,
            tokens=reply.tokens,
            seconds=time.perf_counter() - started,
            cost_usd=self.price.cost(reply.tokens),
            self_confidence=sure,
        )

    async def close(self) -> None:
        """Close the connection pool."""
        if self._client is not None:
            await self._client.close()

    async def _ready(self) -> tuple[AsyncOpenAI, Any]:
        async with self._loading:
            if self._client is None or self._sdk is None:
                self._sdk = await asyncio.to_thread(_import_sdk)
                key = self._spec.api_key
                self._client = self._sdk.AsyncOpenAI(
                    api_key=key.reveal() if key else _NO_KEY,
                    base_url=self._spec.base_url or "https://api.openai.com/v1",
                    max_retries=0,
                    timeout=self.timeout,
                    http_client=self._sdk.DefaultAioHttpClient(timeout=self.timeout),
                )
            return self._client, self._sdk

    async def _call(self, client: AsyncOpenAI, question: Question) -> _Reply:
        if isinstance(self._spec, OpenAIProvider):
            return await self._respond(client, self._spec, question)
        return await self._chat(client, question)

    async def _respond(self, client: AsyncOpenAI, spec: OpenAIProvider, question: Question) -> _Reply:
        options: dict[str, Any] = {}
        if spec.reasoning_effort is not None:
            options["reasoning"] = {"effort": spec.reasoning_effort}
        if spec.verbosity is not None:
            options["text"] = {"verbosity": spec.verbosity}
        response = await client.responses.create(
            model=spec.model,
            instructions=INSTRUCTIONS[question.language],
            input=question.text,
            max_output_tokens=spec.max_output_tokens,
            store=False,
            **options,
        )
        if response.error is not None:
            raise ProviderError(FailureKind.UNAVAILABLE, self._clean(f"{response.error.message}"))
        usage = response.usage
        tokens = Tokens(usage.input_tokens, usage.output_tokens) if usage else Tokens()
        return _Reply(response.output_text, tokens, response.status in {"completed", None})

    async def _chat(self, client: AsyncOpenAI, question: Question) -> _Reply:
        completion = await client.chat.completions.create(
            model=self.model,
            messages=[
                {"role": "system", "content": INSTRUCTIONS[question.language]},
                {"role": "user", "content": question.text},
            ],
            max_tokens=self.max_output_tokens,
        )
        choice = completion.choices[0]
        if choice.finish_reason == "content_filter":
            raise ProviderError(FailureKind.REFUSED, "the provider's content filter refused the question")
        usage = completion.usage
        tokens = Tokens(usage.prompt_tokens, usage.completion_tokens) if usage else Tokens()
        return _Reply(choice.message.content or "", tokens, choice.finish_reason != "length")

    def _failure(self, sdk: Any, error: Exception) -> ProviderError:
        """Our kind of error for one of the SDK's."""
        if isinstance(error, sdk.APIResponseValidationError):
            return ProviderError(FailureKind.BAD_ANSWER, "the reply is not what the API promises")
        if isinstance(error, sdk.APIConnectionError):
            return self._connection_failure(error)
        if isinstance(error, sdk.APIStatusError):
            return self._status_failure(error)
        return ProviderError(FailureKind.BAD_ANSWER, self._clean(str(error)))

    def _connection_failure(self, error: Exception) -> ProviderError:
        """The SDK's aiohttp transport calls a refused connection a time-out: its causes know better."""
        causes = list(_causes(error))
        if any(isinstance(cause, TimeoutError) for cause in causes):
            return ProviderError(FailureKind.TIMEOUT, f"no answer within {self.timeout:g} s")
        reason = os_reason(causes[-1]) or type(causes[-1]).__name__
        return ProviderError(FailureKind.UNAVAILABLE, f"cannot be reached ({reason})")

    def _status_failure(self, error: APIStatusError) -> ProviderError:
        status = error.status_code
        message = self._clean(f"HTTP {status}: {error.message}")
        if status == 429:
            return ProviderError(
                FailureKind.RATE_LIMITED, message, retry_after=retry_after(error.response.headers)
            )
        if status in {408, 504}:
            return ProviderError(FailureKind.TIMEOUT, message)
        kind = FailureKind.UNAVAILABLE if status >= 500 else FailureKind.REFUSED
        return ProviderError(kind, message, retry_after=retry_after(error.response.headers))

    def _clean(self, message: str) -> str:
        """`message` on one short line and without the key, which some servers echo."""
        key = self._spec.api_key
        if key:
            message = message.replace(key.reveal(), "********")
        return " ".join(message.split())[:200]


def split_confidence(text: str) -> tuple[str, float | None]:
    """The text without its last `confidence: 0.8` line, and that number (0 to 1) or None."""
    match = _CONFIDENCE.search(text)
    if match is None:
        return text.strip(), None
    return text[: match.start()].strip(), float(match[1])


def retry_after(headers: Any) -> float | None:
    """Seconds of a Retry-After header, or None where there is none or it is a date or nonsense."""
    value = headers.get("retry-after", "")
    return min(float(value), 3600.0) if re.fullmatch(r"\d+(\.\d+)?", value) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it was raised from, the deepest last."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _import_sdk() -> ModuleType:
    import openai

    return openai
