"""Asking a server as clients do: one after the other, and many at once; what that took."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import aiohttp
import psutil

from tests.bench.served import Running
from tests.bench.upstream import DELAY

ROUNDS, CALLS = 2, 6
"""Rounds of upstream calls in an analysis, and calls in both."""
STREAM = {"Accept": "text/event-stream"}


@dataclass(frozen=True)
class Ask:
    """A question: its path and its body by number, further headers, and the key of the answer that must hold
    something true.
    """

    body: Callable[[int], Mapping[str, Any]]
    path: str = "/api/v1/generate"
    headers: Mapping[str, str] | None = None
    answered: str = "accepted"
    ready: str = "/ping"
    """What is asked until the server is ready."""


@dataclass(frozen=True)
class Load:
    """How much is asked: `count` questions by so many at once, during which the metrics are read `scrapes`
    times, and before that one after the other so many `alone`.
    """

    ask: Ask
    concurrent: int
    count: int
    alone: int
    scrapes: int = 0

    def shortened(self, share: float) -> Load:
        """The same load with only that `share` of the questions."""
        most = max(self.concurrent, int(share * self.count))
        return replace(self, count=most, scrapes=int(share * self.scrapes))


@dataclass(frozen=True)
class Measured:
    """Of one server: answers a second, seconds of its processor for one, seconds of a lone one, and bytes of
    a question and of its reply.
    """

    rate: float
    processor: float
    alone: float
    question: float
    reply: float

    @property
    def added(self) -> float:
        """Seconds that an analysis alone took beyond the vendors' time."""
        return self.alone - ROUNDS * DELAY


class Client:
    """Asks one server questions that no one has asked before."""

    number = 0

    def __init__(self, running: Running, session: aiohttp.ClientSession) -> None:
        self.running = running
        self._session = session

    async def ask(self, ask: Ask) -> tuple[float, int, int]:
        """Seconds until the answer was read, bytes of question and reply."""
        Client.number += 1
        body = json.dumps(ask.body(Client.number), ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", **self.running.headers, **(ask.headers or {})}
        began = time.perf_counter()
        async with self._session.post(ask.path, data=body, headers=headers) as response:
            raw = await response.read()
        seconds = time.perf_counter() - began
        assert response.status == 200, raw.decode()
        # The last event of a stream is the whole answer.
        assert json.loads(raw.rpartition(b"data: ")[2])[ask.answered], raw.decode()
        return seconds, len(body), len(raw)

    async def get(self, path: str) -> float:
        """Seconds of a GET without a key."""
        began = time.perf_counter()
        async with self._session.get(path) as response:
            await response.read()
        assert response.status == 200, path
        return time.perf_counter() - began

    async def repeat(self, ask: Ask, end: float) -> list[float]:
        """Ask one question after the other until the clock shows `end`; the seconds of each."""
        asked = []
        while time.perf_counter() < end:
            asked.append((await self.ask(ask))[0])
        return asked


@asynccontextmanager
async def client(running: Running) -> AsyncIterator[Client]:
    """A client with as many connections as it takes."""
    url, connector = f"http://127.0.0.1:{running.port}", aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector) as session:
        yield Client(running, session)


async def ready(running: Running, path: str = "/ping") -> float:
    """Wait until a GET is answered with 200; seconds since the process was started."""
    process = psutil.Process(running.process.pid)
    async with client(running) as asking:
        while True:
            try:
                await asking.get(path)
            except (aiohttp.ClientError, AssertionError):
                assert process.status() != psutil.STATUS_ZOMBIE, "the server did not start"
                await asyncio.sleep(0.002)
            else:
                return time.time() - process.create_time()


def measured(running: Running, load: Load) -> Measured:
    """Put `load` on a server that may not be ready yet."""
    return asyncio.run(_measured(running, load))


async def _measured(running: Running, load: Load) -> Measured:
    await ready(running, load.ask.ready)
    async with client(running) as asking:
        await asyncio.gather(*(asking.ask(load.ask) for _ in range(8)))  # opens connections, fills caches
        alone = [await asking.ask(load.ask) for _ in range(load.alone)]
        await asyncio.gather(*(asking.ask(load.ask) for _ in range(load.concurrent)))
        left = iter(range(load.count))

        async def ask_on() -> None:
            for number in left:
                if load.scrapes and number % (load.count // load.scrapes) == 0:
                    await asking.get("/metrics")
                await asking.ask(load.ask)

        before, began = worked(running), time.perf_counter()
        await asyncio.gather(*(ask_on() for _ in range(load.concurrent)))
        taken, processor = time.perf_counter() - began, worked(running) - before
    seconds, questions, replies = (median(column) for column in zip(*alone, strict=True))
    return Measured(load.count / taken, processor / load.count, seconds, questions, replies)


def worked(running: Running) -> float:
    """Seconds of processor time that a server has taken, its helpers included."""
    return sum(sum(process.cpu_times()[:2]) for process in family(running))


def memory(running: Running) -> float:
    """MB that a server has resident, its helpers included."""
    return sum(process.memory_info().rss for process in family(running)) / 1e6


def family(running: Running) -> list[psutil.Process]:
    """The processes of a server."""
    process = psutil.Process(running.process.pid)
    return [process, *process.children(recursive=True)]
