"""What must be confirmed, at a Redis and a replica of it: either it is, or nothing rests on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
import redis as client
from servers import Server, redis, wait_for

from techsapo_ops.adapters.redis import RedisServer
from techsapo_ops.stores import Unconfirmed, budget_confirmed, redis_link
from techsapo_ops.stores.budget_confirmed import ConfirmedBudgets
from techsapo_ops.stores.budget_ledger import NANO, Balance, Ledger, OverBudget
from techsapo_ops.stores.locks import FAILOVER_LIFE, Held, Renewals, SharedLock
from techsapo_ops.stores.redis_link import RedisLink
from techsapo_ops.stores.request_journal import RequestJournals

pytestmark = pytest.mark.lab

DAY = Ledger.of("", "day", 0.02, datetime(2026, 11, 24, tzinfo=UTC))
CENT = NANO // 100


@dataclass
class Two:
    """A Redis, and another that is its replica or, parted, is not."""

    master: Server
    other: Server
    monkeypatch: pytest.MonkeyPatch = field(default_factory=pytest.MonkeyPatch)

    def wait_at_most(self, seconds: float) -> None:
        """How long a client waits for a replica, where there is one and where there is none."""
        for module in (redis_link, budget_confirmed):
            self.monkeypatch.setattr(module, "PATIENCE", seconds)
        self.monkeypatch.setattr(redis_link, "REPLICATION", min(seconds, 2.0))

    def part(self) -> None:
        """Without a replica; who waits is impatient from now on."""
        self.wait_at_most(0.3)
        with client.Redis(port=self.other.port) as link:
            link.replicaof("no", "one")
        wait_for(lambda: self._replicas() == 0, what="parted")

    def join(self) -> None:
        """With a replica; who waits has as much time as a busy machine needs."""
        self.wait_at_most(60)
        with client.Redis(port=self.other.port) as link:
            link.replicaof("127.0.0.1", self.master.port)
        wait_for(lambda: self._replicas() == 1, what="a replica")

    def _replicas(self) -> int:
        with client.Redis(port=self.master.port) as link:
            said = link.info("replication")
        return sum(1 for n in range(said["connected_slaves"]) if said[f"slave{n}"]["state"] == "online")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with redis(tmp_path_factory.mktemp("m")) as master, redis(tmp_path_factory.mktemp("r")) as other:
        with client.Redis(port=master.port) as link:
            link.config_set("repl-diskless-sync-delay", 0)
        yield Two(master, other)


@pytest.fixture
def two(servers: Two, monkeypatch: pytest.MonkeyPatch) -> Two:
    """Joined, and empty."""
    servers.monkeypatch = monkeypatch
    servers.join()
    with client.Redis(port=servers.master.port) as link:
        link.flushall()
    return servers


def link_to(two: Two) -> RedisLink:
    link = RedisLink(RedisServer("127.0.0.1", two.master.port), "test")
    link.copies = 1
    return link


@asynccontextmanager
async def link_of(two: Two) -> AsyncIterator[RedisLink]:
    link = link_to(two)
    try:
        yield link
    finally:
        await link.close()


def budgets(link: RedisLink) -> ConfirmedBudgets:
    async def nothing(_: Ledger) -> int:
        return 0

    return ConfirmedBudgets(link, "lab:", nothing)


def test_a_reservation_without_a_replica_is_none_and_holds_nothing_once_there_is_one(two: Two) -> None:
    async def main() -> list[Balance]:
        async with link_of(two) as link:
            store = budgets(link)
            await store.reserve("a", [DAY], CENT, 60)
            await asyncio.to_thread(two.part)
            with pytest.raises(Unconfirmed):
                await store.reserve("b", [DAY], CENT, 60)
            await asyncio.to_thread(two.join)
            (before,) = await store.balances([DAY])
            await store.reserve("c", [DAY], CENT, 60)
            with pytest.raises(OverBudget):
                await store.reserve("d", [DAY], 1, 60)
            (after,) = await store.balances([DAY])
            return [before, after]

    assert asyncio.run(main()) == [Balance(0, CENT), Balance(0, 2 * CENT)]


def test_what_was_spent_while_no_replica_was_there_is_booked_later_and_once(two: Two) -> None:
    async def main() -> list[Balance]:
        seen: list[Balance] = []
        async with link_of(two) as link, link_of(two) as elsewhere:
            store, other = budgets(link), budgets(elsewhere)
            await store.reserve("a", [DAY], CENT, 60)
            await store.reserve("a", [DAY], CENT // 2, 60)
            await asyncio.to_thread(two.part)
            await store.settle("a", [DAY], CENT // 4)  # written, but confirmed by nobody
            await store.balances([DAY])
            await asyncio.to_thread(two.join)
            for _ in range(3):
                seen += await store.balances([DAY])
            seen += await other.balances([DAY])
        return seen

    assert asyncio.run(main()) == [Balance(CENT // 4, 0)] * 4


def test_money_of_an_instance_that_died_is_taken_over_and_closed_once_by_both(two: Two) -> None:
    async def main() -> tuple[int | None, Balance]:
        async with link_of(two) as link, link_of(two) as elsewhere:
            first, second = budgets(link), budgets(elsewhere)
            await first.reserve("a", [DAY], CENT, 60)
            adopted = await second.adopt("a", [DAY], 60)
            await second.settle("a", [DAY], CENT // 2)
            await first.settle("a", [DAY], CENT // 2)  # it was not dead: it was cut off
            (balance,) = await first.balances([DAY])
            return adopted, balance

    assert asyncio.run(main()) == (CENT, Balance(CENT // 2, 0))


def test_a_lock_that_no_replica_knows_is_nobodys_and_outlasts_a_failover_where_one_does(two: Two) -> None:
    async def main() -> int:
        async with link_of(two) as link:
            renewals = Renewals(lambda: link_to(two))
            lock = SharedLock(link, "lab:lock:", renewals, sure=True)
            began: list[int] = []

            async def work(held: Held | None) -> str:
                assert held is not None
                began.append(await link.call(lambda redis: redis.pttl(held.name)))
                assert await lock.keep(held, "lab:answer", b"made", 60)
                assert await lock.read(held, "lab:answer") == b"made"
                stranger = Held("lock:other")
                assert await lock.read(stranger, "lab:answer") is None
                assert stranger.lost.is_set()
                assert not await lock.keep(stranger, "lab:answer", b"another", 60)
                return "made"

            async def nothing() -> str | None:
                return None

            await asyncio.to_thread(two.part)
            with pytest.raises(Unconfirmed):
                await lock.run_once("k", "it", nothing, work)
            assert began == [], "nothing was begun"
            await asyncio.to_thread(two.join)
            await link.call(lambda redis: redis.delete("lab:lock:k"))
            assert await lock.run_once("k", "it", nothing, work) == "made"
            await renewals.close()
            return began[0]

    life = asyncio.run(main())
    assert FAILOVER_LIFE * 1000 - 2000 < life <= FAILOVER_LIFE * 1000


def test_a_call_that_no_replica_knows_is_not_made_and_what_was_written_is_read_back(two: Two) -> None:
    async def main() -> tuple[float, ...]:
        async with link_of(two) as link:
            journals = RequestJournals(link, "lab:journal:", None, lambda: None)
            journals.life = 60.0
            held = Held("lab:lock:j")
            await link.call(lambda redis: redis.set(held.name, held.token))
            journal = await journals.opened("j", held, "sent")
            await journal.begin("owner", {"ledgers": []}, carried=False)
            await journal.asking("first", 1.0)
            await asyncio.to_thread(two.part)
            with pytest.raises(Unconfirmed):
                await journal.asking("second", 2.0)
            await journal.ended("first", 0.5)  # it is paid: nothing is raised
            await asyncio.to_thread(two.join)
            again = await journals.opened("j", held, "sent")
            return tuple(sorted(begun.usd for begun in again.left.unpaid))  # a hash has no order

    assert asyncio.run(main()) == (0.5, 2.0), "what may have been begun is counted"


def test_who_waits_goes_on_as_soon_as_a_replica_is_there(two: Two) -> None:
    async def main() -> bytes | str | None:
        async with link_of(two) as link:
            await asyncio.to_thread(two.part)
            writing = asyncio.create_task(link.confirmed(lambda pipe: pipe.set("lab:x", 1), patience=60))
            await asyncio.sleep(0.5)
            assert not writing.done()
            await asyncio.to_thread(two.join)
            await writing
            return await link.call(lambda redis: redis.get("lab:x"))

    assert asyncio.run(main()) == b"1"


def test_what_can_never_be_written_is_not_tried_for_long(two: Two) -> None:
    async def main() -> None:
        async with link_of(two) as link:
            await link.call(lambda redis: redis.set("lab:word", "x"))
            with pytest.raises(Unconfirmed):
                await asyncio.wait_for(
                    link.confirmed(lambda pipe: pipe.incr("lab:word"), patience=100_000), timeout=200
                )

    asyncio.run(main())
