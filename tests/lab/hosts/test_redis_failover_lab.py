"""Redis on three machines: what its clients see of a master that is lost, cut off or sent elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from orchestrator import client_of, make_spec
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis_machines import NAMES, RedisLab, redis_machines
from rows import each_row
from servers import wait_for

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.adapters.process import Command, SubprocessRunner
from techsapo_ops.adapters.redis import RedisServer
from techsapo_ops.errors import OpsError
from techsapo_ops.serve.app import App
from techsapo_ops.serve.options import Options
from techsapo_ops.services.redis.backup import BACKUP
from techsapo_ops.services.redis.client import several
from techsapo_ops.services.redis.switchover import switch
from techsapo_ops.stack.own_tls import ca_file
from techsapo_ops.stack.step import Step
from techsapo_ops.stores import Unconfirmed, budget_confirmed, locks, redis_link
from techsapo_ops.stores.app_key import Seal
from techsapo_ops.stores.budget_confirmed import ConfirmedBudgets
from techsapo_ops.stores.budget_ledger import NANO, Ledger, OverBudget
from techsapo_ops.stores.cache import AnswerCache
from techsapo_ops.stores.locks import Held, Renewals, SharedLock
from techsapo_ops.stores.redis_link import Away, RedisLink

pytestmark = pytest.mark.lab

DAY = Ledger.of("oversold", "day", 0.50, datetime(2026, 11, 24, tzinfo=UTC))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisLab]:
    with redis_machines(tmp_path_factory.mktemp("machines")) as made:
        yield made


@pytest.fixture(autouse=True)
def _whole(lab: RedisLab) -> None:
    """Each begins with one master and two replicas."""
    for name in NAMES:
        lab.plug(name)
        for service in (f"sentinel-{name}", f"redis-{name}"):
            if service not in lab.running:
                lab.start(service)
    lab.until_whole()


@asynccontextmanager
async def link_of(lab: RedisLab, near: str = "a") -> AsyncIterator[RedisLink]:
    link = RedisLink(lab.server(near), "test")
    try:
        yield link
    finally:
        await link.close()


def budgets(link: RedisLink) -> ConfirmedBudgets:
    async def nothing(_: Ledger) -> int:
        return 0

    return ConfirmedBudgets(link, "techsapo:budget:", nothing)


def longest(times: list[float]) -> float:
    """Seconds between two of them that follow on each other, at most."""
    ordered = sorted(times)
    return max(later - sooner for sooner, later in pairwise(ordered))


def test_nobody_gets_in_without_a_login_nor_without_tls_nor_by_another_ca(lab: RedisLab) -> None:
    def ask() -> None:
        for port in (6379, 26379):
            with pytest.raises(redis.AuthenticationError):
                lab.client("b", port, username=None, password=None).ping()
            with pytest.raises(redis.AuthenticationError):
                lab.client("b", port, password="wrong").ping()
            with pytest.raises(redis.ConnectionError):
                redis.Redis(lab.address("b"), port, socket_timeout=1, retry=Retry(NoBackoff(), 0)).ping()
            with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
                lab.client("b", port, ssl_ca_certs=None).ping()
            assert lab.client("b", port).ping()

    lab.within(ask)


@dataclass
class Around:
    """What was seen around a master that was killed."""

    reservations: Counter[str] = field(default_factory=Counter)
    spent: int = 0
    written: list[int] = field(default_factory=list)
    took: list[tuple[float, float]] = field(default_factory=list)
    """When each began, and was confirmed."""
    killed: float = 0.0
    there: set[int] = field(default_factory=set)
    paid: list[str] = field(default_factory=list)
    answers: set[bytes | None] = field(default_factory=set)

    async def reserve(self, stores: tuple[ConfirmedBudgets, ...], n: int) -> None:
        """One of 200 that compete for fifty places."""
        store = stores[n % len(stores)]
        await asyncio.sleep(n * 0.02)
        try:
            await store.reserve(f"r{n}", [DAY], NANO // 100, 60)
        except OverBudget:
            self.reservations["refused"] += 1
        except Unconfirmed:
            self.reservations["unconfirmed"] += 1
        else:
            self.reservations["asked"] += 1
            await asyncio.sleep(0.5)
            await store.settle(f"r{n}", [DAY], NANO // 100)

    async def write(self, link: RedisLink, n: int) -> None:
        """One of twenty in a second."""
        await asyncio.sleep(n * 0.05)
        began = time.monotonic()
        await link.confirmed(lambda pipe: pipe.set(f"techsapo:n:{n}", n))
        self.written.append(n)
        self.took.append((began, time.monotonic()))

    @property
    def again(self) -> float:
        """Seconds from the kill to the first write that began after it and was confirmed."""
        return min(confirmed for began, confirmed in self.took if began > self.killed) - self.killed

    async def ask(self, name: str, link: RedisLink, kept: AnswerCache, server: RedisServer) -> None:
        """A question with a key, whose vendor takes longer than a failover."""
        renewals = Renewals(lambda: RedisLink(server, "renewals"))
        lock = SharedLock(link, "techsapo:lock:", renewals, sure=True)

        async def work(held: Held | None) -> bytes | None:
            assert held is not None
            self.paid.append(name)
            await asyncio.sleep(5)
            assert await lock.keep(held, kept.place("k"), kept.closed("k", b"answer", 60), 60)
            return b"answer"

        async def surely(held: Held) -> bytes | None:
            return kept.opened("k", await lock.read(held, kept.place("k")))

        self.answers.add(await lock.run_once("k", "it", lambda: kept.get("k"), work, surely))
        await renewals.close()


@pytest.fixture(scope="module")
def around(lab: RedisLab) -> Around:
    """Reservations, writes and a key at two instances, and in the middle of them the master is killed.

    How long a failover takes on a busy machine is not the point: each write waits, and a lock lives, as long
    as they must.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locks, "FAILOVER_LIFE", 60.0)
        for module in (redis_link, budget_confirmed):
            patch.setattr(module, "PATIENCE", 60.0)
        return lost_master(lab)


def lost_master(lab: RedisLab) -> Around:
    """What two instances see of it."""
    seen = Around()
    lab.until_whole()
    old = lab.master()

    async def main() -> None:
        async with link_of(lab, "a") as first, link_of(lab, "b") as second:
            for link in (first, second):  # the first connection takes a while
                await link.confirmed(lambda pipe: pipe.set("techsapo:warm", 1))
            stores = (budgets(first), budgets(second))
            kept = AnswerCache(lab.server("a"), "techsapo:reply:", seal=Seal(b"k" * 32))

            async def questions() -> None:
                one = asyncio.create_task(seen.ask("first", first, kept, lab.server("a")))
                await asyncio.sleep(0.5)
                await asyncio.gather(one, seen.ask("second", second, kept, lab.server("b")))
                await seen.ask("third", second, kept, lab.server("b"))
                await kept.close()

            async def lose() -> None:
                await asyncio.sleep(0.7)
                await asyncio.to_thread(lab.kill, f"redis-{old}")
                seen.killed = time.monotonic()

            await asyncio.gather(
                lose(),
                questions(),
                *(seen.reserve(stores, n) for n in range(200)),
                *(seen.write(first, n) for n in range(200)),
            )
            for store in stores:
                await store.balances([DAY])
            (balance,) = await stores[0].balances([DAY])
            seen.spent = balance.spent
            names = [f"techsapo:n:{n}" for n in range(200)]
            found = await first.call(lambda link: link.mget(names))
            seen.there = {int(n) for n in found if n is not None}

    lab.asyncio(main)
    assert lab.master() != old
    print(f"written again {seen.again:.2f} s after the master was killed; {dict(seen.reservations)}")
    return seen


def test_of_200_reservations_around_a_lost_master_none_is_oversold(around: Around) -> None:
    assert around.reservations.total() == 200
    asked = around.reservations["asked"]
    assert 0 < asked <= 50, "more was spent than the budget has"
    assert around.spent == asked * NANO // 100, "each was booked once"


def test_what_was_confirmed_is_there_after_a_lost_master_and_writing_goes_on(around: Around) -> None:
    assert len(around.written) == 200, "each write waits for the next master"
    assert set(around.written) <= around.there, "a failover lost what was confirmed"


def test_a_key_is_paid_for_once_though_the_master_is_lost_while_it_is_worked_on(around: Around) -> None:
    assert around.paid == ["first"]
    assert around.answers == {b"answer"}


def test_an_isolated_master_refuses_writes_and_is_no_second_one_when_the_cut_heals(lab: RedisLab) -> None:
    old = lab.master()
    other = next(name for name in NAMES if name != old)
    until = time.monotonic() + 6
    lab.pull(old)

    async def outside() -> int:
        """How many writes the others confirm."""
        confirmed = 0
        async with link_of(lab, other) as link:
            while time.monotonic() < until:
                try:
                    await link.confirmed(lambda pipe: pipe.incr("techsapo:outside"), patience=0)
                    confirmed += 1
                except Unconfirmed:
                    pass
                await asyncio.sleep(0.05)
        return confirmed

    def inside() -> tuple[int, list[str]]:
        """How many plain writes the isolated one still takes, and what it says to the others."""
        taken, refused = 0, []
        with lab.client(old) as link:
            while time.monotonic() < until:
                try:
                    link.incr("techsapo:inside")
                    taken += 1
                except redis.ResponseError as error:
                    refused.append(str(error))
                else:
                    assert link.wait(1, 50) == 0, "nobody is there to have it"
                time.sleep(0.05)
        return taken, refused

    async def both() -> tuple[int, tuple[int, list[str]]]:
        other_side = asyncio.create_task(asyncio.to_thread(lab.within, inside, old))
        return await outside(), await other_side

    confirmed, (taken, refused) = lab.asyncio(both)
    assert confirmed > 0, "the others have a master"
    assert refused, "the isolated one stops to take writes"
    assert all("NOREPLICAS" in said for said in refused)
    print(f"isolated: {taken} plain writes taken, {len(refused)} refused; outside {confirmed} confirmed")
    lab.plug(old)
    lab.until_whole()
    assert lab.master() != old

    def left() -> tuple[str | None, str | None]:
        with lab.client(lab.master()) as link:
            return link.get("techsapo:inside"), link.get("techsapo:outside")

    assert lab.within(left) == (None, str(confirmed))


@pytest.mark.nightly
@each_row("command", ["INCR", "GET"])
def test_who_was_cut_off_with_the_master_goes_to_the_next_one_before_the_old_one_gives_way(
    lab: RedisLab, command: str
) -> None:
    """Sentinels send an old master away eight seconds after it is back (SENTINEL_PUBLISH_PERIOD times 4)."""
    lab.until_whole()
    old = lab.master()
    other = next(name for name in NAMES if name != old)

    async def done(link: RedisLink, patience: float = 0) -> bool:
        await asyncio.sleep(0.05)
        asked = link.confirmed(
            lambda pipe: pipe.execute_command(command, "techsapo:beside"), "read", patience
        )
        try:
            await asked
        except Unconfirmed:
            return False
        return True

    async def beside() -> str:
        async with link_of(lab, old) as link:
            assert await done(link)
            lab.pull(old)
            while "master" not in (await asyncio.to_thread(lab.roles, other)).values():
                # Replicas count for a while yet, as having all that they had.
                assert not await done(link) or command == "GET", "nobody else can have it"
            while await done(link):
                pass
            lab.plug(old)
            assert await done(link, patience=30)
        return (await asyncio.to_thread(lab.roles))[old]

    assert lab.asyncio(beside, old) == "master"


@pytest.mark.nightly
def test_an_old_master_that_comes_back_is_a_replica_from_its_start_on(lab: RedisLab) -> None:
    old = lab.master()
    lab.kill(f"redis-{old}")
    lab.start(f"redis-{old}")  # at once, as Docker does: the Sentinels still take it for the master
    seen: list[dict[str, str]] = []
    until = time.monotonic() + 60
    while time.monotonic() < until and not lab.whole():
        seen.append(lab.roles())
    assert lab.whole()
    assert all(list(roles.values()).count("master") <= 1 for roles in seen), seen
    assert lab.master() != old, "a replica had its data"


def test_a_switchover_loses_no_write_though_none_waits_for_a_replica(lab: RedisLab) -> None:
    old = lab.master()
    to = next(name for name in reversed(NAMES) if name != old)

    async def main() -> tuple[list[int], set[int], list[float], int]:
        taken: list[int] = []
        times: list[float] = []
        over = asyncio.Event()
        async with link_of(lab, "a") as link:

            async def write() -> None:
                n = 0
                while not over.is_set():
                    try:
                        await link.call(lambda client, n=n: client.set(f"techsapo:s:{n}", n))  # type: ignore[misc]
                        taken.append(n)
                        times.append(time.monotonic())
                    except Away:
                        pass
                    n += 1
                    await asyncio.sleep(0.02)

            writing = asyncio.create_task(write())
            await asyncio.sleep(1)
            switched = await asyncio.to_thread(switch, lab.topology, lab.door_to, to)
            await asyncio.sleep(1)
            over.set()
            await writing
            found = await link.call(
                lambda client: client.mget([f"techsapo:s:{n}" for n in range(taken[-1] + 1)])
            )
        return taken, {int(n) for n in found if n is not None}, times, switched.lost

    taken, there, times, lost = lab.asyncio(main)
    assert lab.master() == to
    assert set(taken) <= there, "a write was lost that the client was told of"
    assert lost == 0
    priorities = lab.within(
        lambda: {lab.client(name).config_get("replica-priority")["replica-priority"] for name in NAMES}
    )
    assert priorities == {"100"}, "a failover takes the one that has most"
    print(f"switched over: {len(taken)} writes, none lost, {longest(times):.2f} s without one")


@pytest.mark.nightly
def test_a_switchover_without_a_replica_that_is_in_sync_is_refused_and_changes_nothing(lab: RedisLab) -> None:
    old = lab.master()
    gone, other = (name for name in NAMES if name != old)
    lab.kill(f"redis-{gone}")

    def refused(to: str | None) -> tuple[str, int]:
        with pytest.raises(OpsError) as error:
            switch(lab.topology, lab.door_to, to)
        return error.value.message, error.value.exit_code

    def seen() -> bool:
        return gone not in {s.name[-1] for s in several(lab.topology, lab.door_to).in_sync}

    wait_for(seen, what="the Sentinels notice")
    assert refused(gone) == (f"the replica on host {gone} is not in sync: no answer", 1)
    assert refused("nowhere") == ("host 'nowhere' has no replica", 2)
    assert refused(old) == (f"the Redis on host {old} is already the master", 2)
    lab.kill(f"redis-{other}")
    wait_for(lambda: not several(lab.topology, lab.door_to).in_sync, what="the Sentinels notice")
    assert "no replica is in sync" in refused(None)[0]
    assert lab.roles() == {old: "master"}


class LabEngine:
    """What a restore asks of an engine, done in the lab."""

    def __init__(self, lab: RedisLab) -> None:
        self._lab = lab
        self.done: list[str] = []

    def enter(self, service: str, command: Command) -> Command:
        ca = str(ca_file(self._lab.topology.layout, "redis"))
        words = (ca if word.endswith("/ca.pem") else word for word in command.argv)
        return replace(command, argv=(*self._lab.machines[service[-1]].enter(), *words))

    def beside(self, service: str, command: Command) -> Command:
        return replace(command, cwd=self._lab.data(service))

    def halt(self, service: str) -> None:
        self.done.append(f"halt {service}")
        self._lab.kill(service)

    def perform(self, step: Step, *_: object) -> None:
        self.done.append(f"start {step.service}")
        self._lab.start(step.service)

        def ready() -> bool:
            with suppress(redis.RedisError), self._lab.client(step.service[-1]) as link:
                return bool(link.ping())
            return False

        wait_for(lambda: self._lab.within(ready), what=step.service)


def test_a_restore_into_several_is_of_all_of_them_and_of_nothing_that_came_after(
    lab: RedisLab, tmp_path: Path
) -> None:
    engine = LabEngine(lab)
    stack: Any = SimpleNamespace(
        topology=lab.topology,
        engine=engine,
        runner=SubprocessRunner(),
        spec=lab.topology.spec,
        pause=time.sleep,
    )

    def write(name: str) -> None:
        with lab.client(lab.master()) as link:
            link.set(f"techsapo:{name}", "x")

    def there() -> list[tuple[int, int]]:
        found = []
        for name in NAMES:
            with lab.client(name) as link:
                found.append((link.exists("techsapo:before"), link.exists("techsapo:after")))
        return found

    lab.within(lambda: write("before"))
    sources = BACKUP.sources(stack)
    assert not isinstance(sources, str)
    (source,) = sources
    part = source.take(tmp_path, "20261127T000000Z", lambda _: None)
    lab.within(lambda: write("after"))
    master = lab.master()
    BACKUP.bring_back(stack, part, PackedReader(tmp_path / part.file), lambda _: None)
    lab.until_whole()
    assert lab.within(there) == [(1, 0)] * 3
    assert engine.done[2:4] == [f"halt redis-{master}", f"start redis-{master}"], "never beside old data"


def test_a_question_with_a_key_is_refused_before_anybody_is_asked_where_no_replica_is_left(
    lab: RedisLab, tmp_path: Path
) -> None:
    server = lab.server()
    assert server.sentinels is not None
    login = {"user": server.user, "password": server.password, "tls": True}
    options = Options(
        make_spec(redis=login),
        "app-1",
        tmp_path / "data",
        sentinels=server.sentinels.addresses,
        shared_ca=server.ca,
    )

    async def main() -> list[tuple[int, str | None, str | None]]:
        seen: list[tuple[int, str | None, str | None]] = []
        async with client_of(App(options)) as client:

            async def ask(key: str) -> None:
                body = {"prompt": f"the disk of {key} is full"}
                answer = await client.post("/api/v1/generate", json=body, headers={"Idempotency-Key": key})
                document = answer.json()
                replayed = answer.headers.get("Idempotency-Replayed")
                seen.append((answer.status_code, document.get("code"), replayed))
                assert answer.status_code == 200 or answer.headers["Retry-After"] == "2"

            await ask("first")
            await ask("first")
            for name, role in (await asyncio.to_thread(lab.roles)).items():
                if role == "slave":
                    lab.kill(f"redis-{name}")
            await ask("second")
            for name in NAMES:
                if f"redis-{name}" not in lab.running:
                    lab.start(f"redis-{name}")
            await asyncio.to_thread(lab.until_whole)
            await ask("second")
        return seen

    assert lab.asyncio(main) == [
        (200, None, None),
        (200, None, "true"),
        (503, "unconfirmed", None),
        (200, None, None),
    ]


@pytest.mark.nightly
def test_after_all_of_them_were_killed_they_are_one_master_and_two_replicas_with_what_was_confirmed(
    lab: RedisLab,
) -> None:
    async def write() -> None:
        async with link_of(lab) as link:
            await link.confirmed(lambda pipe: pipe.set("techsapo:kept", "x"))

    def there() -> list[int]:
        found = []
        for name in NAMES:
            with lab.client(name) as link:
                found.append(link.exists("techsapo:kept"))
        return found

    lab.asyncio(write)
    time.sleep(0.5)  # both replicas have it: each of the three is as good as another
    for service in list(lab.running):
        lab.kill(service)
    for name in reversed(NAMES):
        lab.start(f"redis-{name}")
        lab.start(f"sentinel-{name}")
    lab.until_whole()
    assert lab.within(there) == [1, 1, 1]
