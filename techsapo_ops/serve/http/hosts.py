"""Under which names the app answers, and from which pages a WebSocket may be opened.

A page of evil.example whose name is made to lead to 127.0.0.1 (DNS rebinding) is of the same origin as the
app for its browser, and needs neither login nor key where the app trusts this host. The name that such a
request is sent to gives it away: no browser lets a page change it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import structlog
from starlette.requests import Request
from starlette.types import Receive, Scope

from techsapo_ops.messages import msg
from techsapo_ops.serve.http.problems import Code, Problem
from techsapo_ops.serve.http.proxies import Proxies, header_of
from techsapo_ops.spec.front_door import SETTING

log = structlog.get_logger()

REFUSED: Code = "misdirected"
"""The code of the problem of requests for another name, and what takes the place of their route."""
_NAME = re.compile(r"(?=.{1,254}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.ASCII)
"""A registered name as DNS and containers have them; RFC 3986 would allow percent signs and more."""
_PARTS = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:]*)(?::(?P<port>[0-9]{0,5}))?", re.ASCII)
_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#@]+)", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK = frozenset({"localhost", "ip6-localhost", "ip6-loopback"})


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


@lru_cache(maxsize=32)  # nearly every request is for one of a few names
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


@lru_cache(maxsize=32)
def _address(text: str) -> str | None:
    """The IP address that `text` is, in its usual form. Zones belong to one host and are none."""
    if "%" in text:
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class NamedRoute:
    """What the access log calls a route that FastAPI does not know."""

    path: str


class HostNames:
    """The names that are ours: loopback names, every IP address, and those that are told.

    `*.example.com` stands for every name below example.com, not for example.com itself.
    """

    def __init__(self, configured: Iterable[str]) -> None:
        names = [name.lower() for name in configured]
        self._names = frozenset(name for name in names if not name.startswith("*."))
        self._endings = tuple({".localhost", *(name[1:] for name in names if name.startswith("*."))})

    def __contains__(self, asked: Authority) -> bool:
        """Whether `asked` is ours, whatever its port."""
        host = asked.host
        return asked.is_address or host in _LOOPBACK or host in self._names or host.endswith(self._endings)

    async def check(self, scope: Scope, receive: Receive) -> None:
        """Pass a request for one of them, HTTP and WebSocket alike. Raises Problem, before key and body.

        421 is the status for it (RFC 9110, 15.5.20): this server can't answer for that name. A malformed Host
        is answered 400 (RFC 9112, 3.2).
        """
        if (problem := self._problem(scope)) is not None:
            scope["route"] = NamedRoute(REFUSED)
            if scope["type"] == "websocket":
                await receive()  # websocket.connect
            scope["state"]["headers"] = {"Connection": "close"}  # the body is not read
            raise problem

    def _problem(self, scope: Scope) -> Problem | None:
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if not given and scope.get("http_version") == "1.0":
            return None  # a probe of a load balancer, never a browser
        asked = authority_of(given[0]) if len(given) == 1 else None
        if asked is None:
            return Problem(
                400, "invalid_request", msg("the request needs one Host header: a name or an address")
            )
        if asked in self:
            return None
        log.warning("A client used a host name that the spec does not list", host=asked.host, refused=REFUSED)
        detail = msg(
            "{host} is not a name of this service; add it to {setting} in techsapo.yaml",
            host=asked.host,
            setting=SETTING,
        )
        return Problem(421, REFUSED, detail, host=asked.host, setting=SETTING)


class SameOrigin:
    """Keeps other sites' pages from opening a WebSocket: browsers do not ask us, they only tell."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies

    async def check(self, request: Request) -> None:
        """Pass what no browser sent, and our own pages. Raises Problem for others."""
        given = request.headers.getlist("origin")
        if not given:
            return
        origin = origin_of(given[0]) if len(given) == 1 else None
        if origin is None and given != ["null"]:
            raise Problem(400, "invalid_request", msg("the Origin header is malformed"))
        own = await self._own(request.scope)
        if origin is not None and own is not None and origin.authority.host == own.authority.host:
            same_scheme = origin.scheme == "https" or (origin.scheme == "http" and not own.tls)
            if same_scheme and origin.port in own.ports(origin.usual_port):
                return
        raise Problem(403, "forbidden", msg("only this server's own pages may do this"))

    async def _own(self, scope: Scope) -> _Own | None:
        """How the browser reached us; a proxy's word counts where the proxy is believed."""
        believed = await self._proxies.believe(scope)
        forwarded = header_of(scope, b"x-forwarded-host") if believed else None
        authority = authority_of(forwarded or header_of(scope, b"host") or "")
        if authority is None:
            return None
        port = (header_of(scope, b"x-forwarded-port") or "") if believed else ""
        return _Own(
            authority,
            believed and header_of(scope, b"x-forwarded-proto") == "https",
            int(port) if port.isascii() and port.isdigit() and len(port) < 6 else None,
        )


@dataclass(frozen=True, slots=True)
class _Own:
    authority: Authority
    tls: bool
    forwarded_port: int | None

    def ports(self, usual: int | None) -> set[int | None]:
        """The ports that an own page may be from, whose scheme's own port is `usual`.

        A browser leaves that one out of Host. A proxy that leaves out any tells it apart. Plain HTTP does not
        rule out a page by HTTPS: TLS may end before the proxy that we know.
        """
        if self.authority.port is not None:
            return {self.authority.port}
        return {usual, self.forwarded_port} - {None}
