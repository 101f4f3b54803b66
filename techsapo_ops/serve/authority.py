"""Host and Origin headers, taken apart strictly: what does not fit the grammar is nothing."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_NAME = re.compile(r"(?=.{1,254}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.ASCII)
"""A registered name as DNS and containers have them; RFC 3986 would allow percent signs and more."""
_PARTS = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:]*)(?::(?P<port>[0-9]{0,5}))?", re.ASCII)
_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#@]+)", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Authority:
    """A host and the port where one is given. The host is in lower case, without brackets and final dot."""

    host: str
    port: int | None = None

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address."""
        return _address(self.host) is not None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a page is from."""

    scheme: str
    authority: Authority

    @property
    def usual_port(self) -> int | None:
        """The port that its scheme has where none is named."""
        return _DEFAULT_PORTS.get(self.scheme)

    @property
    def port(self) -> int | None:
        """Its port, named or not."""
        return self.authority.port or self.usual_port


def authority_of(text: str) -> Authority | None:
    """What a Host header says; None for a malformed one."""
    parts = _PARTS.fullmatch(text.strip().lower())
    if parts is None or not parts["host"]:
        return None
    port = int(parts["port"]) if parts["port"] else None
    if port is not None and not 1 <= port <= 65535:
        return None
    host = parts["host"]
    if host.startswith("["):
        address = _address(host[1:-1])
        return Authority(address, port) if address is not None and ":" in address else None
    return Authority(host.removesuffix("."), port) if _NAME.fullmatch(host) else None


def origin_of(text: str) -> Origin | None:
    """What an Origin header says; None for a malformed one, and for `null`."""
    parts = _ORIGIN.fullmatch(text.strip().lower())
    authority = authority_of(parts["authority"]) if parts is not None else None
    return Origin(parts["scheme"], authority) if parts is not None and authority is not None else None


def _address(text: str) -> str | None:
    """The IP address that `text` is, in its usual form. Zones belong to one host and are none."""
    if "%" in text:
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
