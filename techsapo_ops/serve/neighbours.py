"""Which addresses may look at the inside without a key."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator, Sequence

from starlette.types import Scope

from techsapo_ops.serve.proxies import address_of, header_of
from techsapo_ops.spec.models.base import ATTACHED

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
