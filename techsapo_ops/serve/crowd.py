"""How many connections and streams are open, in all and by whose they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from techsapo_ops.messages import msg
from techsapo_ops.serve.problems import Problem
from techsapo_ops.serve.proxies import Proxies
from techsapo_ops.spec.models.app import Limits

RETRY_AFTER = 5.0
"""Seconds after which a client that has too much open may try again."""
CONNECTIONS = 4096
"""Connections at once to one instance, metrics streams apart."""
PLACE = "techsapo.place"
"""Key of a connection's Place in a scope's extensions."""


class Place:
    """One connection, or one request that a proxy handed on; it may turn into a stream. It leaves once."""

    __slots__ = ("_client", "_connection", "_crowd", "_streams", "gone")

    def __init__(self, crowd: Crowd, client: str | None, connection: bool) -> None:
        self._crowd = crowd
        self._client = client
        self._connection = connection
        self._streams = False
        self.gone = False
        crowd.count(client, 1 if connection else 0, 1)

    def to_stream(self) -> None:
        """Count it as a stream from now on. Raises Problem where its client has too many of those."""
        if self._streams or self.gone:
            return
        self._crowd.stream(self._client)
        self._streams = True
        self._crowd.count(self._client, -1 if self._connection else 0, -1)

    def leave(self) -> None:
        """It is over."""
        if self.gone:
            return
        self.gone = True
        if self._streams:
            self._crowd.unstream(self._client)
        else:
            self._crowd.count(self._client, -1 if self._connection else 0, -1)


class Crowd:
    """Connections in all, and connections and streams by client, each within `limits`.

    A connection from a proxy that is believed (`proxied`) is no client's: the requests on it are counted by
    the address that the proxy names.
    """

    def __init__(self, limits: Limits, proxied: Callable[[str], bool] = lambda _: False) -> None:
        self.limits = limits
        self._proxied = proxied
        self._connections = 0
        self._clients: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()

    def connected(self, peer: str) -> Place:
        """A connection from `peer`. Raises Problem where there are too many."""
        if self._connections >= CONNECTIONS:
            raise Problem(
                503,
                "overloaded",
                msg("{connections} connections are open already", connections=self._connections),
                retry_after=RETRY_AFTER,
            )
        return self._place(None if self._proxied(peer) else peer, connection=True)

    def requested(self, client: str) -> Place:
        """A request of `client` through a proxy. Raises Problem where it has too many."""
        return self._place(client, connection=False)

    def count(self, client: str | None, connections: int, of_client: int) -> None:
        """Add to what is open."""
        self._connections += connections
        if client is not None:
            self._clients[client] += of_client
            if not self._clients[client]:
                del self._clients[client]

    def stream(self, client: str | None) -> None:
        """Count a stream to `client`. Raises Problem where it has too many."""
        if client is None:
            return
        most = self.limits.client_connections
        if self._streams[client] >= most:
            raise Problem(
                429,
                "too_many_connections",
                msg("{most} streams to your address are open already", most=most),
                retry_after=RETRY_AFTER,
            )
        self._streams[client] += 1

    def unstream(self, client: str | None) -> None:
        """A stream to `client` is over."""
        if client is not None:
            self._streams[client] -= 1
            if not self._streams[client]:
                del self._streams[client]

    def open(self) -> tuple[int, int, int]:
        """Connections, clients and clients with streams: what is remembered now."""
        return self._connections, len(self._clients), len(self._streams)

    def _place(self, client: str | None, *, connection: bool) -> Place:
        most = self.limits.client_connections
        if client is not None and self._clients.get(client, 0) >= most:
            raise Problem(
                429,
                "too_many_connections",
                msg("{most} connections from your address are open already", most=most),
                retry_after=RETRY_AFTER,
            )
        return Place(self, client, connection)


class ByClient:
    """Lets a request that a believed proxy handed on take a place of the client that the proxy names."""

    def __init__(self, app: ASGIApp, crowd: Crowd, proxies: Proxies) -> None:
        self._app = app
        self._crowd = crowd
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        client = scope["state"]["client"] = await self._proxies.client(scope)
        if client == str((scope.get("client") or ("", 0))[0]):
            await self._app(scope, receive, send)  # the connection itself has a place
            return
        try:
            place = self._crowd.requested(client)
        except Problem as problem:
            if scope["type"] == "websocket":
                await receive()  # websocket.connect
            await problem.answer(scope)(scope, receive, send)
            return
        scope["state"]["place"] = place
        try:
            await self._app(scope, receive, send)
        finally:
            place.leave()


def to_stream(scope: Scope) -> None:
    """Count the connection and the request of `scope` as a stream. Raises Problem for one too many."""
    for place in ((scope.get("extensions") or {}).get(PLACE), scope["state"].get("place")):
        if place is not None:
            place.to_stream()
