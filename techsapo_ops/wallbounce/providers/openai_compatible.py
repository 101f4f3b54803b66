"""Any endpoint that speaks OpenAI's chat completions, by hand over aiohttp.

One call through the vendor's SDK costs several times the processor time of one made here; see decision 9.
Wire format: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from techsapo_ops.adapters.imports import first_use
from techsapo_ops.adapters.jsons import dump, load
from techsapo_ops.spec.models.providers import CompatibleProvider
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.prompts import Prompt, with_schema
from techsapo_ops.wallbounce.provider import Price
from techsapo_ops.wallbounce.providers.base import Completion, KeyedModel, Tally
from techsapo_ops.wallbounce.providers.chat import Chunks, read_completion
from techsapo_ops.wallbounce.providers.kinds import ProviderKind, nothing, unknown
from techsapo_ops.wallbounce.providers.sse import MEDIA_TYPE, event_data
from techsapo_ops.wallbounce.providers.told import failure_of
from techsapo_ops.wallbounce.providers.upstream import connection_failure, open_session
from techsapo_ops.wallbounce.question import Question

if TYPE_CHECKING:
    import aiohttp

_HOLLOW = "\0"
"""Stands for the user's text; nothing else of a request holds this character."""


class Compatible(KeyedModel):
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
        self._frames: dict[tuple[str, bool], tuple[bytes, bytes]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._errors: tuple[type[Exception], ...] = ()

    @override
    async def warm(self) -> None:
        await asyncio.to_thread(first_use, _import_aiohttp)

    @override
    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    @override
    async def complete(self, prompt: Prompt, question: Question, tally: Tally) -> Completion:
        structured = self._structured
        status, headers, body = await self._post(self._request(prompt, question, structured), tally)
        if structured and status in {400, 422} and isinstance(body, bytes) and b"response_format" in body:
            self._structured = False
            status, headers, body = await self._post(self._request(prompt, question, False), tally)
        if isinstance(body, Chunks):
            return body.reply(tally)
        if status != 200:
            raise failure_of(status, body, headers)
        return read_completion(_json(body), tally)

    def _request(self, prompt: Prompt, question: Question, structured: bool) -> bytes:
        """The body of a call. All but the user's text is encoded once for each kind of prompt."""
        frame = self._frames.get((prompt.system, structured))
        if frame is None:
            hollow = Prompt(prompt.system, _HOLLOW, prompt.name, prompt.schema)
            request = chat_request(self.model, hollow, question, self.max_output_tokens, structured)
            if self.stream:
                request |= {"stream": True, "stream_options": {"include_usage": True}}
            head, _, tail = dump(request).partition(dump(_HOLLOW))
            frame = self._frames[prompt.system, structured] = (head, tail)
        return b"".join((frame[0], dump(prompt.user), frame[1]))

    async def _post(self, content: bytes, tally: Tally) -> tuple[int, Any, bytes | Chunks]:
        """Status, headers and body; of a stream, what its chunks add up to."""
        if self._session is None:
            await self.warm()
            if self._session is None:
                self._session = open_session()
                self._errors = (*_connection_errors(), OSError)
        try:
            async with self._session.post(
                self._url, data=content, headers=self._headers, allow_redirects=False
            ) as response:
                kind = response.headers.get("Content-Type", "")
                if response.status != 200 or not kind.lower().startswith(MEDIA_TYPE):
                    return response.status, response.headers, await response.read()
                chunks = Chunks()
                async for data in event_data(response.content.iter_any()):
                    if data.strip() == b"[DONE]":
                        chunks.done = True
                    else:
                        chunks.add(_json(data), tally)
                return response.status, response.headers, chunks
        except self._errors as error:
            raise connection_failure(error, self.timeout) from None


KIND = ProviderKind(Compatible, lacks=nothing, price=unknown)


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


def _json(body: bytes) -> Any:
    try:
        return load(body)
    except (ValueError, RecursionError):
        raise ProviderError(FailureKind.BAD_ANSWER, "the reply is not JSON", began=True) from None


def _connection_errors() -> tuple[type[Exception], ...]:
    import aiohttp

    return (aiohttp.ClientError, TimeoutError)


def _import_aiohttp() -> None:
    import aiohttp  # noqa: F401 - the import is what is wanted
