"""A real Redis that answers and refuses: each use knows of its own, and knows when it is over."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client
import servers
from orchestrator import make_spec
from rows import each_row

from techsapo_ops.serve.metrics.metrics import Metrics
from techsapo_ops.spec.models.app import Budget
from techsapo_ops.stores.budget import BudgetStore
from techsapo_ops.stores.budget_ledger import Ledger
from techsapo_ops.stores.shared import Shared

pytestmark = pytest.mark.lab

WRITES = {(use, "write") for use in ("answers", "replies", "budgets", "locks", "limits")}
SETTLING = {("budgets", "release")}


def full(server: Any, _: Path) -> Callable[[], None]:
    server.config_set("maxmemory-policy", "noeviction")
    server.config_set("maxmemory", "1")
    return lambda: server.config_set("maxmemory", "0")


def replica(server: Any, _: Path) -> Callable[[], None]:
    server.execute_command("REPLICAOF", "127.0.0.1", str(servers.free_port()))
    return lambda: server.execute_command("REPLICAOF", "NO", "ONE")


def unsaved(server: Any, folder: Path) -> Callable[[], None]:
    server.config_set("save", "3600 1")
    server.set("unsaved", "1")
    shutil.rmtree(folder)
    server.bgsave()
    servers.wait_for(lambda: server.info("persistence")["rdb_last_bgsave_status"] == "err")
    return lambda: server.config_set("stop-writes-on-bgsave-error", "no")


def without(*commands: str) -> Callable[[Any, Path], Callable[[], None]]:
    def forbid(server: Any, _: Path) -> Callable[[], None]:
        server.execute_command("ACL", "SETUSER", "default", *(f"-{command}" for command in commands))
        return lambda: server.execute_command("ACL", "SETUSER", "default", "+@all")

    return forbid


FAULTS: dict[str, tuple[Callable[[Any, Path], Callable[[], None]], set[tuple[str, str]]]] = {
    "no memory is left": (full, WRITES),
    "it became a replica": (replica, WRITES | SETTLING),
    "its last save failed": (unsaved, WRITES | SETTLING),
    "its account may not set": (
        without("set"),
        {("answers", "write"), ("replies", "write"), ("locks", "write")},
    ),
    "its account may run no scripts": (
        without("eval", "evalsha"),
        {("budgets", "write"), ("locks", "release"), ("limits", "write"), *SETTLING},
    ),
}


class Uses:
    """Everything that an app keeps in Redis, and what it counts."""

    def __init__(self, port: int) -> None:
        self.metrics = Metrics("1", "1", (), Budget(), deadline=60)
        spec = make_spec(redis={"port": port})
        self.shared = Shared(spec, None, self.metrics.store_operations)
        self.budgets: BudgetStore = self.shared.budgets(self._nothing, lambda _: None)
        self.limiter = self.shared.limiter()

    async def once(self, name: str) -> None:
        """One request's worth of operations; none of them may fail."""
        ledger = Ledger.of("", "day", 10.0, datetime.now(UTC))
        await self.limiter.hit("somebody", 100)
        for kept in (self.shared.answers, self.shared.replies):
            await kept.set(name, b"kept", 60)
            assert await kept.get(name) == b"kept"
        await self.budgets.reserve(name, [ledger], 5, 60)
        await self.budgets.settle(name, [ledger], 5)
        await self.budgets.balances([ledger])
        await self.shared.lock("flight").run(name, self._none, self._some)

    def in_a_row(self, least: int) -> set[tuple[str, str]]:
        """Uses and operations that failed so often."""
        samples = self.metrics.samples("techsapo_redis_consecutive_errors")
        return {(labels["use"], labels["operation"]) for labels, failed in samples if failed >= least}

    async def close(self) -> None:
        for _, close in self.shared.connections():
            await close()

    @staticmethod
    async def _nothing(_: Ledger) -> int:
        return 0

    @staticmethod
    async def _none() -> bool | None:
        return None

    @staticmethod
    async def _some() -> bool:
        return True


@each_row("fault", FAULTS)
def test_what_a_redis_that_answers_refuses_is_known_by_use_within_three_looks_and_so_is_its_end(
    tmp_path: Path, fault: str
) -> None:
    folder = tmp_path / "redis"
    cause, refused = FAULTS[fault]

    async def main(running: servers.Server) -> None:
        uses = Uses(running.port)
        with redis_client.Redis(port=running.port) as operator:
            await uses.once("before")
            await uses.shared.check()
            assert uses.in_a_row(1) == set()
            end = cause(operator, folder)
            await uses.once("meanwhile")
            for _ in range(3):
                await uses.shared.check()
            # Some, such as settling a budget, fail twice for one request.
            assert uses.in_a_row(3) == uses.in_a_row(1) == refused
            status = await uses.shared.answers.check()
            assert status.healthy == (("answers", "write") not in refused)
            end()
            await uses.shared.check()
            assert uses.in_a_row(1) == set()
            assert (await uses.shared.answers.check()).healthy
            await uses.once("after")
            assert uses.in_a_row(1) == set()
        await uses.close()

    with servers.redis(folder) as running:
        asyncio.run(main(running))


def test_a_redis_that_takes_no_writes_is_still_read_and_memory_has_what_came_since(tmp_path: Path) -> None:
    folder = tmp_path / "redis"

    async def main(running: servers.Server) -> None:
        uses = Uses(running.port)
        answers = uses.shared.answers
        await answers.set("old", b"1", 60)
        with redis_client.Redis(port=running.port) as operator:
            full(operator, folder)
        await answers.set("new", b"2", 60)
        assert (await answers.get("old"), await answers.get("new")) == (b"1", b"2")
        status = await answers.check()
        assert (status.in_use, status.healthy) == ("redis", False)
        assert "fails to write: command not allowed when used memory > 'maxmemory'" in status.detail
        await uses.close()

    with servers.redis(folder) as running:
        asyncio.run(main(running))
