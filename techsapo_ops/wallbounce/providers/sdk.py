"""What the vendors' SDKs share: their HTTP client over our bounded aiohttp session, and their status errors.

The SDKs bring an aiohttp transport of their own. It bounds no body, and it calls a refused connection a
time-out, which the breaker and the operator must be able to tell apart.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from techsapo_ops.wallbounce.providers.upstream import open_session

if TYPE_CHECKING:
    import aiohttp
    import httpx2

_SCHEMA_WORDS = re.compile(
    r"response_format|text\.format|json_schema|output_config|output_format|response_?json_?schema"
    r"|response_?schema|response_?mime_?type|structured output|json mode",
    re.IGNORECASE,
)
_OURS = {"content-encoding", "content-length", "transfer-encoding"}
"""Headers of a response that no longer hold once aiohttp has read and decompressed it."""


def schema_turned_away(status: int, message: str) -> bool:
    """Whether an endpoint turned a call away because it was asked for structured output."""
    return status in {400, 422} and _SCHEMA_WORDS.search(message) is not None


def http_client() -> httpx2.AsyncClient:
    """A client for the `http_client` of an SDK. To be called on the event loop."""
    import aiohttp
    import httpx2

    class Transport(httpx2.AsyncBaseTransport):
        """Sends through one aiohttp session and reads the whole body; SDK deadlines are not looked at."""

        def __init__(self, session: aiohttp.ClientSession) -> None:
            self._session = session

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            headers = {k: v for k, v in request.headers.items() if k != "accept-encoding"}
            try:
                async with self._session.request(
                    request.method,
                    str(request.url),
                    headers=headers,
                    data=await request.aread(),
                    allow_redirects=False,
                ) as response:
                    body = await response.read()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise httpx2.TransportError(str(error)) from error  # what the SDKs look for
            kept: list[tuple[str, str]] = [
                (k, v) for k, v in response.headers.items() if k.lower() not in _OURS
            ]
            return httpx2.Response(response.status, headers=kept, content=body, request=request)

        async def aclose(self) -> None:
            await self._session.close()

    return httpx2.AsyncClient(transport=Transport(open_session()), follow_redirects=False, timeout=None)


def told(error: Any) -> str:
    """The message in the body of an SDK's status error, with its code; else what the SDK says."""
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(inner, dict) and inner.get("message"):
        code = inner.get("code") or inner.get("type")
        return f"{inner['message']} ({code})" if code else str(inner["message"])
    return str(getattr(error, "message", error))
