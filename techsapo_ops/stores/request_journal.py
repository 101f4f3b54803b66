"""What a request with an Idempotency-Key has got from providers so far, so that another instance can go on.

In Redis it is one hash by key: who pays, each call that was begun, and each reply that came. Every value is
sealed for its place. It lasts as long as the money that is reserved for the request, or until the answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from techsapo_ops.adapters.jsons import dump, load
from techsapo_ops.stores import Unconfirmed
from techsapo_ops.stores.app_key import Forged, Seal
from techsapo_ops.stores.locks import Held, read_under
from techsapo_ops.stores.redis_link import Away, RedisLink

MOST_LINES = 2000
"""Lines of one attempt that are kept: calls, and how they ended. No analysis makes so many."""
MOST_REPLY = 256 * 1024
"""Bytes of one reply that is kept; of a longer one only what it cost."""
MOST_BYTES = 4 * 1024 * 1024
"""Bytes of all replies of one attempt; of those beyond it, too, only what they cost."""
_HEAD, _CLOSED, _BEGUN, _ENDED = "head", "closed", "begun ", "ended "
WRITE = (
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
    "redis.call('HSET', KEYS[2], ARGV[2], ARGV[3]) redis.call('PEXPIRE', KEYS[2], ARGV[4]) return 1"
)
"""Only who has the lock writes: one whose lock was lost must not ask anybody any more."""


class LostLock(Exception):
    """Another instance goes on with the request."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A call of an earlier attempt. `usd` is what it cost, at worst where nobody knows how it ended."""

    call: str
    usd: float
    known: bool
    reply: Any | None = None
    """Its reply as JSON gives it, where there is one that is kept."""


@dataclass(frozen=True, slots=True)
class Left:
    """What earlier attempts at the request left behind."""

    head: Mapping[str, Any] | None = None
    """Of the last one: who pays, and what chance decided."""
    closed: bool = False
    """Whether the last one paid for its calls: it ended by itself."""
    replies: Mapping[str, Any] = field(default_factory=dict)
    """By call, of all attempts."""
    unpaid: tuple[Begun, ...] = ()
    """The calls that the last one, and those before it which it went on with, were to pay for."""

    @classmethod
    def of(cls, lines: Mapping[str, Any]) -> Left:
        """What the lines of a journal say."""
        head = lines.get(_HEAD)
        if not isinstance(head, dict):
            return cls()
        begun: dict[str, Begun] = {}
        for line, value in lines.items():
            if line.startswith(_BEGUN):
                name = line.removeprefix(_BEGUN)
                begun.setdefault(name, Begun(name.rpartition(" ")[0], float(value), known=False))
            elif line.startswith(_ENDED):
                name = line.removeprefix(_ENDED)
                call, usd = name.rpartition(" ")[0], float(value["usd"])
                begun[name] = Begun(call, usd, known=True, reply=value["reply"])
        attempts = head.get("attempts", ())
        return cls(
            head,
            lines.get(_CLOSED) == head.get("owner"),
            {each.call: each.reply for each in begun.values() if each.reply is not None},
            tuple(each for name, each in begun.items() if name.rpartition(" ")[2] in attempts),
        )


class RequestJournal:
    """The journal of one request, while this instance has its lock."""

    def __init__(self, store: RequestJournals, name: str, held: Held, sent: str, left: Left) -> None:
        self._store = store
        self._name = name
        self._held = held
        self._sent = sent
        self._attempt = held.token[:8]
        self._owner = ""
        self._size = self._lines = 0
        self.left = left

    async def begin(self, owner: str, head: Mapping[str, Any], *, carried: bool) -> None:
        """Write down who pays, and what else of `head`; `carried`: what is unpaid too. Raises LostLock, and
        Unconfirmed where a failover could lose it.
        """
        before = (self.left.head or {}).get("attempts", ()) if carried else ()
        self._owner = owner
        attempts = [*before, self._attempt]
        await self._write(_HEAD, dump({**head, "owner": owner, "sent": self._sent, "attempts": attempts}))

    async def asking(self, call: str, usd: float) -> None:
        """Write down that `call` is made, which costs `usd` at worst. Raises LostLock and Unconfirmed."""
        await self._write(f"{_BEGUN}{call} {self._attempt}", dump(usd))

    async def ended(self, call: str, usd: float, reply: Any | None = None) -> None:
        """Write down how `call` ended, with its `reply` as JSON has it.

        Where it can't be written, `call` is as one that nobody knows the end of.
        """
        value = dump({"usd": usd, "reply": reply})
        self._size += len(value)
        if len(value) > MOST_REPLY or self._size > MOST_BYTES:
            self._size -= len(value)
            value = dump({"usd": usd, "reply": None})
        with suppress(LostLock, Unconfirmed):
            await self._write(f"{_ENDED}{call} {self._attempt}", value)

    async def close(self) -> bool:
        """Write down that what was begun is paid for now; False where another instance pays for it."""
        if not self._owner:
            return True
        self._lines = 0
        try:
            await self._write(_CLOSED, dump(self._owner))
        except LostLock:
            return False
        except Unconfirmed:  # whoever goes on with it finds the money booked, or adopts it
            return True
        return True

    async def forget(self) -> None:
        """There is an answer: nobody goes on any more."""
        await self._store.drop(self._name)

    async def _write(self, line: str, value: bytes) -> None:
        self._lines += 1
        if self._lines > MOST_LINES:
            return
        if not await self._store.write((self._name, line), self._held, value):
            self._held.lost.set()
            raise LostLock


class RequestJournals:
    """The journals of all requests, each for `life` seconds from its last line on.

    Where another Redis may take over, replicas have a line before anything rests on it: a failover forgets no
    call. Methods raise Unconfirmed there, where there is one Redis alone nothing is written while it is away.
    `forged` hears of a line that was not sealed by the app's instances; it is none.
    """

    def __init__(self, link: RedisLink, prefix: str, seal: Seal | None, forged: Callable[[], None]) -> None:
        self._link = link
        self._prefix = prefix
        self._seal = seal or Seal(secrets.token_bytes(32))
        self._forged = forged
        self.life = 0.0

    async def opened(self, name: str, held: Held, sent: str) -> RequestJournal:
        """The journal of `name`, with what an earlier attempt left in it; `sent` is a digest of the body."""
        return RequestJournal(self, name, held, sent, Left.of(await self._read(name, held)))

    async def write(self, place: tuple[str, str], held: Held, value: bytes) -> bool:
        """Write at `place`, a journal's name and a line; False where `held` is no longer ours."""
        names, args = (held.name, self._prefix + place[0]), self._line(place, held, value)
        try:
            return bool(await self._link.surely(lambda redis: redis.eval(WRITE, 2, *names, *args)))
        except Away:
            return True

    async def drop(self, name: str) -> None:
        """Remove a journal; where Redis is away, it ends by itself."""
        with suppress(Away):
            await self._link.call(lambda redis: redis.delete(self._prefix + name))

    async def try_again(self) -> None:
        """Read or write a journal of nobody, where Redis refused to."""
        place = f"{self._prefix}trial"
        await self._link.try_again(
            {
                "read": lambda redis: redis.hgetall(place),
                "write": lambda redis: redis.set(f"{place} written", b"", px=1000),
            }
        )

    def _line(self, place: tuple[str, str], held: Held, value: bytes) -> tuple[str, str, bytes, str]:
        """The arguments of WRITE."""
        name, line = place
        sealed = self._seal.closed(self._place(name, line), value, self.life)
        return held.token, line, sealed, str(int(self.life * 1000))

    async def _read(self, name: str, held: Held) -> dict[str, Any]:
        """The lines of a journal; none while Redis is away."""
        try:
            lines = await read_under(self._link, held, self._prefix + name, "HGETALL") or []
        except Away:
            lines = []
        values: dict[str, Any] = {}
        for key, sealed in zip(lines[::2], lines[1::2], strict=True):
            if isinstance(key, str) or isinstance(sealed, str):
                continue  # redis-py decodes nothing, unless it is told to
            line = key.decode(errors="replace")
            try:
                value = self._seal.opened(self._place(name, line), sealed)
            except Forged:
                self._forged()
                continue
            if value is not None:
                values[line] = load(value)
        return values

    def _place(self, name: str, line: str) -> str:
        return f"{self._prefix}{name} {line}"
