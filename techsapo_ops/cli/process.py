"""This process: where root searches programs, what its start is spared, and the signals that end a run."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""As Debian's sudo has it (secure_path)."""


def fix_search_path() -> None:
    """As root, search ROOT_PATH, in this process and in all that it starts.

    The PATH of a shell may begin with a folder of somebody else's, whose programs root would run.
    """
    if os.geteuid() == 0:
        os.environ["PATH"] = ROOT_PATH


def spare() -> None:
    """Spare this process what takes an eighth of a command's time and is of no use to it."""
    # Of what is imported nothing is ever garbage, and every 700 objects Python would look for some.
    gc.set_threshold(50_000)
    # httpx imports a command line of its own, with click and Pygments, unless there is none to import.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]


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
