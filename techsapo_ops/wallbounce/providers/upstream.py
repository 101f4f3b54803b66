"""The way to a vendor: aiohttp sessions whose responses are bounded, and what their failures mean.

aiohttp is imported only when a session is opened.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from techsapo_ops.adapters.http import os_reason
from techsapo_ops.wallbounce.model import FailureKind, ProviderError
from techsapo_ops.wallbounce.retry import retry_after

if TYPE_CHECKING:
    import aiohttp

MAX_BODY = 2 * 1024 * 1024
"""Largest response body in bytes, after decompression; a longer one is hung up on."""
MAX_CONNECTIONS = 512
"""Connections to one vendor at once; further calls wait for a free one."""
_KEEPALIVE = 30.0
_NO_RETRY = re.compile(r"insufficient_quota|billing", re.IGNORECASE)


def open_session() -> aiohttp.ClientSession:
    """A session for one provider; deadlines are the caller's. Responses longer than MAX_BODY raise TooLarge.

    It follows the event loop that it is opened on, and neither reads proxies from the environment nor keeps
    cookies.
    """
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=_KEEPALIVE, ttl_dns_cache=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=10.0),
        response_class=_bounded_response(),
    )


class TooLarge(ProviderError):
    """The response body is longer than MAX_BODY."""

    def __init__(self) -> None:
        super().__init__(
            FailureKind.BAD_ANSWER, f"the reply is longer than {MAX_BODY // 1024**2} MiB and was not read"
        )


@cache
def _bounded_response() -> type[aiohttp.ClientResponse]:
    import aiohttp

    class Bounded(aiohttp.ClientResponse):
        """Reads at most MAX_BODY bytes. `text` and `json` of the base class go through `read`."""

        async def read(self) -> bytes:
            if self._body is not None:
                return await super().read()
            chunks: list[bytes] = []
            size = 0
            try:
                if (self.content_length or 0) > MAX_BODY:
                    raise TooLarge
                async for chunk in self.content.iter_any():
                    size += len(chunk)
                    if size > MAX_BODY:
                        raise TooLarge
                    chunks.append(chunk)
            except BaseException:
                self.close()
                raise
            self._body = b"".join(chunks)
            return await super().read()

    return Bounded


def connection_failure(error: BaseException, timeout: float) -> ProviderError:
    """What an exception of the connection means; its deepest cause knows best."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ProviderError):
            return cause
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return ProviderError(FailureKind.TIMEOUT, f"no answer within {timeout:g} s")
    return ProviderError(FailureKind.UNAVAILABLE, f"cannot be reached ({_reason(causes)})")


def status_failure(status: int, message: str, headers: Mapping[str, str]) -> ProviderError:
    """What an HTTP status other than 2xx means. 529 is Anthropic's "overloaded"; `headers` ignore case.

    429 for want of money (OpenAI's insufficient_quota) is a refusal: waiting does not help.
    """
    told = f"HTTP {status}: {message}"
    wait = retry_after(headers)
    if status == 429 and not _NO_RETRY.search(message):
        return ProviderError(FailureKind.RATE_LIMITED, told, retry_after=wait)
    if status in {408, 504}:
        return ProviderError(FailureKind.TIMEOUT, told, retry_after=wait)
    kind = FailureKind.UNAVAILABLE if status >= 500 else FailureKind.REFUSED
    return ProviderError(kind, told, retry_after=wait)


def _reason(causes: list[BaseException]) -> str:
    """The system's word for an error number, since asyncio puts an address in its place."""
    for cause in reversed(causes):
        if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
            return os.strerror(cause.errno).lower()
    return os_reason(causes[-1]) or type(causes[-1]).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it was raised from, the deepest last."""
    seen: BaseException | None = error
    for _ in range(20):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__


class Once:
    """Makes a value once, however many ask for it at the same time; a failure is tried anew by the next."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self._value: Any = None
        self._lock = asyncio.Lock()

    async def get(self) -> Any:
        """The value, made now if this is the first call."""
        if self._value is None:
            async with self._lock:
                if self._value is None:
                    self._value = await self._make()
        return self._value

    @property
    def made(self) -> Any:
        """The value, or None while nobody has asked for it."""
        return self._value
