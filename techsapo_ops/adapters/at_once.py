"""Several questions asked at the same time, none of which waits for another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from techsapo_ops.messages import msg

T = TypeVar("T")


def at_once(asked: Mapping[str, Callable[[], T]], seconds: float) -> dict[str, T | Exception]:
    """By name what each of `asked` returned, or raised; TimeoutError where that takes longer than `seconds`.

    In daemon threads, not an executor: one that is stuck in the kernel (statvfs on a dead network share) must
    neither hold the others nor the end of the process.
    """
    found: dict[str, T | Exception] = {}

    def ask(name: str, question: Callable[[], T]) -> None:
        try:
            found[name] = question()
        except Exception as error:  # noqa: BLE001 - handed to who asked
            found[name] = error

    threads = [
        threading.Thread(target=ask, args=(name, question), name=f"asks {name}", daemon=True)
        for name, question in asked.items()
    ]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0.0))
    late = TimeoutError(msg("did not answer within {timeout:g} s", timeout=seconds))
    return {name: found.get(name, late) for name in asked}
