"""What the vendors' SDKs share: their HTTP client over our bounded aiohttp session, their status errors, and
the way of a call through the SDKs of OpenAI and Anthropic, which are of one make.

The SDKs bring an aiohttp transport of their own. It bounds no body, and it calls a refused connection a
time-out, which the breaker and the operator must be able to tell apart.
"""

from __future__ import annotations

import asyncio
import re
from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from techsapo_ops.adapters.imports import first_use
from techsapo_ops.adapters.jsons import load
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.prompts import Prompt, with_schema
from techsapo_ops.wallbounce.provider import Price
from techsapo_ops.wallbounce.providers.base import Completion, KeyedModel, Tally, hush
from techsapo_ops.wallbounce.providers.kinds import KeyedSpec
from techsapo_ops.wallbounce.providers.sse import MEDIA_TYPE
from techsapo_ops.wallbounce.providers.told import failure_in_200, failure_of
from techsapo_ops.wallbounce.providers.upstream import Once, connection_failure, open_session
from techsapo_ops.wallbounce.question import Question

if TYPE_CHECKING:
    from types import ModuleType

    import aiohttp
    import httpx2

_SCHEMA_WORDS = re.compile(
    r"response_format|text\.format|json_schema|output_config|output_format|response_?json_?schema"
    r"|response_?schema|response_?mime_?type|structured output|json mode",
    re.IGNORECASE,
)
_OURS = {"content-encoding", "content-length", "transfer-encoding"}
"""Headers of a response that no longer hold once aiohttp has read and decompressed it."""


class SDKModel(KeyedModel):
    """A model behind the SDK of OpenAI or Anthropic; which of its calls is made is the subclass's.

    The SDK's own retries are off. A model that turns the schema away is asked in words from then on.
    """

    base_url: ClassVar[str]
    headers: ClassVar[dict[str, str]] = {}
    client: ClassVar[str]
    """The SDK's class of clients."""
    error: ClassVar[str]
    """The base of its errors."""

    def __init__(self, name: str, spec: KeyedSpec, price: Price) -> None:
        super().__init__(name, spec, price)
        self._base_url = spec.base_url or self.base_url
        self._structured = True
        self._sdk: Any = None
        self._client = Once(self._make)

    @override
    async def warm(self) -> None:
        await self._client.get()

    @override
    async def close(self) -> None:
        if self._client.made is not None:
            await self._client.made.close()

    @override
    async def complete(self, prompt: Prompt, question: Question, tally: Tally) -> Completion:
        client = await self._client.get()
        sdk = self._sdk
        try:
            if self._structured:
                try:
                    return await self.send(client, prompt, prompt.system, tally, structured=True)
                except sdk.BadRequestError as error:
                    if not schema_turned_away(400, told(error)):
                        raise
                    self._structured = False
            words = with_schema(prompt, question.language)
            return await self.send(client, prompt, words, tally, structured=False)
        except sdk_failures(getattr(sdk, self.error)) as error:
            raise sdk_failure(sdk, error, self.timeout) from None

    @abstractmethod
    async def send(
        self, client: Any, prompt: Prompt, system: str, tally: Tally, *, structured: bool
    ) -> Completion:
        """One call of the SDK."""

    async def post(self, client: Any, path: str, body: dict[str, Any]) -> Any:
        """The JSON that comes back for `body`, through the SDK's door to any path of its API.

        The SDK's own method for a path would make models of both, without a check of either, at three times
        the processor time and 8 MB; see decision 9.
        """
        import httpx2

        response = await client.post(path, cast_to=httpx2.Response, body=body)
        return load(response.content)

    @staticmethod
    @abstractmethod
    def import_sdk() -> ModuleType:
        """Import the SDK, with the parts of it that it imports itself only when they are first used."""

    async def _make(self) -> Any:
        self._sdk = await asyncio.to_thread(first_use, self.import_sdk)
        hush(self._sdk.__name__)
        return getattr(self._sdk, self.client)(
            api_key=self._key.reveal() if self._key else "none",  # the SDKs insist on one, a proxy may not
            base_url=self._base_url,
            default_headers=self.headers,
            max_retries=0,
            timeout=self.timeout,
            http_client=http_client(),
        )


def schema_turned_away(status: int, message: str) -> bool:
    """Whether an endpoint turned a call away because it was asked for structured output."""
    return status in {400, 422} and _SCHEMA_WORDS.search(message) is not None


def http_client() -> httpx2.AsyncClient:
    """A client for the `http_client` of an SDK. To be called on the event loop."""
    import aiohttp
    import httpx2

    failures = (aiohttp.ClientError, TimeoutError, OSError)

    class Pieces(httpx2.AsyncByteStream):
        """The body of a streamed response as it comes; closing it early closes the connection."""

        def __init__(self, response: aiohttp.ClientResponse) -> None:
            self._response = response

        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                async for chunk in self._response.content.iter_any():
                    yield chunk
            except failures as error:
                raise httpx2.TransportError(str(error)) from error

        async def aclose(self) -> None:
            self._response.release()

    class Transport(httpx2.AsyncBaseTransport):
        """Sends through one aiohttp session; reads the body whole unless it is a stream of events.

        The SDKs' own deadlines are not looked at.
        """

        def __init__(self, session: aiohttp.ClientSession) -> None:
            self._session = session

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            headers = {k: v for k, v in request.headers.items() if k != "accept-encoding"}
            body: Any = {}
            try:
                response = await self._session.request(
                    request.method,
                    str(request.url),
                    headers=headers,
                    data=await request.aread(),
                    allow_redirects=False,
                )
                if response.content_type == MEDIA_TYPE and response.status == 200:
                    body = {"stream": Pieces(response)}
                else:
                    async with response:
                        body = {"content": await response.read()}
            except failures as error:
                raise httpx2.TransportError(str(error)) from error  # what the SDKs look for
            kept: list[tuple[str, str]] = [
                (k, v) for k, v in response.headers.items() if k.lower() not in _OURS
            ]
            return httpx2.Response(response.status, headers=kept, request=request, **body)

        async def aclose(self) -> None:
            await self._session.close()

    return httpx2.AsyncClient(transport=Transport(open_session()), follow_redirects=False, timeout=None)


def sdk_failures(base: type[Exception]) -> tuple[type[Exception], ...]:
    """What a call of an SDK can raise: its own `base`, what breaks a stream off, and what it passes on where
    it could not parse the reply: broken JSON, or a body of another shape.
    """
    import httpx2

    unreadable = (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError)
    return (base, httpx2.HTTPError, *unreadable)


def sdk_failure(sdk: Any, error: Any, timeout: float) -> ProviderError:
    """Our kind of error for one of OpenAI's or Anthropic's SDK, or of its HTTP client; see `sdk_failures`.

    An error event in a stream is a status error with status 200 in the one, a bare APIError in the other.
    """
    import httpx2

    if isinstance(error, sdk.APIResponseValidationError):
        return ProviderError(FailureKind.BAD_ANSWER, "the reply is not what the API promises", began=True)
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and status >= 300:
        body = error.body if error.body is not None else error.response.content
        return failure_of(status, body, error.response.headers)
    if isinstance(error, sdk.APIError) and not isinstance(error, sdk.APIConnectionError):
        return failure_in_200(_inner(error) or {"message": str(error), "code": getattr(error, "code", None)})
    if isinstance(error, httpx2.HTTPError | sdk.APIConnectionError):
        return connection_failure(error, timeout)
    return ProviderError(
        FailureKind.BAD_ANSWER, f"the reply can't be read ({type(error).__name__})", began=True
    )


def told(error: Any) -> str:
    """The message in the body of an SDK's status error, with its code; else what the SDK says."""
    inner = _inner(error)
    if inner.get("message"):
        code = inner.get("code") or inner.get("type")
        return f"{inner['message']} ({code})" if code else str(inner["message"])
    return str(getattr(error, "message", error))


def _inner(error: Any) -> dict[str, Any]:
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else None
    return inner if isinstance(inner, dict) else {}
