"""A Redis with an account of its own: everything of the stack logs in with it, and nobody else gets in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis
from backup_lab import stack_of
from guarded_redis import USER, client, fetched, guarded_spec
from projects import Project, project

from techsapo_ops.errors import OpsError
from techsapo_ops.services.redis import contents
from techsapo_ops.services.redis.door import redis_door
from techsapo_ops.stack.own_tls import ca_file
from techsapo_ops.stores.limits import RateLimiter
from techsapo_ops.stores.shared import redis_server

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "tls"])
def lab(request: pytest.FixtureRequest) -> Iterator[Project]:
    with project(guarded_spec(tls=request.param, appendonly=True)) as made:
        made.run("up")
        yield made


def test_a_stack_is_healthy_and_its_app_keeps_what_it_shares_in_redis(lab: Project) -> None:
    found = {part["name"]: part["status"] for part in lab.health()["probes"]}
    assert (found["redis"], found["app"], found["redis-exporter"]) == ("healthy",) * 3
    cache = json.loads(fetched(lab.spec["app"]["port"], "/api/v1/health"))["dependencies"]["cache"]
    assert (cache["status"], cache["in_use"]) == ("healthy", "redis")
    lab.run("ask", "Dockerコンテナが起動しない", "--json")
    said = "\n".join(key.decode() for key in client(lab).scan_iter())
    assert "lab:sealed-answer:" in said
    assert "lab:budget:" in said
    assert {entry["user"] for entry in client(lab).client_list()} == {USER}
    lab.run("plan")


def test_requests_are_counted_in_redis(lab: Project) -> None:
    async def main() -> None:
        limiter = RateLimiter(redis_server(stack_of(lab).spec.redis, ca_file(lab.layout, "redis")), "counted")
        assert (await limiter.hit("somebody", 2)).allowed
        await limiter.close()

    asyncio.run(main())
    assert list(client(lab).scan_iter("counted*"))


def test_redis_exporter_reads_it(lab: Project) -> None:
    port = lab.spec["monitoring"]["exporters"]["redis"]["port"]
    assert "\nredis_up 1\n" in fetched(port, "/metrics")


def test_nobody_else_gets_in(lab: Project) -> None:
    with pytest.raises(redis.AuthenticationError):
        client(lab, username=None, password=None).ping()
    for wrong in ({"username": None}, {"username": "default"}, {"password": "x"}):
        with pytest.raises(redis.AuthenticationError):
            client(lab, **wrong).ping()


def test_what_was_backed_up_comes_back(lab: Project) -> None:
    keys = client(lab)
    keys.mset({f"k{n}": n for n in range(300)})
    keys.hset("hash", mapping={"a": "値"})
    made = json.loads(lab.run("backup", "create", "--only", "redis", "--json").stdout)
    assert json.loads(lab.run("backup", "verify", "--latest", "--deep", "--json").stdout)["ok"] is True
    keys.delete("k7", "hash")
    keys.set("later", 1)
    lab.run("restore", made["id"], "--only", "redis", "--yes")
    assert (keys.get("k7"), keys.hget("hash", "a"), keys.get("later")) == (b"7", "値".encode(), None)
    assert lab.health()["status"] == "healthy"


def test_an_account_that_redis_does_not_know_is_told_with_the_fields_to_check(lab: Project) -> None:
    door = redis_door(stack_of(lab))
    with pytest.raises(OpsError, match=r"NOAUTH|WRONGPASS") as caught:
        contents.counts(replace(door, env={"REDISCLI_AUTH": "wrong"}))
    assert "redis.user and redis.password" in caught.value.hint
