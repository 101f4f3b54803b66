"""uvicorn's protocols with three things that it lacks.

- The connection within reach of our streams. ASGI has no word for "this client does not read: cut it off",
  and an answer that is ended politely keeps its unsent bytes for a peer that never takes them.
- Answers in one write. Between a head and its body an instance could be killed, and nginx can't ask another
  instance for an answer that has begun.
- Bounds on bytes and time of a request. uvicorn bounds connections and idle time alone.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

EXTENSION = "techsapo.connection"
"""Key of the asyncio transport in a scope's extensions."""
HEAD_BYTES = 64 * 1024
"""Most bytes of a head that does not end: twice what nginx passes on, whose own bound is 4 x 8 KB."""
REQUEST_SECONDS = 30.0
"""Seconds in which a whole request must arrive, from the connection or its first byte on. A browser that
opens a connection in advance and does not use it that long opens another.
"""
UNREAD_PONGS = 64 * 1024
"""Bytes of answers to pings that a client may leave unread."""

_quiet = logging.getLogger("techsapo.connections")
"""Our access log has every request: uvicorn's lines have raw paths, and call refused WebSockets mistakes."""
_quiet.setLevel(logging.CRITICAL)


class WholeAnswer:
    """The transport of one answer: its head waits for the body's first bytes, at most until the event loop's
    next turn, and both leave in one write.
    """

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = b""
        """What waits; nothing before the answer begins, None once it goes on."""

    def write(self, data: bytes) -> None:
        """Keep the head; send it with what follows."""
        if self._head == b"":
            self._head = data
            asyncio.get_running_loop().call_soon(self.flush)
        else:
            self.flush(data)

    def flush(self, data: bytes = b"") -> None:
        """Send `data`, after a head that still waits."""
        if self._head or data:
            self._transport.write((self._head or b"") + data)
            self._head = None

    def close(self) -> None:
        """Close once everything is sent."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        return self._transport.is_closing()


class HttpProtocol(HttpToolsProtocol):
    """HTTP/1.1, whose requests arrive within HEAD_BYTES and `REQUEST_SECONDS`, or the connection ends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _quiet
        self._in_head = True
        """Whether a header that comes now belongs to the head; else it is a trailer."""
        self._pending = 0
        """Bytes since the last end of a head or piece of a body."""
        self._arrived = False
        """Whether what came last was the end of a request."""
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection, and wait for its first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, within the bounds."""
        self._pending += len(data)
        self._arrived = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._pending > HEAD_BYTES:
            self.send_400_response("The request line and headers are too large.")
        elif not self._arrived and self._deadline is None:
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Refuse the request and close; an answer under way is cut off, not mixed up with this one."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()
        else:
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head, self._arrived = True, False
        extensions: dict[str, Any] = {EXTENSION: self.transport}
        self.scope["extensions"] = extensions

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. A trailer is none of the request, whose scope is in use by then."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Let the request be answered; its task starts in the next turn of the event loop."""
        self._in_head, self._pending = False, 0
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            self.cycle.transport = cast("asyncio.Transport", WholeAnswer(self.transport))

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._pending = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._arrived, self._pending = True, 0
        self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """End an answer; what is left of a body that nobody read is not kept."""
        super().on_response_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self.cycle.body = bytearray()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over."""
        self._arrived = True
        self._stop_waiting()
        super().handle_websocket_upgrade()

    def shutdown(self) -> None:
        """Close, after the answer under way."""
        if self.cycle is not None:
            answer: Any = self.cycle.transport
            answer.flush()
        super().shutdown()

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._late)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        answering = self.cycle is not None and not self.cycle.response_complete
        if self.pipeline or (answering and not self.cycle.more_body):
            self._wait()  # the next request may wait for the answer under way
        else:
            self.transport.abort()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """WebSocket."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = self.conn.logger = _quiet

    def handle_ping(self) -> None:
        """Answer a ping, unless its sender reads no answers."""
        if self.transport.get_write_buffer_size() > UNREAD_PONGS:
            self.transport.abort()
        else:
            super().handle_ping()

    def handle_connect(self, event: Any) -> None:
        """Begin a connection; the application starts in the next turn of the event loop."""
        super().handle_connect(event)
        if hasattr(self, "scope"):  # not where the handshake was refused
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self.transport
