"""Runs the app in one process, and stops it without losing a request."""

from __future__ import annotations

import asyncio
import errno
import gc
import math
import resource
import signal
import socket
import sys
import time
from importlib.util import find_spec
from types import FrameType
from typing import Any

import structlog
import uvicorn

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.held import port_holder
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.serve.app import App
from techsapo_ops.serve.http.transports import HttpProtocol, WebSocketProtocol
from techsapo_ops.serve.instance import Lifecycle
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.stack.address import listen_host
from techsapo_ops.wallbounce.start import refused_address

log = structlog.get_logger()

KEEP_ALIVE = 75
"""Seconds an idle connection stays open: longer than nginx keeps its own, so that nginx closes first."""
CONNECTIONS = 12_000
"""Connections at once, streams included, from which on requests are answered 503."""
LAST_REQUESTS = 0.5
"""Seconds in which connections that are open when we stop listening may still send their request."""
TURN = 0.02
COLLECT = (100_000, 20, 100)
"""The garbage collector's thresholds (gc.set_threshold). At Python's own, with 200 questions under way, it
takes a third of the processor and holds everybody up for 0.3 s at a time. An analysis leaves nothing for it.
"""
SWITCH = 0.001
"""Seconds after which another thread gets its turn (sys.setswitchinterval). With Python's own 5 ms a scrape,
which is written in a thread, would hold up the event loop several times for one request.
"""
WEBSOCKET_PING = 30.0
"""Seconds between pings, and until a peer that answers none is cut off."""
WEBSOCKET_MESSAGE = 4096
"""Most bytes of a client's message: nobody has anything to tell us there."""
UNREAD = 60_000
"""Milliseconds after which the kernel gives up a peer that acknowledges nothing (tcp(7))."""


class DrainingServer(uvicorn.Server):
    """A uvicorn server that drains: uvicorn alone refuses connections as soon as a signal stops it.

    The first SIGTERM or SIGINT makes /ping answer 503 while requests are still served for `drain` seconds;
    then it stops listening and lets the answers under way finish. The second one skips the waiting, the
    third one ends at once.
    """

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, drain: float) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._drain = drain
        self._signal: str | None = None
        self._stop_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Begin to drain, or speed up. The signal is not raised again at the end: draining is success."""
        if self.should_exit:
            self.force_exit = True
        elif self._lifecycle.draining:
            self.should_exit = True
        else:
            self._lifecycle.draining = True
            self._signal = signal.Signals(sig).name

    async def on_tick(self, counter: int) -> bool:
        """End the drain when its time is over."""
        if self._stop_at is None and self._signal is not None:
            # Not in handle_exit: a signal may come in the middle of another line.
            self._stop_at = time.monotonic() + self._drain
            log.info("Draining", signal=self._signal, seconds=self._drain)
            for end in self._lifecycle.at_drain:
                end()
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, serve whoever has connected already, then close as uvicorn does.

        Closing a listening socket resets the connections that the kernel has accepted and we have not; a
        duplicate keeps them, so that they can be taken over.
        """
        spares = [listener.dup() for listener in sockets or []]
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        await asyncio.sleep(0)  # uvloop closes its own descriptor in the next turn
        for connection in [c for spare in spares for c in _accepted(spare)]:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        for _ in range(int(LAST_REQUESTS / TURN)):
            if not self.server_state.connections or self.force_exit:
                break
            await asyncio.sleep(TURN)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


def _accepted(listener: socket.socket) -> list[socket.socket]:
    """Take every connection that waits at `listener`, and close it."""
    accepted = []
    listener.setblocking(False)
    with listener:
        while True:
            try:
                accepted.append(listener.accept()[0])
            except BlockingIOError:
                return accepted


def run(app: App, host: str, port: int) -> None:
    """Serve until a signal, then drain and return. Raises OpsError when the port can't be had."""
    _raise_open_files()
    gc.set_threshold(*COLLECT)
    sys.setswitchinterval(SWITCH)
    app.lifecycle.at_warm.append(gc.freeze)
    listener = _listen(host, port)
    spec = app.options.spec
    config = uvicorn.Config(
        app.asgi,
        http=HttpProtocol,
        loop="uvloop" if find_spec("uvloop") else "asyncio",
        ws=WebSocketProtocol,
        ws_max_size=WEBSOCKET_MESSAGE,
        ws_ping_interval=WEBSOCKET_PING,
        ws_ping_timeout=WEBSOCKET_PING,
        ws_per_message_deflate=False,  # 44 KB a client more, for messages of one kilobyte
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(seconds(spec.app.limits.request_timeout)),
    )
    server = DrainingServer(config, app.lifecycle, seconds(spec.app.drain))
    app.metrics.gauge("techsapo_active_connections", lambda: len(server.server_state.connections))
    log.info("Serving", url=f"http://{host}:{listener.getsockname()[1]}", simulated=app.registry.simulated)
    server.run(sockets=[listener])


def _raise_open_files() -> None:
    """Let this process have as many connections open as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _listen(host: str, port: int) -> socket.socket:
    address = listen_host(host)
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD)
        listener.bind((address, port))
        # Taken for good only now: two sockets may be bound to one port as long as neither listens.
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise _refused(host, port, error) from None
    return listener


def _refused(host: str, port: int, error: OSError) -> OpsError:
    where = msg("cannot listen on {host}:{port}", host=host, port=port)
    if error.errno == errno.EADDRINUSE:
        holder = port_holder(port)
        return OpsError(
            msg(
                "{where}: the port is taken by {holder}", where=where, holder=holder or msg("another process")
            ),
            msg(
                "stop that process, or choose another port: with --port, or in the spec with `app.port` or "
                "the port under `app.instances`"
            ),
        )
    return refused_address(Address(host, port), error)
