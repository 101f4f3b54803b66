"""Locks among the instances of one project, in Redis, and their renewal beside a busy event loop."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from techsapo_ops.stores.redis_link import Away, RedisLink

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

LOCK_LIFE = 2.0
"""Seconds after which the lock of an instance that died, or was stopped, is free. One whose event loop stands
still has it for as long as STALLED says; what must not be done twice asks `Held.lost`, and Redis,
before it goes on.
"""
POLL = 0.05
_MINE = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
_RELEASE = _MINE + "return redis.call('DEL', KEYS[1])"
FAILOVER_LIFE = 8.0
"""LOCK_LIFE where another Redis may take over. A failover, in which nobody can renew a lock, is over by then:
who goes on with its work must not find that another one took it over meanwhile."""
_TAKE = (
    "local now = redis.call('GET', KEYS[1]) if now and now ~= ARGV[1] then return 0 end "
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1"
)
_READ = (
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {0} end return {1, redis.call(ARGV[2], KEYS[2])}"
)
_KEEP = _MINE + "redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) return 1"
RENEW = 0.5
"""Seconds between two renewals of all that is held."""
STALLED = 10.0
"""Seconds for which an event loop may stand still and its locks are renewed all the same. One that stands
still for longer may never go on, and others wait for what it holds."""
_RENEW = _MINE + "return redis.call('PEXPIRE', KEYS[1], ARGV[2])"


class OtherWork(Exception):
    """Another instance does something else under the lock."""


class Held:
    """A lock that was had: its `name` in Redis, the `token` of who had it. `lost`: another may have it.

    The token says what is done under it, where that is told apart by a word.
    """

    def __init__(self, name: str, doing: str = "") -> None:
        self.name = name
        self.token = f"{uuid.uuid4().hex} {doing}".rstrip()
        self.lost = asyncio.Event()


class SharedLock:
    """A lock by key among instances. Without Redis, everybody gets it at once.

    A `sure` one is for what must not be done twice though another Redis takes over. It is nobody's until
    replicas know whose it is, so that a failover keeps it; a master that was cut off from its replicas gives
    none. Methods raise Unconfirmed then.
    """

    def __init__(self, link: RedisLink, prefix: str, renewals: Renewals, *, sure: bool = False) -> None:
        self._link = link
        self._prefix = prefix
        self._renewals = renewals
        self.confirms = sure and link.copies > 0
        """Whether a failover can happen, and does not lose what is written under it."""
        self.life = FAILOVER_LIFE if self.confirms else LOCK_LIFE

    @property
    def shared(self) -> bool:
        """Whether there is a Redis that other instances see it in."""
        return self._link.configured

    async def run(
        self,
        key: str,
        find: Callable[[], Awaitable[T | None]],
        work: Callable[[], Awaitable[T]],
        *,
        waiting: Callable[[], None] = lambda: None,
    ) -> tuple[T, bool]:
        """What `work` makes under the lock, or what `found` shows while another instance has it.

        True with it where it was made here. The lock is renewed while `work` goes on. `waiting` is called at
        each look that another one still has it.
        """
        held = await self._taken(Held(self._prefix + key), find, waiting)
        if not isinstance(held, Held | None):
            return held.value, False
        async with self._renewed(held):
            there = await find()  # it may have been finished between our look and our lock
            return (await work(), True) if there is None else (there, False)

    async def run_once(
        self,
        key: str,
        doing: str,
        find: Callable[[], Awaitable[T | None]],
        work: Callable[[Held | None], Awaitable[T]],
        surely: Callable[[Held], Awaitable[T | None]] | None = None,
    ) -> T:
        """As `run`, for `work` that must not go on once another instance may have begun it too.

        It is cancelled then, and what that one makes waited for. It gets the lock, None without Redis.
        `doing` is one word for what it does. Under the lock, `surely` looks in place of `found`, where it is
        given. Raises OtherWork where who has the lock does something else.
        """
        while True:
            held = await self._taken(Held(self._prefix + key, doing), find, lambda: None)
            if not isinstance(held, Held | None):
                return held.value
            async with self._renewed(held):
                there = await (find() if held is None or surely is None else surely(held))
                if there is not None:
                    return there
                if held is None:
                    return await work(None)
                working = asyncio.ensure_future(work(held))
                losing = asyncio.ensure_future(held.lost.wait())
                try:
                    await asyncio.wait({working, losing}, return_when=asyncio.FIRST_COMPLETED)
                    if working.done():
                        return working.result()
                finally:
                    for task in (working, losing):
                        task.cancel()
                    await asyncio.wait({working, losing})
                    if working.done() and not working.cancelled():
                        working.exception()  # looked at

    async def try_again(self) -> None:
        """Take, look at or give back a lock that nobody else wants, where Redis refused to."""
        held = Held(self._prefix + "trial")

        async def release(redis: Redis) -> None:
            await redis.set(held.name, held.token, nx=True, px=1000)
            await redis.eval(_RELEASE, 1, held.name, held.token)

        await self._link.try_again(
            {
                "read": lambda redis: redis.get(held.name),
                "write": lambda redis: redis.set(held.name, held.token, nx=True, px=1000),
                "release": release,
            }
        )

    async def _taken(
        self, held: Held, find: Callable[[], Awaitable[T | None]], waiting: Callable[[], None]
    ) -> Held | _There[T] | None:
        """The lock, or what another one made meanwhile; None where Redis keeps no locks now."""
        if not self._link.configured:
            return None
        while True:
            try:
                mine = await self._take(held)
            except Away:
                return None
            if mine:
                return held
            there = await find()
            if there is not None:
                return _There(there)
            await self._compare(held)
            waiting()
            await asyncio.sleep(POLL)

    async def read(self, held: Held, place: str) -> Any:
        """What is at `place`; None, and the lock is lost, where it is not ours. Raises as `read_under`.

        It is read where the lock is held: another connection may still lead to the last master.
        """
        return await read_under(self._link, held, place, "GET")

    async def keep(self, held: Held, place: str, value: bytes, ttl: float) -> bool:
        """Keep `value` at `place` for `ttl` seconds; False where the lock is not ours. Raises as
        `RedisLink.surely`.
        """
        life = str(max(1, int(ttl * 1000)))
        return bool(
            await self._link.surely(
                lambda redis: redis.eval(_KEEP, 2, held.name, place, held.token, value, life)
            )
        )

    async def _take(self, held: Held) -> bool:
        """Whether the lock is ours now. Raises Away."""
        life = int(self.life * 1000)
        if self.confirms:
            return bool(
                await self._link.confirmed(lambda pipe: pipe.eval(_TAKE, 1, held.name, held.token, str(life)))
            )
        return bool(await self._link.call(lambda redis: redis.set(held.name, held.token, nx=True, px=life)))

    async def _compare(self, held: Held) -> None:
        doing = held.token.partition(" ")[2]
        if not doing:
            return
        with suppress(Away):  # the next look says so
            holder = await self._link.call(lambda redis: redis.get(held.name), "read")
            token = holder.decode() if isinstance(holder, bytes) else holder or ""
            other = token.partition(" ")[2]
            if other not in {"", doing}:  # "": gone by now, or of a version that says nothing
                raise OtherWork

    @asynccontextmanager
    async def _renewed(self, held: Held | None) -> AsyncIterator[None]:
        """Renew `held` during the block, and give it back at its end."""
        if held is None:
            yield
            return
        end = self._renewals.keep(held.name, held.token, self.life, held.lost.set)
        try:
            yield
        finally:
            end()
            with suppress(Away):  # then the lock ends by itself
                await asyncio.shield(self._release(held))

    async def _release(self, held: Held) -> None:
        await self._link.call(lambda redis: redis.eval(_RELEASE, 1, held.name, held.token), "release")


@dataclass(frozen=True, slots=True)
class _There(Generic[T]):
    """What another instance has made."""

    value: T


async def read_under(link: RedisLink, held: Held, place: str, command: str) -> Any:
    """What `command` (GET, HGETALL) answers of `place` where `held` is held. Raises as `RedisLink.surely`.

    None, and the lock is lost, where it is not ours.
    """
    mine, *rest = await link.surely(
        lambda redis: redis.eval(_READ, 2, held.name, place, held.token, command), "read"
    )
    if not mine:
        held.lost.set()
    return rest[0] if rest else None


@dataclass(frozen=True, slots=True)
class _Renewed:
    """A lock: its name and token, its life in seconds, and what hears in `home` that another has it."""

    name: str
    token: str
    life: float
    lost: Callable[[], None]
    home: asyncio.AbstractEventLoop


class Renewals:
    """Keeps the locks of this process, in a thread with an event loop and a connection of its own.

    Requests queue for the connections that they share, and leave Redis alone for seconds after an error:
    a renewal that did so would come after the lock's end.
    """

    def __init__(self, connect: Callable[[], RedisLink]) -> None:
        self._connect = connect
        self._thread: threading.Thread | None = None
        self._ending = False
        self._wake: Callable[[], object] = lambda: None
        self._renewed: set[_Renewed] = set()
        self._guard = threading.Lock()
        self._moved = 0.0
        self._beats_in: asyncio.AbstractEventLoop | None = None

    def keep(self, name: str, token: str, life: float, lost: Callable[[], None]) -> Callable[[], None]:
        """Renew the lock `name`, which was taken with `token` just now, until what this gives is called.

        `lost` is called in the loop of the caller, once or more, where another one has it by then.
        """
        entry = _Renewed(name, token, life, lost, asyncio.get_running_loop())
        with self._guard:
            self._renewed.add(entry)
        if self._beats_in is not entry.home:
            self._beat(entry.home)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lock renewals", daemon=True)
            self._thread.start()

        def end() -> None:
            with self._guard:
                self._renewed.discard(entry)

        return end

    async def close(self) -> None:
        """End the thread, and give its connection back."""
        self._ending = True
        self._wake()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _beat(self, home: asyncio.AbstractEventLoop) -> None:
        """Note that the loop moves, as long as it holds anything."""
        self._moved = time.monotonic()
        self._beats_in = home if self._renewed else None
        if self._renewed:
            home.call_later(RENEW, self._beat, home)

    def _run(self) -> None:
        asyncio.run(self._renew_all())

    async def _renew_all(self) -> None:
        link, loop, woken = self._connect(), asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(woken.set)
        try:
            while not self._ending:
                with suppress(TimeoutError):
                    async with asyncio.timeout(RENEW):
                        await woken.wait()
                with self._guard:
                    entries = tuple(self._renewed)
                if entries and time.monotonic() - self._moved < STALLED:
                    with suppress(Away):  # a lock may end, and another instance do the work once more
                        await _renew(link, entries)
        finally:
            await link.close()


async def _renew(link: RedisLink, entries: tuple[_Renewed, ...]) -> None:
    async def work(redis: Redis) -> list[Any]:
        pipe = redis.pipeline(transaction=False)
        for each in entries:
            pipe.eval(_RENEW, 1, each.name, each.token, str(int(each.life * 1000)))
        return list(await pipe.execute())

    for each, mine in zip(entries, await link.insist(work, "release"), strict=True):
        if not mine:
            with suppress(RuntimeError):  # its loop has ended
                each.home.call_soon_threadsafe(each.lost)
