"""A stack that runs is given accounts of Redis and has them taken away; no request fails, no data is lost."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import redis
from killed import killed_at
from projects import Project, only_redis, project
from servers import free_port, wait_for

from techsapo_ops.services.redis.accounts import APP, EXPORTER, OPERATOR, accounts_file, password_file

pytestmark = pytest.mark.lab


def without_login() -> dict[str, Any]:
    """Two instances behind nginx, and a Redis that lets everybody in."""
    spec = only_redis(redis={"port": free_port(), "accounts": False}, nginx={"listen": free_port()})
    spec["app"] = {"drain": "1s", "instances": [{"port": free_port()}, {"port": free_port()}]}
    spec["monitoring"]["exporters"]["redis"]["enabled"] = True
    return spec


@pytest.fixture
def stack() -> Iterator[Project]:
    with project(without_login()) as made:
        made.run("up")
        yield made


def client(made: Project, account: str | None = None) -> redis.Redis:
    password = password_file(made.layout, account).read_text() if account else None
    return redis.Redis(port=made.spec["redis"]["port"], username=account, password=password)


def lets_everybody_in(made: Project) -> bool:
    try:
        return bool(client(made).ping())
    except redis.AuthenticationError:
        return False


def turn(made: Project, *, on: bool) -> None:
    """Write it into the spec."""
    made.write(redis={**made.spec["redis"], "accounts": on})


def users_of(made: Project, account: str | None) -> set[str]:
    """The accounts of the clients that the server has now."""
    return {entry["user"] for entry in client(made, account).client_list()}


@contextmanager
def asked(made: Project) -> Iterator[Counter[str]]:
    """Questions through nginx as long as the block lasts, counted by how they ended."""
    url = f"http://127.0.0.1:{made.spec['nginx']['listen']}/api/v1/generate"
    stop, counts = threading.Event(), Counter[str]()

    def ask(number: int) -> None:
        n = 0
        while not stop.is_set():
            n += 1
            body = json.dumps({"prompt": f"disk {number} of host {n % 7} is full"}).encode()
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    answer.read()
                    counts[str(answer.status)] += 1
            except OSError as error:
                counts[f"failed: {error}"] += 1
            stop.wait(0.05)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: counts["200"] > 5, what="questions under way")
        yield counts
        seen = counts["200"]
        wait_for(lambda: counts["200"] > seen + 5, what="questions afterwards")
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_it_is_turned_on_and_off_and_back_on_under_load(stack: Project) -> None:
    assert lets_everybody_in(stack)
    client(stack).set("mine", "kept")
    turn(stack, on=True)
    with asked(stack) as counts:
        said = stack.run("up", "--yes")
        assert not lets_everybody_in(stack)
        assert users_of(stack, OPERATOR) <= {APP, EXPORTER, OPERATOR}
        assert client(stack, OPERATOR).get("mine") == b"kept"
        stack.run("plan")
        with pytest.raises(redis.AuthenticationError):
            client(stack).set("lab:sealed-answer:1", "x")

        stack.run("rollback", "--yes")
        assert lets_everybody_in(stack)
        assert users_of(stack, None) == {"default"}
        assert client(stack).get("mine") == b"kept"
        assert not accounts_file(stack.layout).exists()

        stack.run("up", "--yes")
        assert not lets_everybody_in(stack)
        assert client(stack, OPERATOR).get("mine") == b"kept"
    assert set(counts) == {"200"}, counts
    assert "without one were ended" not in said.stderr
    stack.run("plan")
    stack.well()


def test_connections_of_others_without_a_login_are_ended_and_told(stack: Project) -> None:
    turn(stack, on=True)
    applying = stack.popen("up", "--yes")
    while applying.poll() is None:
        # Somebody's script: it keeps a connection, and comes back by itself while Redis starts anew.
        with suppress(redis.RedisError):
            client(stack).blpop(["lab-nothing"], timeout=1)
    _, stderr = applying.communicate()
    said = " ".join(stderr.split())
    assert applying.returncode == 0, said
    assert "connections without one were ended, from 127.0.0.1:" in said
    assert "secrets show redis-operator" in said
    assert not lets_everybody_in(stack)


def test_a_stack_of_the_first_edition_has_no_login_is_warned_and_gets_one_by_edition_2() -> None:
    spec = only_redis(nginx={"enabled": False})
    with project(spec) as made:
        made.state.mkdir()
        (made.state / "edition").write_text("1\n")
        assert "no login at Redis (redis.accounts)" in made.run("up").stderr
        assert lets_everybody_in(made)
        assert "`edition: 2`" in made.run("validate").stderr
        made.run("plan")
        made.write(edition=2)
        assert "older defaults" not in made.run("up", "--yes").stderr
        assert not lets_everybody_in(made)
        made.run("plan")


@pytest.mark.parametrize("point", ["prepared", "services", "closing", "closed"])
def test_killed_at_any_step_the_next_up_completes_it(stack: Project, point: str) -> None:
    turn(stack, on=True)
    killed_at(stack, point, "up", "--yes")
    assert lets_everybody_in(stack) or client(stack, APP).ping()
    stack.run("up", "--yes")
    assert not lets_everybody_in(stack)
    assert users_of(stack, OPERATOR) <= {APP, EXPORTER, OPERATOR}
    stack.well()
    stack.run("plan")
