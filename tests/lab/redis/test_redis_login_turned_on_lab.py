"""A Redis that runs is given accounts: no request fails and no data is lost, by its steps and by `up`."""

from __future__ import annotations

import json
import signal
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from killed import killed_at
from projects import Project, only_redis, project
from redis.backoff import NoBackoff
from redis.retry import Retry
from servers import Server, binary, free_port, running, tcp_open, wait_for
from stacks import spec, topology

from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.services.redis import logins
from techsapo_ops.services.redis.accounts import (
    APP,
    EXPORTER,
    NAMELESS_OFF,
    NAMELESS_ON,
    OPERATOR,
    accounts_file,
    password_file,
)
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.topology import Topology

pytestmark = pytest.mark.lab

DOOR = Door(SubprocessRunner())
OPEN, CLOSED = (f"user {line.replace(' reset', '')}" for line in (NAMELESS_ON, NAMELESS_OFF))


def client(layout: Layout, port: int, account: str | None = None) -> redis.Redis:
    password = password_file(layout, account).read_text() if account else None
    # By default a refused login counts as a lost connection, which is tried for again for seconds.
    return redis.Redis(port=port, username=account, password=password, retry=Retry(NoBackoff(), 0))


def lets_everybody_in(layout: Layout, port: int) -> bool:
    try:
        return bool(client(layout, port).ping())
    except redis.AuthenticationError:
        return False


class Alone:
    """A Redis without a stack, which the steps of an `up` are taken with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        (folder / ".techsapo" / "keys").mkdir(parents=True)
        self.made = self.wanted()
        self.layout = self.made.layout

    def wanted(self, **login: Any) -> Topology:
        return topology(spec(redis={"port": self.port, **(login or {"accounts": True})}), self.folder)

    @contextmanager
    def server(self, *options: str) -> Iterator[Server]:
        """Redis at the port of the spec; without `options` with no account at all."""
        data = self.layout.state / "data"
        data.mkdir(exist_ok=True)
        at = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(data))
        argv = [binary("redis-server"), *at, *options]
        with running(argv, data, self.port, lambda: tcp_open(self.port)) as found:
            yield found

    @contextmanager
    def with_accounts(self) -> Iterator[Server]:
        """Redis as the stack starts it anew."""
        with self.server("--aclfile", str(accounts_file(self.layout))) as found:
            yield found

    @property
    def open(self) -> bool:
        return lets_everybody_in(self.layout, self.port)

    @property
    def first_line(self) -> str:
        return accounts_file(self.layout).read_text().splitlines()[0]


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    return Alone(tmp_path)


def nobody() -> list[str]:
    return []


def test_one_that_lets_everybody_in_goes_on_doing_so_until_all_clients_log_in(alone: Alone) -> None:
    with alone.server():
        logins.before_steps(alone.made, DOOR)
    assert alone.first_line == OPEN
    with alone.with_accounts():
        logins.before_steps(alone.made, DOOR)  # as by an `up` after one that was killed here
        assert alone.first_line == OPEN
        left = client(alone.layout, alone.port).client()
        left.ping()
        told = logins.after_steps(alone.made, DOOR, lambda: ["app-2"])
        assert "since app-2 has none yet" in told
        assert (alone.first_line, alone.open) == (OPEN, True)
        told = logins.after_steps(alone.made, DOOR, nobody)
        assert "1 connections without one were ended, from 127.0.0.1:" in told
        assert (alone.first_line, alone.open) == (CLOSED, False)
        with pytest.raises((redis.ConnectionError, redis.AuthenticationError)):
            left.ping()
    with alone.with_accounts():
        assert not alone.open, "also after a crash"


def test_one_that_hangs_keeps_what_its_file_says(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "_SECONDS", 0.3)
    with alone.server() as hung:
        logins.before_steps(alone.made, DOOR)
        hung.process.send_signal(signal.SIGSTOP)
        try:
            logins.before_steps(alone.made, DOOR)
        finally:
            hung.process.send_signal(signal.SIGCONT)
    assert alone.first_line == OPEN


def test_other_rights_reach_a_server_that_runs(alone: Alone) -> None:
    logins.before_steps(alone.made, None)
    file = accounts_file(alone.layout)
    file.write_text(file.read_text().replace("-@dangerous", "-flushall"))
    with alone.with_accounts():
        assert client(alone.layout, alone.port, APP).keys() == []
        logins.before_steps(alone.made, DOOR)
        with pytest.raises(redis.exceptions.NoPermissionError):
            client(alone.layout, alone.port, APP).keys()
        assert not alone.open


def test_a_password_of_the_spec_is_never_opened_to_everybody(alone: Alone) -> None:
    logins.before_steps(alone.made, None)
    given = alone.wanted(password="mine")
    with alone.with_accounts():
        logins.before_steps(given, DOOR)
        assert not alone.open
    with alone.server("--requirepass", "mine"):
        logins.started(given, DOOR)
        assert logins.after_steps(given, DOOR, nobody) == ""
        assert not alone.open
    assert not password_file(alone.layout, APP).exists()


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    """Two instances behind nginx, and a Redis that lets everybody in."""
    login = {"port": free_port(), "accounts": False}
    without = only_redis(redis=login, nginx={"listen": free_port()}, schedule={"by": "none"})
    without["app"] = {"drain": "1s", "instances": [{"port": free_port()}, {"port": free_port()}]}
    without["monitoring"]["exporters"]["redis"] = free_port()
    with project(without) as made:
        made.run("up")
        yield made


def at(made: Project, account: str | None = None) -> redis.Redis:
    return client(made.layout, made.spec["redis"]["port"], account)


def everybody(made: Project) -> bool:
    return lets_everybody_in(made.layout, made.spec["redis"]["port"])


def turn(made: Project, *, on: bool) -> None:
    """Write it into the spec."""
    made.write(redis={**made.spec["redis"], "accounts": on})


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
    at(stack).set("mine", "kept")
    turn(stack, on=True)
    with asked(stack) as counts:
        said = stack.run("up", "--yes")
        assert not everybody(stack)
        assert {e["user"] for e in at(stack, OPERATOR).client_list()} <= {APP, EXPORTER, OPERATOR}
        assert at(stack, OPERATOR).get("mine") == b"kept"

        stack.run("rollback", "--yes")
        assert everybody(stack)
        assert {e["user"] for e in at(stack).client_list()} == {"default"}
        assert at(stack).get("mine") == b"kept"
        assert not accounts_file(stack.layout).exists()

        stack.run("up", "--yes")
        assert not everybody(stack)
        assert at(stack, OPERATOR).get("mine") == b"kept"
    assert set(counts) == {"200"}, counts
    assert "without one were ended" not in said.stderr
    stack.run("plan")
    stack.well()


def test_killed_at_each_step_the_next_up_goes_on_from_there(stack: Project) -> None:
    turn(stack, on=False)
    stack.write(app={"drain": "0s", "port": stack.spec["app"].get("port") or free_port()})
    stack.run("up", "--yes")
    assert everybody(stack)
    turn(stack, on=True)
    for point in ("services", "closing", "closed"):
        killed_at(stack, point, "up", "--yes")
        assert everybody(stack) or at(stack, APP).ping(), point
    stack.run("up", "--yes")
    assert not everybody(stack)
    assert {e["user"] for e in at(stack, OPERATOR).client_list()} <= {APP, EXPORTER, OPERATOR}
    stack.run("plan")
