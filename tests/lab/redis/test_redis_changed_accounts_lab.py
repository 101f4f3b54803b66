"""A Redis that runs is given accounts, or other rights for them, and keeps its data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from projects import only_redis, project
from redis.backoff import NoBackoff
from redis.retry import Retry
from servers import binary, free_port, running, tcp_open
from stacks import spec, topology

from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.services.redis.accounts import APP, OPERATOR, accounts_file, password_file
from techsapo_ops.services.redis.runtime import before_steps
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.own_tls import ca_file
from techsapo_ops.stack.topology import Topology

pytestmark = pytest.mark.lab


def client(layout: Layout, port: int, account: str | None = None, ca: Path | None = None) -> redis.Redis:
    password = password_file(layout, account).read_text() if account else None
    # By default a refused login counts as a lost connection, which is tried for again for seconds.
    return redis.Redis(
        port=port, username=account, password=password, retry=Retry(NoBackoff(), 0),
        ssl=ca is not None, ssl_ca_certs=str(ca) if ca is not None else None,
    )  # fmt: skip


@contextmanager
def server(wanted: Topology) -> Iterator[None]:
    port, data = wanted.spec.redis.port, wanted.layout.state / "data"
    data.mkdir()
    at = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(data))
    argv = [binary("redis-server"), *at, "--aclfile", str(accounts_file(wanted.layout))]
    with running(argv, data, port, lambda: tcp_open(port)):
        yield


def test_other_rights_reach_a_server_that_runs(tmp_path: Path) -> None:
    (tmp_path / ".techsapo" / "keys").mkdir(parents=True)
    wanted = topology(spec(redis={"port": free_port()}), tmp_path)
    before_steps(wanted, None)
    file, port = accounts_file(wanted.layout), wanted.spec.redis.port
    file.write_text(file.read_text().replace("-@dangerous", "-flushall"))
    with server(wanted):
        assert client(wanted.layout, port, APP).keys() == []
        before_steps(wanted, Door(SubprocessRunner()))
        with pytest.raises(redis.exceptions.NoPermissionError):
            client(wanted.layout, port, APP).keys()
        with pytest.raises(redis.AuthenticationError):
            client(wanted.layout, port).ping()


def test_accounts_and_tls_are_turned_on_and_off_and_on_again_without_a_loss_of_data() -> None:
    login = {"port": free_port(), "accounts": False}
    with project(only_redis(redis=login, schedule={"by": "none"})) as made:
        made.run("up")
        client(made.layout, login["port"]).set("mine", "kept")
        made.write(redis={**login, "accounts": True, "tls": True})
        made.run("up", "--yes")
        operator = client(made.layout, login["port"], OPERATOR, ca=ca_file(made.layout, "redis"))
        assert operator.get("mine") == b"kept"
        assert {each["user"] for each in operator.client_list()} <= {APP, OPERATOR}
        made.run("rollback", "--yes")
        assert client(made.layout, login["port"]).get("mine") == b"kept"
        made.run("up", "--yes")
        asked = client(made.layout, login["port"], OPERATOR, ca=ca_file(made.layout, "redis"))
        assert asked.get("mine") == b"kept"
        made.well()
