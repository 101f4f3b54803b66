"""Where a request comes from, through proxies whose word is believed."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time

import structlog
from starlette.types import Scope

log = structlog.get_logger()

RESOLVE_EVERY = 10.0
"""Seconds for which the addresses of a proxy's name are believed."""


class Proxies:
    """The addresses whose X-Forwarded-For is believed; names are looked up now and then."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._fixed = frozenset(n for n in names if address_of(n) is not None)
        self._names = tuple(n for n in names if n not in self._fixed)
        self._found: frozenset[str] = frozenset()
        self._until = 0.0

    async def client(self, scope: Scope) -> str:
        """The address that a request comes from, as the last believed proxy saw it."""
        peer = str((scope.get("client") or ("", 0))[0])
        forwarded = header_of(scope, b"x-forwarded-for")
        if forwarded is None or not await self._believed(peer):
            return peer
        last = forwarded.rpartition(",")[2].strip()
        return last if address_of(last) is not None else peer

    async def believe(self, scope: Scope) -> bool:
        """Whether a request comes through a proxy whose word is believed."""
        return await self._believed(str((scope.get("client") or ("", 0))[0]))

    async def _believed(self, peer: str) -> bool:
        if peer in self._fixed:
            return True
        if self._names and time.monotonic() >= self._until:
            self._until = time.monotonic() + RESOLVE_EVERY
            found: set[str] = set()
            for name in self._names:
                try:
                    entries = await asyncio.get_running_loop().getaddrinfo(
                        name, None, type=socket.SOCK_STREAM
                    )
                except OSError as error:
                    log.warning("A proxy's name has no address", name=name, error=str(error))
                    continue
                found.update(str(entry[4][0]) for entry in entries)
            self._found = frozenset(found)
        return peer in self._found


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that `text` is, or None."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def header_of(scope: Scope, name: bytes) -> str | None:
    """The first header of that (lower-case) name."""
    return next((v.decode("latin-1") for k, v in scope["headers"] if k == name), None)
