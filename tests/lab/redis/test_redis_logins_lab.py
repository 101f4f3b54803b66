"""How a Redis that runs gets accounts, step by step, on a server alone; stacks: redis_login_turned_on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from servers import Server, binary, free_port, running, tcp_open
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
    exporter_file,
    password_file,
)
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.topology import Topology

pytestmark = pytest.mark.lab

DOOR = Door(SubprocessRunner())
OPEN, CLOSED = (f"user {line.replace(' reset', '')}" for line in (NAMELESS_ON, NAMELESS_OFF))


@pytest.fixture
def port() -> int:
    return free_port()


def where(folder: Path, port: int, *, accounts: bool = True) -> Topology:
    (folder / ".techsapo" / "keys").mkdir(parents=True, exist_ok=True)
    return topology(spec(redis={"port": port, "accounts": accounts}), folder)


@contextmanager
def server(made: Topology, *options: str) -> Iterator[Server]:
    """Redis at the port of the spec; without `options` with no account at all."""
    folder = made.layout.state / "data"
    folder.mkdir(exist_ok=True)
    port = made.spec.redis.port
    argv = [
        binary("redis-server"),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(folder),
        *options,
    ]
    with running(argv, folder, port, lambda: tcp_open(port)) as found:
        yield found


@contextmanager
def with_accounts(made: Topology) -> Iterator[Server]:
    """Redis as the stack starts it anew."""
    with server(made, "--aclfile", str(accounts_file(made.layout))) as found:
        yield found


def client(made: Topology, account: str | None = None) -> redis.Redis:
    password = password_file(made.layout, account).read_text() if account else None
    return redis.Redis(port=made.spec.redis.port, username=account, password=password)


def lets_everybody_in(made: Topology) -> bool:
    try:
        return bool(client(made).ping())
    except redis.AuthenticationError:
        return False


def first_line(made: Topology) -> str:
    return accounts_file(made.layout).read_text().splitlines()[0]


def nobody() -> list[str]:
    return []


def test_a_stack_that_does_not_run_begins_closed(tmp_path: Path, port: int) -> None:
    made = where(tmp_path, port)
    logins.before_steps(made, None)
    assert first_line(made) == CLOSED
    with with_accounts(made):
        assert not lets_everybody_in(made)
        assert client(made, OPERATOR).ping()
        assert logins.after_steps(made, DOOR, nobody) == ""


def test_one_that_lets_everybody_in_goes_on_doing_so_until_all_clients_log_in(
    tmp_path: Path, port: int
) -> None:
    made = where(tmp_path, port)
    with server(made):
        logins.before_steps(made, DOOR)
    assert first_line(made) == OPEN
    with with_accounts(made):
        logins.before_steps(made, DOOR)  # as by an `up` after one that was killed here
        assert first_line(made) == OPEN
        told = logins.after_steps(made, DOOR, lambda: ["app-2"])
        assert "since app-2 has none yet" in told
        assert (first_line(made), lets_everybody_in(made)) == (OPEN, True)
        assert logins.after_steps(made, DOOR, nobody) == ""
        assert (first_line(made), lets_everybody_in(made)) == (CLOSED, False)
    with with_accounts(made):
        assert not lets_everybody_in(made), "also after a crash"


def test_connections_without_a_login_end_with_it_and_are_named(tmp_path: Path, port: int) -> None:
    made = where(tmp_path, port)
    with server(made):
        logins.before_steps(made, DOOR)
    with with_accounts(made):
        left = client(made).client()
        left.ping()
        told = logins.after_steps(made, DOOR, nobody)
        assert told.startswith(
            "Redis wants a login now; 1 connections without one were ended, from 127.0.0.1:"
        )
        with pytest.raises((redis.ConnectionError, redis.AuthenticationError)):
            left.ping()


def test_one_that_hangs_keeps_what_its_file_says(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "_SECONDS", 0.3)
    made = where(tmp_path, port)
    with server(made) as hung:
        logins.before_steps(made, DOOR)
        hung.process.send_signal(signal.SIGSTOP)
        try:
            logins.before_steps(made, DOOR)
        finally:
            hung.process.send_signal(signal.SIGCONT)
    assert first_line(made) == OPEN


def test_other_rights_reach_a_server_that_runs(tmp_path: Path, port: int) -> None:
    made = where(tmp_path, port)
    logins.before_steps(made, None)
    file = accounts_file(made.layout)
    file.write_text(file.read_text().replace("-@dangerous", "-flushall"))
    with with_accounts(made):
        assert client(made, APP).keys() == []
        logins.before_steps(made, DOOR)
        with pytest.raises(redis.exceptions.NoPermissionError):
            client(made, APP).keys()
        assert not lets_everybody_in(made)


def test_going_back_lets_everybody_in_first_and_takes_the_accounts_last(tmp_path: Path, port: int) -> None:
    before = where(tmp_path, port)
    logins.before_steps(before, None)
    made = where(tmp_path, port, accounts=False)
    with with_accounts(before):
        logins.before_steps(made, DOOR)
        assert lets_everybody_in(made)
        assert client(before, APP).ping()
    with server(made):  # as the earlier apply starts it
        logins.started(made, DOOR)
        assert client(before, APP).ping()
        assert logins.after_steps(made, DOOR, lambda: ["app-1"]) == ""
        assert client(before, EXPORTER).info()
        assert logins.after_steps(made, DOOR, nobody) == ""
        assert client(made).acl_users() == ["default"]
    files = [password_file(made.layout, account) for account in (APP, EXPORTER, OPERATOR)]
    assert not [f for f in (*files, exporter_file(made.layout), accounts_file(made.layout)) if f.exists()]
    logins.before_steps(made, None)
    assert not files[0].exists()


def test_a_password_of_the_spec_is_never_opened_to_everybody(tmp_path: Path, port: int) -> None:
    before = where(tmp_path, port)
    logins.before_steps(before, None)
    given = topology(spec(redis={"port": port, "password": "mine"}), tmp_path)
    with with_accounts(before):
        logins.before_steps(given, DOOR)
        assert not lets_everybody_in(given)
    with server(given, "--requirepass", "mine"):
        logins.started(given, DOOR)
        assert logins.after_steps(given, DOOR, nobody) == ""
        assert not lets_everybody_in(given)
    assert not password_file(given.layout, APP).exists()
