"""A keyed question outlives the instance that works on it: another goes on, and nobody is paid twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis as client
from orchestrator import serving
from servers import Server, redis, wait_for
from vendor_thread import Counting, counting_vendor

from techsapo_ops.adapters.redis import RedisServer
from techsapo_ops.stores.cache import StorageShare
from techsapo_ops.stores.locks import LOCK_LIFE, Held, Renewals, SharedLock
from techsapo_ops.stores.redis_link import RedisLink

pytestmark = pytest.mark.lab

NANO = 1_000_000_000
PRICE = {"input": 1, "output": 2}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@dataclass
class Pair:
    """Two instances that share a Redis and a vendor; `asking` sends a keyed question to one of them."""

    first: Server
    second: Server
    redis: client.Redis
    vendor: Counting
    pool: ThreadPoolExecutor
    word: str

    def send(self, server: Server, **headers: str) -> Future[httpx.Response]:
        sent = {"Idempotency-Key": "k-1", **headers}
        body = {"prompt": f"the disk is full: {self.word}"}
        url = f"{server.url}/api/v1/generate"
        return self.pool.submit(httpx.post, url, json=body, headers=sent, timeout=90, trust_env=False)

    def asked(self, what: str) -> int:
        return self.vendor.asked(self.word)[what]

    def journal(self, line: str) -> int:
        """How many lines of the journal begin so."""
        names = [n for key in self.redis.keys("techsapo:sealed-journal:*") for n in self.redis.hkeys(key)]
        return sum(name.decode().startswith(line) for name in names)

    def spent(self) -> int:
        """Nano-dollars that every budget says are spent."""
        found = {int(self.redis.get(key) or 0) for key in self.redis.keys("techsapo:budget:*:spent")}
        assert len(found) == 1
        return found.pop()

    def held(self) -> list[str]:
        keys = self.redis.keys("techsapo:budget:*:open")
        return [name.decode() for key in keys for name in self.redis.hkeys(key)]


@contextmanager
def pair(store: Server, folder: Path, word: str, *models: str) -> Iterator[Pair]:
    with client.Redis(port=store.port) as link, counting_vendor() as vendor, ThreadPoolExecutor() as pool:
        link.flushall()
        providers = {
            f"p{n}": {
                "kind": "openai-compatible", "model": model, "base_url": vendor.url, "price": PRICE,
                "api_key": "sk-lab-0123456789", "timeout": "60s",
            }
            for n, model in enumerate(models)
        }  # fmt: skip
        options: dict[str, Any] = {
            "redis": {"port": store.port},
            "data_in_state": True,
            "providers": providers,
            "wallbounce": {"cache_ttl": "0s"},
        }
        with (
            serving(folder / "app", **options) as first,
            serving(folder / "app", instance="app-2", **options) as second,
        ):
            yield Pair(first, second, link, vendor, pool, word)
            vendor.release()
        assert vendor.refused == 0


def counted(server: Server, outcome: str) -> float:
    text = httpx.get(f"{server.url}/metrics", trust_env=False, timeout=60).text
    start = f'techsapo_taken_over_calls_total{{outcome="{outcome}"}} '
    return next(float(line.removeprefix(start)) for line in text.splitlines() if line.startswith(start))


def test_who_has_replied_is_not_asked_again_and_what_was_under_way_is_counted(
    store: Server, tmp_path: Path
) -> None:
    with pair(store, tmp_path, "papaya", "good", "held") as both:
        both.send(both.first)
        wait_for(lambda: both.journal("ended ") == 1 and both.asked("held answers") == 1, what="one reply")
        (lock,) = both.redis.keys("techsapo:replying:*")
        assert both.redis.pttl(lock) <= LOCK_LIFE * 1000 <= 2000, "a dead one's lock lapses in two seconds"
        repeated = both.send(both.second)
        both.first.kill()
        wait_for(lambda: both.asked("held answers") == 2, what="the second instance goes on")
        assert len(set(both.held())) == 1, "the money of the dead one is taken over"
        both.vendor.release()
        answer = repeated.result()
        assert answer.status_code == 200
        assert both.vendor.asked("papaya") == {
            "good answers": 1, "held answers": 2, "good grades": 1, "held grades": 1
        }  # fmt: skip
        assert (counted(both.second, "reused"), counted(both.second, "unknown")) == (1, 1)
        told = answer.json()
        assert {p["status"] for p in told["providers"]} == {"answered"}
        assert both.held() == []
        assert both.spent() == pytest.approx(told["cost_usd"] * NANO, abs=2)
        assert both.journal("") == 0, "with the answer the journal goes"
        again = both.send(both.second).result()
        assert (again.headers["Idempotency-Replayed"], again.text) == ("true", answer.text)
        assert both.spent() == pytest.approx(told["cost_usd"] * NANO, abs=2)


def test_no_call_is_made_twice_where_none_was_under_way_but_the_last(store: Server, tmp_path: Path) -> None:
    with pair(store, tmp_path, "quince", "good", "held-grades") as both:
        both.send(both.first, Accept="text/event-stream")
        wait_for(lambda: both.journal("ended ") == 3, what="two answers and a grading")
        both.first.kill()
        repeated = both.send(both.second, Accept="text/event-stream")
        wait_for(lambda: both.asked("held-grades grades") == 2, what="the second instance goes on")
        both.vendor.release()
        told = repeated.result().text
        assert "event: verdict" in told
        assert both.vendor.asked("quince") == {
            "good answers": 1, "held-grades answers": 1, "good grades": 1, "held-grades grades": 2
        }  # fmt: skip
        assert (counted(both.second, "reused"), counted(both.second, "unknown")) == (3, 1)


def test_one_that_stood_still_asks_nobody_once_another_goes_on(store: Server, tmp_path: Path) -> None:
    with pair(store, tmp_path, "rambutan", "good", "held") as both:
        early = both.send(both.first)
        wait_for(lambda: both.journal("ended ") == 1 and both.asked("held answers") == 1, what="one reply")
        os.kill(both.first.process.pid, signal.SIGSTOP)
        repeated = both.send(both.second)
        wait_for(lambda: both.asked("held answers") == 2, what="the second instance goes on")
        both.vendor.release()
        answer = repeated.result()
        os.kill(both.first.process.pid, signal.SIGCONT)
        assert early.result().json()["request_id"] == answer.json()["request_id"]
        assert both.vendor.asked("rambutan") == {
            "good answers": 1, "held answers": 2, "good grades": 1, "held grades": 1
        }  # fmt: skip
        wait_for(lambda: both.held() == [], what="nothing is reserved any more")
        assert both.spent() == pytest.approx(answer.json()["cost_usd"] * NANO, abs=2)


def test_a_loop_that_stands_still_keeps_its_lock_though_redis_was_left_alone(store: Server) -> None:
    server = RedisServer("127.0.0.1", store.port)

    async def main() -> None:
        link, renewals = RedisLink(server, "test"), Renewals(lambda: RedisLink(server, "test"))

        async def work(held: Held | None) -> str:
            assert held is not None
            link._paused_until = time.monotonic() + 60  # an answer came late
            time.sleep(2 * LOCK_LIFE)  # noqa: ASYNC251 - as code that takes the processor
            with client.Redis(port=store.port) as other:
                assert other.get(held.name) == held.token.encode()
            return "made"

        async def nothing() -> str | None:
            return None

        assert await SharedLock(link, "lab:", renewals).run_once("k", "it", nothing, work) == "made"
        await renewals.close()
        await link.close()

    asyncio.run(main())


def test_a_client_that_went_away_pays_for_no_reply_twice(store: Server, tmp_path: Path) -> None:
    with pair(store, tmp_path, "salak", "good", "held") as both:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"{both.first.url}/api/v1/generate", json={"prompt": "the disk is full: salak"}, timeout=1.5,
                headers={"Idempotency-Key": "k-1"}, trust_env=False,
            )  # fmt: skip
        wait_for(lambda: both.journal("closed") == 1 and both.held() == [], what="the first attempt is paid")
        before = both.spent()
        both.vendor.release()
        told = both.send(both.second).result().json()
        assert both.asked("good answers") == 1
        assert counted(both.second, "unknown") == 0
        assert both.spent() - before == pytest.approx(told["cost_usd"] * NANO, abs=2)


def test_another_body_with_a_key_that_is_under_way_elsewhere_is_refused_at_once(
    store: Server, tmp_path: Path
) -> None:
    with pair(store, tmp_path, "sapote", "good", "held") as both:
        early = both.send(both.first)
        wait_for(lambda: both.asked("held answers") == 1, what="a question under way")
        refused = httpx.post(
            f"{both.second.url}/api/v1/generate", json={"prompt": "another"}, timeout=60,
            headers={"Idempotency-Key": "k-1"}, trust_env=False,
        )  # fmt: skip
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
        assert not early.done()
        both.vendor.release()
        assert early.result().status_code == 200


def test_a_caller_has_its_share_of_a_day_and_no_more(store: Server) -> None:
    now = 86_400.0 * 20_000

    async def main() -> list[bool]:
        link = RedisLink(RedisServer("127.0.0.1", store.port), "test")
        one, other = (StorageShare(link, "share:", 100, lambda: now) for _ in range(2))
        took = [
            await one.takes("a", 60), await other.takes("a", 60), await other.takes("a", 40),
            await one.takes("a", 1), await one.takes("b", 100), await one.takes("", 1000),
        ]  # fmt: skip
        tomorrow = StorageShare(link, "share:", 100, lambda: now + 86_400.0)
        took.append(await tomorrow.takes("a", 100))
        hour = StorageShare(link, "hour:", 100, lambda: now, life=3600.0)
        next_hour = StorageShare(link, "hour:", 100, lambda: now + 3600.0, life=3600.0)
        took += [await hour.takes("a", 100), await hour.takes("a", 1), await next_hour.takes("a", 100)]
        await link.close()
        return took

    with client.Redis(port=store.port) as link:
        link.flushall()
        assert asyncio.run(main()) == [True, False, True, False, True, True, True, True, False, True]
        assert all(0 < int(link.ttl(key)) <= 86_400 for key in link.keys("share:*"))
        assert len(list(link.keys("share:*"))) == 3


def test_without_redis_the_answer_says_that_it_is_not_kept_and_nginx_is_told_to_send_it_once(
    tmp_path: Path,
) -> None:
    with redis(tmp_path / "redis") as own, pair(own, tmp_path, "tamarind", "good", "good") as both:
        kept = both.send(both.first).result()
        assert "Idempotency-Kept" not in kept.headers
        own.kill()
        time.sleep(0.1)
        fresh = {"Idempotency-Key": "k-2"}
        answer = both.send(both.first, **fresh).result()
        assert (answer.status_code, answer.headers["Idempotency-Kept"]) == (200, "no")
        for accept in ("application/json", "text/event-stream"):
            headers = {"Idempotency-Key": f"k-{accept}", "X-Techsapo-Retried": "1", "Accept": accept}
            told = both.send(both.second, **headers).result()
            assert (told.status_code, told.headers["X-Accel-Redirect"]) == (409, "@techsapo_once")
        assert json.loads(answer.text)["cost_usd"] > 0


def test_what_redis_does_not_take_in_the_end_leaves_the_replies_that_came_and_the_client_is_told(
    tmp_path: Path,
) -> None:
    with redis(tmp_path / "redis") as own, pair(own, tmp_path, "ugli", "good", "held") as both:
        early = both.send(both.first)
        wait_for(lambda: both.journal("ended ") == 1 and both.asked("held answers") == 1, what="one reply")
        both.redis.config_set("maxmemory-policy", "noeviction")
        both.redis.config_set("maxmemory", 1)
        both.vendor.release()
        told = early.result()
        assert (told.status_code, told.headers["Idempotency-Kept"]) == (200, "no")
        both.redis.config_set("maxmemory", 0)
        again = both.send(both.second).result()
        assert again.status_code == 200
        assert both.asked("good answers") == 1, "it has replied before"
        assert both.journal("") == 0
