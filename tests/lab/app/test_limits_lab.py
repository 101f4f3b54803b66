"""Requests a minute, counted over two instances."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import httpx
import pytest
from api_keys import make_key, with_key
from orchestrator import serving
from servers import redis, wait_for

from techsapo_ops.adapters.redis import RedisServer
from techsapo_ops.stores.limits import RateLimiter

pytestmark = pytest.mark.lab


def test_two_instances_together_allow_no_more_than_the_plan(tmp_path: Path) -> None:
    with redis(tmp_path / "redis") as server:
        shared = {
            "app": {"auth": {"required": True, "keys_file": str(tmp_path / "keys.json")}},
            "redis": {"enabled": True, "port": server.port},
        }
        with serving(tmp_path / "a", **shared) as a, serving(tmp_path / "b", **shared) as b:
            key = make_key(tmp_path / "keys.json", "busy", per_minute=40)
            wait_for(lambda: with_key(a, key).status_code == 200, what="key known")
            wait_for(lambda: with_key(b, key).status_code == 200, what="key known")

            async def flood() -> list[httpx.Response]:
                async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
                    headers = {"Authorization": f"Bearer {key}"}
                    urls = [app.url for app in (a, b)] * 40
                    return list(
                        await asyncio.gather(
                            *(
                                client.post(
                                    f"{u}/api/v1/generate", json={"prompt": "disk full"}, headers=headers
                                )
                                for u in urls
                            )
                        )
                    )

            answers = asyncio.run(flood())
            codes = Counter(r.status_code for r in answers)
            metrics = "".join(
                httpx.get(f"{app.url}/metrics", trust_env=False, timeout=60).text for app in (a, b)
            )
    assert set(codes) == {200, 429}
    assert codes[200] == 38  # two were used to see that the key is known
    refused = next(r for r in answers if r.status_code == 429)
    assert refused.json()["code"] == "rate_limited"
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["x-ratelimit-limit"] == "40"
    assert refused.headers["x-ratelimit-remaining"] == "0"
    allowed = next(r for r in answers if r.status_code == 200)
    assert 0 <= int(allowed.headers["x-ratelimit-remaining"]) < 40
    assert 'techsapo_rate_limit_hits_total{plan="basic"}' in metrics


def test_while_redis_is_away_each_instance_counts_for_itself(tmp_path: Path) -> None:
    async def main() -> None:
        limiter = RateLimiter(RedisServer("127.0.0.1", server.port), "lab")
        assert (await limiter.hit("k", 2)).allowed
        server.kill()
        told = [(await limiter.hit("k", 2)).allowed for _ in range(3)]
        assert told == [True, True, False]
        await limiter.close()

    with redis(tmp_path) as server:
        asyncio.run(main())
