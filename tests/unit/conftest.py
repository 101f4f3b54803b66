"""A unit test runs no server, and meets none that this host happens to run.

What it starts itself has a port of `free_port` or of the kernel's choice, and those are higher.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fakes.letters import with_letters
from fakes.memory_project import MemoryProject
from fakes.open_stacks import Seen, open_stack
from monitoring_stack import spec_of, topology_of

from techsapo_ops.stack.stack import Stack

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


@pytest.fixture
def project(tmp_path: Path) -> MemoryProject:
    return MemoryProject(tmp_path)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[MemoryProject]:
    """A stack in memory that runs, and has letters to back up."""
    with with_letters(tmp_path / "project") as project:
        yield project


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack with its monitoring, on an engine that says that nothing runs."""
    return open_stack(topology_of(spec_of({"project": "t"}), tmp_path), Seen())
