"""Imports that wait for a first use, in whichever thread that is."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TypeVar, cast

T = TypeVar("T")

_ONE_AT_A_TIME = threading.RLock()


def first_use(load: Callable[[], T]) -> T:
    """What `load`, which imports something large, returns; one thread at a time. Blocks: call it in a thread.

    Two threads that enter a package through different modules of it, which import each other, would wait
    for one another. Python then lets one go on with half a module (_DeadlockError in importlib._bootstrap),
    and the package stays broken for as long as the process lives.
    """
    with _ONE_AT_A_TIME:
        return load()


@contextmanager
def without(package: str) -> Iterator[None]:
    """Let what is imported within the block not find `package`, which it takes up only where it is there."""
    there = sys.modules.get(package)
    sys.modules[package] = cast("ModuleType", None)  # makes importing it raise ImportError
    try:
        yield
    finally:
        if there is None:
            del sys.modules[package]
        else:
            sys.modules[package] = there
