"""A unit test runs no server, and meets none that this host happens to run.

What it starts itself has a port of `free_port` or of the kernel's choice, and those are higher.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

OWN = 20_000
"""The first port of what tests start."""


@pytest.fixture(scope="session", autouse=True)
def _no_server_of_this_host() -> Iterator[None]:
    """Nobody answers on a well-known port, and nobody seems to listen there."""
    connect, connect_ex, connections = socket.socket.connect, socket.socket.connect_ex, psutil.net_connections

    def foreign(address: Any) -> bool:
        return isinstance(address, tuple) and len(address) > 1 and address[1] < OWN

    def refused(self: socket.socket, address: Any) -> None:
        if foreign(address):
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        connect(self, address)

    def refused_ex(self: socket.socket, address: Any) -> int:
        return errno.ECONNREFUSED if foreign(address) else connect_ex(self, address)

    def own(kind: str = "inet") -> list[Any]:
        return [c for c in connections(kind) if c.status != psutil.CONN_LISTEN or not foreign(c.laddr)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refused)
        patch.setattr(socket.socket, "connect_ex", refused_ex)
        patch.setattr(psutil, "net_connections", own)
        yield
