"""uvicorn's protocols with the connection itself within reach of our streams, answers sent in one piece, and
bounds on what a client may send and how long it may take.

ASGI has no word for "this client does not read: cut it off", and an answer that is ended politely keeps its
unsent bytes until a peer takes them that never will.

uvicorn hands the head of an answer to the kernel before its body. An instance that is killed between the two
leaves nginx with an answer begun, which it cannot ask of another instance any more.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from techsapo_ops.serve.crowd import PLACE, Place
from techsapo_ops.serve.door import (
    LINGER,
    LINGER_BYTES,
    LINGERING,
    PIPELINED,
    Door,
    head_late,
    head_too_large,
    last_answer,
    malformed,
)
from techsapo_ops.serve.problems import Problem

EXTENSION = "techsapo.connection"
"""Key of the asyncio transport in a scope's extensions."""
UNREAD_PONGS = 64 * 1024
"""Bytes of answers to pings that a client may leave unread."""

_quiet = logging.getLogger("techsapo.websocket")
_quiet.setLevel(logging.CRITICAL)
"""Our own access log tells of each connection and each error: uvicorn's lines have the client's raw path in
them, and take an answer that refuses the handshake for a mistake.
"""


class WholeAnswer:
    """The transport of one answer: its head waits for the body's first bytes, at most until the event loop's
    next turn, and both leave in one write.
    """

    __slots__ = ("_head", "_passed", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = None
        self._passed = False

    def write(self, data: bytes) -> None:
        """Keep the head; send it with what follows."""
        if self._passed:
            self._transport.write(data)
        elif self._head is None:
            self._head = data
            asyncio.get_running_loop().call_soon(self.flush)
        else:
            self._head += data
            self.flush()

    def flush(self) -> None:
        """Send the head now, where it still waits."""
        if self._head is not None:
            self._transport.write(self._head)
            self._head, self._passed = None, True

    def close(self) -> None:
        """Close once everything is sent."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        return self._transport.is_closing()


class _OutOfBounds(Exception):
    """Raised in a callback of the parser, which then stops."""


class HttpProtocol(HttpToolsProtocol):
    """HTTP/1.1, within the bounds of `door`.

    A timer runs only while a client keeps us waiting: most requests come in one piece and need none.
    """

    def __init__(self, *args: Any, door: Door | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _quiet
        self._door = door or Door()
        self._place: Place | None = None
        self._in_head = True
        """Whether the next bytes belong to a head."""
        self._raw = 0
        """Bytes that came while a head was open."""
        self._size = 0
        """Bytes of the head that the parser has told of."""
        self._between = 0
        """Bytes after a head that were no part of a body: trailers, and extensions of chunks."""
        self._unread = 0
        """Bytes of a body that came after its answer."""
        self._timer: asyncio.TimerHandle | None = None
        self._problem: Problem | None = None
        self._let_go = LINGER_BYTES
        self._elsewhere = False
        """Whether the connection is a WebSocket's now."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection, where there is a place for it."""
        super().connection_made(transport)
        try:
            self._place = self._door.crowd.connected(self._peer)
        except Problem as problem:
            self._refuse(problem)
        else:
            self._mind(opened=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection."""
        self._stop_timer()
        if self._place is not None:
            self._place.leave()
        if self._problem is not None:
            self._door.lingering -= 1
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes: not one more of a client that was refused."""
        if self._problem is not None:
            self._let_go -= len(data)
            if self._let_go < 0:
                self.transport.abort()
            return
        if self._in_head:
            self._raw += len(data)
        else:
            self._between += len(data)
        super().data_received(data)
        self._mind()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Refuse what the parser did not take."""
        beyond = self._size > self._door.head_bytes
        self._refuse(head_too_large(self._door.head_bytes) if beyond else malformed())

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment] # its TypedDict has no extensions of ours
        scope["extensions"] = {EXTENSION: self.transport, PLACE: self._place}

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        self._grow(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. One after the body is no header of the request, whose scope is in use by then."""
        if self._in_head:
            self._grow(len(name) + len(value) + 4)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Let the request be answered; its task starts in the next turn of the event loop."""
        self._in_head = False
        self._stop_timer()
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            answer: Any = WholeAnswer(self.transport)
            self.cycle.transport = answer
        if len(self.pipeline) > PIPELINED:
            raise _OutOfBounds

    def on_body(self, body: bytes) -> None:
        """Take a part of a body; after the answer, no more of it than a body may have."""
        self._between = 0
        if self.cycle is not None and self.cycle.response_complete:
            self._unread += len(body)
            if self._unread > self._door.max_body:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request's body; a head is next."""
        self._in_head, self._raw, self._size, self._between, self._unread = True, 0, 0, 0, 0
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """End an answer; what is left of a body that nobody read is not kept."""
        super().on_response_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self.cycle.body = bytearray()
        self._mind()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over."""
        self._elsewhere = True
        self._stop_timer()
        super().handle_websocket_upgrade()
        protocol = self.transport.get_protocol()
        if isinstance(protocol, WebSocketProtocol) and self._place is not None:
            protocol.take(self._place)

    @property
    def _peer(self) -> str:
        return str((self.client or ("", 0))[0])

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._door.head_bytes:
            raise _OutOfBounds

    def _mind(self, *, opened: bool = False) -> None:
        """Bound what the client has begun, or is to begin on a connection that it just `opened`."""
        if self._problem is not None or self._elsewhere or self.transport.is_closing():
            return
        if (self._raw if self._in_head else self._between) > self._door.head_bytes:
            self._refuse(head_too_large(self._door.head_bytes))
        elif self._timer is not None:
            return
        elif self._in_head:
            if not self._answering and (self._raw or opened):
                self._timer = self.loop.call_later(self._door.head_seconds, self._head_late)
        elif not self.pipeline:
            self._timer = self.loop.call_later(self._door.body_seconds, self._body_late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_late(self) -> None:
        self._timer = None
        if self._raw == 0:
            self.transport.close()
        else:
            self._refuse(head_late(self._door.head_seconds))

    def _body_late(self) -> None:
        self._timer = None
        self._door.refused("timeout", self._peer)
        self.transport.abort()

    def _refuse(self, problem: Problem) -> None:
        """Answer with `problem` and end the connection; an answer under way is cut off, not mixed up."""
        self._problem = problem
        self._stop_timer()
        self._unset_keepalive_if_required()
        self._door.refused(problem.code, self._peer)
        self._door.lingering += 1
        if self._answering:
            self.transport.abort()
            return
        self.transport.write(last_answer(problem))
        if self._door.lingering > LINGERING or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER, self.transport.abort)

    def shutdown(self) -> None:
        """Close, after the answer under way."""
        if self.cycle is not None:
            answer: Any = self.cycle.transport
            answer.flush()
        super().shutdown()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """WebSocket."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = self.conn.logger = _quiet
        self._place: Place | None = None

    def take(self, place: Place) -> None:
        """Have `place` for as long as the connection lasts."""
        self._place = place
        if hasattr(self, "scope"):  # not where the handshake was refused
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[PLACE] = place

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection."""
        if self._place is not None:
            self._place.leave()
        super().connection_lost(exc)

    def handle_ping(self) -> None:
        """Answer a ping, unless its sender reads no answers."""
        if self.transport.get_write_buffer_size() > UNREAD_PONGS:
            self.transport.abort()
            return
        super().handle_ping()

    def handle_connect(self, event: Any) -> None:
        """Begin a connection; the application starts in the next turn of the event loop."""
        super().handle_connect(event)
        if hasattr(self, "scope"):  # not where the handshake was refused
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self.transport
