"""The network of another process: entered for good, or for one piece of work in a thread."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_NETWORK = 0x40000000


def enter(pid: int) -> None:
    """Let this thread, and those that it starts, be on the network of the process `pid`. Needs root."""
    with Path(f"/proc/{pid}/ns/net").open("rb") as network:
        if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), _NETWORK):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def within(pid: int, work: Callable[[], T]) -> T:
    """What `work` comes to in a thread on the network of the process `pid`."""

    def entered() -> T:
        enter(pid)
        return work()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(entered).result()
