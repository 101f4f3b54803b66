"""Any endpoint that speaks OpenAI's chat completions, by hand over aiohttp.

One call through the vendor's SDK costs several times the processor time of one made here; see decision 9.
Wire format: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from techsapo_ops.spec.models.app import CompatibleProvider
from techsapo_ops.wallbounce.model import FailureKind, ProviderError, Question, Tokens
from techsapo_ops.wallbounce.prompts import Prompt, with_schema
from techsapo_ops.wallbounce.provider import Price
from techsapo_ops.wallbounce.providers.base import LanguageModel, Reply
from techsapo_ops.wallbounce.providers.upstream import connection_failure, open_session, status_failure

if TYPE_CHECKING:
    import aiohttp

_HOLLOW = "\0"
"""Stands for the user's text; nothing else of a request holds this character."""


class Compatible(LanguageModel):
    """One model at an OpenAI-compatible endpoint.

    The reply's schema is asked for by `response_format`. Where the endpoint turns a call with it away, the
    provider asks in words from then on.
    """

    def __init__(self, name: str, spec: CompatibleProvider, price: Price) -> None:
        super().__init__(name, spec, price)
        self._url = f"{spec.base_url.rstrip('/')}/chat/completions"
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if spec.api_key:
            self._headers["Authorization"] = f"Bearer {spec.api_key.reveal()}"
        self._structured = True
        self._frames: dict[tuple[str, bool], tuple[str, str]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._errors: tuple[type[Exception], ...] = ()

    async def warm(self) -> None:
        """Import aiohttp."""
        await asyncio.to_thread(_import_aiohttp)

    async def close(self) -> None:
        """Close the connection pool."""
        if self._session is not None:
            await self._session.close()

    async def complete(self, prompt: Prompt, question: Question) -> Reply:
        """One chat completion. See LanguageModel.complete."""
        structured = self._structured
        status, headers, body = await self._post(self._request(prompt, question, structured))
        if structured and status in {400, 422} and b"response_format" in body:
            self._structured = False
            status, headers, body = await self._post(self._request(prompt, question, False))
        if status != 200:
            raise status_failure(status, _error_message(body), headers)
        return read_completion(_json(body))

    def _request(self, prompt: Prompt, question: Question, structured: bool) -> bytes:
        """The body of a call. All but the user's text is encoded once for each kind of prompt."""
        frame = self._frames.get((prompt.system, structured))
        if frame is None:
            hollow = Prompt(prompt.system, _HOLLOW, prompt.name, prompt.schema)
            request = chat_request(self.model, hollow, question, self.max_output_tokens, structured)
            head, _, tail = json.dumps(request, ensure_ascii=False).partition(json.dumps(_HOLLOW))
            frame = self._frames[prompt.system, structured] = (head, tail)
        return f"{frame[0]}{json.dumps(prompt.user, ensure_ascii=False)}{frame[1]}".encode()

    async def _post(self, content: bytes) -> tuple[int, Any, bytes]:
        if self._session is None:
            await self.warm()
            if self._session is None:
                self._session = open_session()
                self._errors = (*_connection_errors(), OSError)
        try:
            async with self._session.post(
                self._url, data=content, headers=self._headers, allow_redirects=False
            ) as response:
                return response.status, response.headers, await response.read()
        except self._errors as error:
            raise connection_failure(error, self.timeout) from None


def chat_request(
    model: str, prompt: Prompt, question: Question, max_tokens: int, structured: bool
) -> dict[str, Any]:
    """The body of a chat completion, with the schema as `response_format` or spelt out in words."""
    system = prompt.system if structured else with_schema(prompt, question.language)
    request: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": prompt.user}],
        "max_tokens": max_tokens,
    }
    if structured:
        request["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": prompt.name, "strict": True, "schema": prompt.schema},
        }
    return request


def read_completion(completion: Any) -> Reply:
    """The first choice of a chat completion. Raises ProviderError where it is none, or a refusal."""
    try:
        choice = completion["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        text, refusal = message.get("content") or "", message.get("refusal")
        tokens = _usage(completion.get("usage"))
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ProviderError(FailureKind.BAD_ANSWER, "the reply is not a chat completion") from None
    if finish == "content_filter" or (refusal and not text):
        raise ProviderError(FailureKind.REFUSED, "the provider refused the question's content")
    if not isinstance(text, str):
        raise ProviderError(FailureKind.BAD_ANSWER, "the reply is not text")
    return Reply(text, tokens, finish != "length")


def _usage(usage: Any) -> Tokens | None:
    if not usage:
        return None
    details = usage.get("prompt_tokens_details") or {}
    counts = (usage["prompt_tokens"], usage["completion_tokens"], details.get("cached_tokens") or 0)
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        return None
    return Tokens(*counts)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ProviderError(FailureKind.BAD_ANSWER, "the reply is not JSON") from None


def _error_message(body: bytes) -> str:
    """The message of an error body: OpenAI's shape, one with a plain `error`, or the text itself."""
    try:
        error = json.loads(body).get("error")
    except (ValueError, RecursionError, AttributeError):
        error = None
    if isinstance(error, dict):
        code = error.get("code") or error.get("type") or ""
        return f"{error.get('message', '')} ({code})" if code else str(error.get("message", ""))
    return error if isinstance(error, str) else body[:400].decode(errors="replace")


def _connection_errors() -> tuple[type[Exception], ...]:
    import aiohttp

    return (aiohttp.ClientError, TimeoutError)


def _import_aiohttp() -> None:
    import aiohttp  # noqa: F401 - the import is what is wanted
