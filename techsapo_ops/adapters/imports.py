"""Imports that wait for a first use, and of packages that may not be there."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import TypeVar, cast

from techsapo_ops.messages import msg

T = TypeVar("T")
_ONE_AT_A_TIME = threading.RLock()
OTEL_LACKING = msg("the packages of the extra `otel` are not installed")
OTEL_HINT = msg(
    "run pip install 'techsapo-ops[otel]', or in a checkout `.venv/bin/pip install --no-deps "
    "--require-hashes -r .ci/requirements-otel.lock`, then restart the app; the app's image "
    "already has these packages"
)


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


def has_otel() -> bool:
    """Whether spans can be sent from this Python. Nothing of it is imported but the names above it."""
    try:
        return find_spec("opentelemetry.sdk.trace") is not None and (
            find_spec("opentelemetry.exporter.otlp.proto.http") is not None
        )
    except ModuleNotFoundError:  # of a name above it
        return False
