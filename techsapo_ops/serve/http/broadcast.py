"""One value at a time to thousands of clients: made once, and no client can hold up the others."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

REPLAY = 30
"""Frames that a client which comes back is given; more of them at once would be a burst, not a stream."""
PATIENCE = 3
"""Frames in a row that a client may miss because it does not read; then its connection is cut."""
UNSENT = 8192
"""Bytes that the kernel holds for a client (it doubles the number, for its own book-keeping)."""
BATCH = 200
"""Clients that are woken before other work gets its turn on the event loop."""


class Connection(Protocol):
    """The part of asyncio.Transport that is needed here."""

    def abort(self) -> None:
        """Close at once, whatever is still unsent."""
        ...

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """From how many unsent bytes on the writer has to wait."""
        ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`socket` is its socket."""
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """One value as JSON and as a server-sent event."""

    number: int
    json: str
    event: bytes


class Subscriber:
    """One client of the stream. It holds at most the newest frame: who reads slowly misses some."""

    __slots__ = ("_connection", "_missed", "_next", "_waiter", "barred", "key", "over")

    def __init__(self, connection: Connection | None, key: str = "") -> None:
        self._connection = connection
        self.key = key
        """The id of the API key that it was given for."""
        self.barred = ""
        """Why that key opens nothing any more."""
        self._next: Frame | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._missed = 0
        self.over = False
        if connection is not None:
            # Any byte that the socket did not take makes the next send wait, and it takes few: by itself
            # the kernel would keep megabytes for a peer that reads nothing.
            connection.set_write_buffer_limits(high=0)
            raw = connection.get_extra_info("socket")
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNSENT)

    async def next(self) -> Frame | None:
        """The newest frame that this client has not had yet; None when there will be no more."""
        if self._next is None and not self.over:
            self._missed = 0
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        frame, self._next = self._next, None
        return None if self.over else frame

    def offer(self, frame: Frame) -> None:
        """Give it `frame`, or cut it off where it has missed too many."""
        self._next = frame
        if self._waiter is not None:
            self._wake()
            return
        self._missed += 1
        if self._missed > PATIENCE and not self.over:
            self.cut()

    def cut(self) -> None:
        """Let `next` return None, and end the connection at once."""
        self.leave()
        if self._connection is not None:
            self._connection.abort()

    def leave(self) -> None:
        """Let `next` return None."""
        self.over = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Broadcast:
    """Numbers frames, hands them to every subscriber, and keeps the last few for those that come back.

    A frame's id is this broadcast's own random name and its number: what another process, or this one
    before a restart, has sent is not taken for ours.
    """

    def __init__(self) -> None:
        self.name = secrets.token_hex(4)
        self._subscribers: dict[Subscriber, None] = {}
        self._frames: deque[Frame] = deque(maxlen=REPLAY)
        self._number = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it has ended for good."""
        return self._closed

    def __len__(self) -> int:
        return len(self._subscribers)

    @contextmanager
    def subscribe(self, connection: Connection | None = None, key: str = "") -> Iterator[Subscriber]:
        """A place for one client, which the API key of that id opened, until the end of the block."""
        subscriber = Subscriber(connection, key)
        if self._closed:
            subscriber.leave()
        self._subscribers[subscriber] = None
        try:
            yield subscriber
        finally:
            self._subscribers.pop(subscriber, None)

    def missed(self, last_id: str) -> tuple[Frame, ...]:
        """The frames after `last_id`; the newest one alone where that is not a frame that we still have."""
        name, _, number = last_id.partition("-")
        frames = tuple(self._frames)
        if name == self.name and number.isdecimal() and len(number) < 20:
            after = int(number)
            if frames and after >= frames[0].number - 1:
                return tuple(f for f in frames if f.number > after)
        return frames[-1:]

    async def publish(self, json: str) -> None:
        """Send one value, JSON on one line, to every client."""
        self._number += 1
        event = f"id: {self.name}-{self._number}\ndata: {json}\n\n".encode()
        frame = Frame(self._number, json, event)
        self._frames.append(frame)
        for count, subscriber in enumerate(tuple(self._subscribers), start=1):
            subscriber.offer(frame)
            if count % BATCH == 0:
                await asyncio.sleep(0)

    def bar(self, why: Callable[[str], str]) -> None:
        """End the streams of each key for which `why` has a reason; who is there still next time is cut."""
        reasons = {key: why(key) for key in {subscriber.key for subscriber in self._subscribers} if key}
        for subscriber in self._subscribers:
            if subscriber.barred:
                subscriber.cut()
            elif subscriber.key and reasons[subscriber.key]:
                subscriber.barred = reasons[subscriber.key]
                subscriber.leave()

    def close(self) -> None:
        """End every client's stream, and those of clients yet to come."""
        self._closed = True
        for subscriber in self._subscribers:
            subscriber.leave()
