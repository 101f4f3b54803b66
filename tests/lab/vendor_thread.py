"""A vendor's stand-in beside a test that is no coroutine."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from vendors import Asked, Vendor, vendor
from vendors.core import Wire
from vendors.wires import Chat


class Counting:
    """A vendor that counts who was asked what, by the question."""

    def __init__(self, seen: Vendor, loop: asyncio.AbstractEventLoop) -> None:
        self._seen = seen
        self._loop = loop
        self.url = seen.url

    def release(self) -> None:
        """Let those go who were kept waiting, and whoever comes."""
        self._loop.call_soon_threadsafe(self._seen.released.set)

    def asked(self, words: str) -> Counter[str]:
        """How often each model was asked about `words`: to answer, or to grade."""
        found = [a for a in list(self._seen.asked) if words in f"{a.system}{a.user}"]
        return Counter(f"{a.model} {'grades' if _grades(a.user) else 'answers'}" for a in found)

    @property
    def calls(self) -> list[Asked]:
        """All calls that were taken."""
        return list(self._seen.asked)

    @property
    def refused(self) -> int:
        """How many calls broke the vendor's rules."""
        return len(self._seen.refused)


def _grades(user: str) -> bool:
    return "answers" in user


@contextmanager
def counting_vendor(wire: Wire | None = None) -> Iterator[Counting]:
    """A vendor of chat completions, or by another `wire`, on an event loop of its own."""
    made: list[Counting] = []
    ready, over = threading.Event(), threading.Event()

    async def main() -> None:
        async with vendor(wire or Chat()) as seen:
            made.append(Counting(seen, asyncio.get_running_loop()))
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(60)
    try:
        yield made[0]
    finally:
        made[0].release()
        over.set()
        thread.join()
