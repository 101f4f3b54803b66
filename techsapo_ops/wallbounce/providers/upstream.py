"""The way to a vendor: aiohttp sessions, bounded responses, and what failures of a connection mean.

aiohttp is imported only when a session is opened.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from techsapo_ops.adapters.questions import causes, os_reason
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.providers.failures import Cause, FailureKind, ProviderError

if TYPE_CHECKING:
    import aiohttp

MAX_BODY = 2 * 1024 * 1024
"""Largest response body in bytes, after decompression; a longer one is hung up on."""
MAX_CONNECTIONS = 512
"""Connections to one vendor at once; further calls wait for a free one."""
_KEEPALIVE = 30.0


def open_session() -> aiohttp.ClientSession:
    """A session for one provider; deadlines are the caller's.

    It follows the event loop that it is opened on, and neither reads proxies from the environment nor keeps
    cookies.
    """
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=_KEEPALIVE, ttl_dns_cache=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=10.0),
    )


async def bounded(response: aiohttp.ClientResponse, most: int = MAX_BODY) -> AsyncIterator[bytes]:
    """The body of `response` as it comes. Hangs up and raises ProviderError after `most` bytes."""
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > most:
            response.close()
            message = msg("the reply is longer than {size} MiB and was not read", size=most // 1024**2)
            raise ProviderError(FailureKind.BAD_ANSWER, message, began=True)
        yield chunk


def connection_failure(error: BaseException, timeout: float) -> ProviderError:
    """What an exception of the connection means; its deepest cause knows best."""
    chain = list(causes(error))
    if any(isinstance(cause, TimeoutError) for cause in chain):
        return ProviderError(FailureKind.TIMEOUT, msg("no answer within {timeout:g} s", timeout=timeout))
    if any(type(cause).__name__ == "ClientPayloadError" for cause in chain):  # aiohttp need not be imported
        return broken_off()
    message = msg("cannot be reached ({reason})", reason=_reason(chain))
    return ProviderError(FailureKind.UNAVAILABLE, message, cause=Cause.UNREACHABLE)


def broken_off(any_event: bool = True) -> ProviderError:
    """The connection ended in the middle of an answer. Without `any_event` the reply was no stream at all."""
    if not any_event:
        return ProviderError(FailureKind.BAD_ANSWER, msg("the reply is not an event stream"), began=True)
    return ProviderError(FailureKind.UNAVAILABLE, msg("the answer broke off in the middle"), began=True)


def _reason(chain: list[BaseException]) -> str:
    """The system's word for an error number, since asyncio puts an address in its place.

    A TLS error has a number of its own: 1, which would be "operation not permitted".
    """
    import ssl

    for cause in reversed(chain):
        if isinstance(cause, ssl.SSLError):
            return os_reason(cause)
        if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
            return os.strerror(cause.errno).lower()
    return os_reason(chain[-1]) or type(chain[-1]).__name__
