"""uvicorn's protocols with the connection itself within reach of our streams, and answers sent in one piece.

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

EXTENSION = "techsapo.connection"
"""Key of the asyncio transport in a scope's extensions."""

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


class HttpProtocol(HttpToolsProtocol):
    """HTTP/1.1."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment] # its TypedDict has no extensions of ours
        scope["extensions"] = {EXTENSION: self.transport}

    def on_headers_complete(self) -> None:
        """Let the request be answered; its task starts in the next turn of the event loop."""
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            answer: Any = WholeAnswer(self.transport)
            self.cycle.transport = answer

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

    def handle_connect(self, event: Any) -> None:
        """Begin a connection; the application starts in the next turn of the event loop."""
        super().handle_connect(event)
        if hasattr(self, "scope"):  # not where the handshake was refused
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self.transport
