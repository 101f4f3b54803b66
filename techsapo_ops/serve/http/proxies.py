"""Where a request comes from, through proxies whose word is believed, and who needs no key to look inside."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Iterator, Sequence

import structlog
from starlette.types import Scope

from techsapo_ops.spec.models.base import ATTACHED

log = structlog.get_logger()

RESOLVE_EVERY = 10.0
"""Seconds for which the addresses of a proxy's name are believed."""


class Proxies:
    """The addresses whose X-Forwarded-For is believed; names are looked up now and then."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._fixed = frozenset(n for n in names if address_of(n) is not None)
        self._names = tuple(n for n in names if n not in self._fixed)
        self._resolved: frozenset[str] = frozenset()
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
            addresses: set[str] = set()
            for name in self._names:
                try:
                    entries = await asyncio.get_running_loop().getaddrinfo(
                        name, None, type=socket.SOCK_STREAM
                    )
                except OSError as error:
                    log.warning("A proxy's name has no address", name=name, error=str(error))
                    continue
                addresses.update(str(entry[4][0]) for entry in entries)
            self._resolved = frozenset(addresses)
        return peer in self._resolved


_BY_A_PROXY = (b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"forwarded", b"via")
"""What proxies add. One that adds nothing can't be told from a program of this host."""
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Neighbours:
    """This host, and `networks` beside it."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks: tuple[_Network, ...] = (
            *(ipaddress.ip_network(network) for network in networks if network != ATTACHED),
            *(attached() if ATTACHED in networks else ()),
        )

    def has(self, scope: Scope) -> bool:
        """Whether a request comes from one, and directly: what came through a proxy is the proxy's word."""
        peer = _plain(str((scope.get("client") or ("", 0))[0]))
        if peer is None or any(header_of(scope, name) is not None for name in _BY_A_PROXY):
            return False
        if peer.is_loopback:
            return True
        # From this host to its own outer address.
        if peer == _plain(str((scope.get("server") or ("", 0))[0])):
            return True
        return any(peer in network for network in self._networks)


def attached() -> Iterator[_Network]:
    """The networks that this host, or this container, is in by its addresses."""
    import psutil

    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            if each.family not in {socket.AF_INET, socket.AF_INET6} or not each.netmask:
                continue
            address = ipaddress.ip_address(each.address.partition("%")[0])
            if not address.is_loopback and not address.is_link_local:
                length = bin(int(ipaddress.ip_address(each.netmask))).count("1")
                yield ipaddress.ip_network(f"{address}/{length}", strict=False)


def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    address = address_of(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that `text` is, or None."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def header_of(scope: Scope, name: bytes) -> str | None:
    """The first header of that (lower-case) name."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None
