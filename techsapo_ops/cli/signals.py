"""Signals that end a run, told as KeyboardInterrupt so that `finally` and `with` clean up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _ignore(*_: Any) -> None:
    """In place of SIG_IGN, for which Python prints an error where two signals came at once."""


def _interrupt_once(*_: Any) -> None:
    for number in _ENDING:
        signal.signal(number, _ignore)
    raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """Take SIGTERM and SIGHUP, and a SIGINT that was ignored, as Ctrl-C while the block runs."""
    before = {number: signal.signal(number, _interrupt) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupted_once() -> None:
    """From here on take the first such signal as Ctrl-C and ignore others, for a process that ends by it.

    A second one would cut short how it ends, in whatever state that is.
    """
    for number in _ENDING:
        signal.signal(number, _interrupt_once)
