"""The way to a vendor: aiohttp sessions whose responses are bounded, and what their failures mean.

aiohttp is imported only when a session is opened.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from techsapo_ops.adapters.reasons import os_reason
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.causes import Cause
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.told import failure_in_200

if TYPE_CHECKING:
    import aiohttp

MAX_BODY = 2 * 1024 * 1024
"""Largest response body in bytes, after decompression; a longer one is hung up on."""
MAX_CONNECTIONS = 512
"""Connections to one vendor at once; further calls wait for a free one."""
_KEEPALIVE = 30.0


def open_session(most: int = MAX_BODY) -> aiohttp.ClientSession:
    """A session for one provider; deadlines are the caller's. Longer responses than `most` raise TooLarge.

    It follows the event loop that it is opened on, and neither reads proxies from the environment nor keeps
    cookies.
    """
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=_KEEPALIVE, ttl_dns_cache=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=10.0),
        response_class=_bounded_response(most),
    )


class TooLarge(ProviderError):
    """The response body is longer than `most` bytes."""

    def __init__(self, most: int = MAX_BODY) -> None:
        super().__init__(
            FailureKind.BAD_ANSWER,
            f"the reply is longer than {most // 1024**2} MiB and was not read",
            began=True,
        )


class _Content:
    """A response's content; `iter_any` yields at most `most` bytes. All else is the stream's own."""

    def __init__(self, stream: aiohttp.StreamReader, most: int) -> None:
        self._stream = stream
        self._most = most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def iter_any(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream.iter_any():
            size += len(chunk)
            if size > self._most:
                raise TooLarge(self._most)
            yield chunk


@cache
def _bounded_response(most: int) -> type[aiohttp.ClientResponse]:
    import aiohttp

    class BoundedResponse(aiohttp.ClientResponse):
        """Reads at most `most` bytes, at once or in pieces (`content.iter_any`)."""

        async def start(self, connection: Any) -> BoundedResponse:
            await super().start(connection)
            self._known_short = (
                self.content_length is not None
                and self.content_length <= most
                and "Content-Encoding" not in self.headers
            )
            if not self._known_short:
                self.content = cast("aiohttp.StreamReader", _Content(self.content, most))
            return self

        async def read(self) -> bytes:
            if self._body is not None or self._known_short:
                return await super().read()
            try:
                if (self.content_length or 0) > most:
                    raise TooLarge(most)
                self._body = b"".join([chunk async for chunk in self.content.iter_any()])
            except BaseException:
                self.close()
                raise
            return await super().read()

    return BoundedResponse


def connection_failure(error: BaseException, timeout: float) -> ProviderError:
    """What an exception of the connection means; its deepest cause knows best."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ProviderError):
            return cause
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return ProviderError(FailureKind.TIMEOUT, msg("no answer within {timeout:g} s", timeout=timeout))
    if any(type(cause).__name__ == "ClientPayloadError" for cause in causes):  # aiohttp need not be imported
        return broken_off()
    told = msg("cannot be reached ({reason})", reason=_reason(causes))
    return ProviderError(FailureKind.UNAVAILABLE, told, cause=Cause.UNREACHABLE)


def broken_off(any_event: bool = True) -> ProviderError:
    """The connection ended in the middle of an answer. Without `any_event` the reply was no stream at all."""
    if not any_event:
        return ProviderError(FailureKind.BAD_ANSWER, msg("the reply is not a stream of events"), began=True)
    return ProviderError(FailureKind.UNAVAILABLE, msg("the answer broke off in the middle"), began=True)


def told_failure(code: object, message: str) -> ProviderError:
    """What an error means that a vendor tells inside an answer with status 200, by its code.

    `code` is a word of the vendor's ("overloaded_error", "rate_limit_exceeded") or an HTTP status.
    """
    return failure_in_200({"code": code or None, "message": message})


def _reason(causes: list[BaseException]) -> str:
    """The system's word for an error number, since asyncio puts an address in its place.

    A TLS error has a number of its own: 1, which would be "operation not permitted".
    """
    import ssl

    for cause in reversed(causes):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return msg(
                "its certificate is not to be trusted: {verify_message}", verify_message=cause.verify_message
            )
        if isinstance(cause, ssl.SSLError):
            return os_reason(cause)
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
