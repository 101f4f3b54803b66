"""A Redis with an account for each client, made at the first start: who gets in, and what each may do."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import servers
from guarded_redis import fetched
from projects import Project, another_user, only_redis, project
from rows import each_row
from servers import free_port
from terminal import typed

from techsapo_ops.services.redis.accounts import (
    APP,
    EXPORTER,
    OPERATOR,
    accounts_file,
    exporter_file,
    password_file,
)
from techsapo_ops.stack.own_tls import ca_file

pytestmark = pytest.mark.lab


def spec_with(**options: Any) -> dict[str, Any]:
    """Redis with its exporter, and the app."""
    spec = only_redis(redis={"port": free_port(), **options}, nginx={"enabled": False})
    spec["monitoring"]["exporters"]["redis"]["enabled"] = True
    return spec


def client(made: Project, account: str | None) -> redis.Redis:
    """A client that logs in by `account`, or not at all."""
    password = password_file(made.layout, account).read_text() if account else None
    login: dict[str, Any] = {"username": account, "password": password}
    if made.spec["redis"].get("tls"):
        login |= {"ssl": True, "ssl_ca_certs": str(ca_file(made.layout, "redis")), "ssl_check_hostname": True}
    return redis.Redis(port=made.spec["redis"]["port"], **login)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "tls"])
def lab(request: pytest.FixtureRequest) -> Iterator[Project]:
    with project(spec_with(tls=request.param, appendonly=request.param)) as made:
        made.run("up")
        yield made


def test_a_new_stack_is_healthy_and_each_client_has_an_account_of_its_own(lab: Project) -> None:
    found = {part["name"]: part["status"] for part in lab.health()["probes"]}
    assert (found["redis"], found["app"], found["redis-exporter"]) == ("healthy",) * 3
    lab.run("ask", "Dockerコンテナが起動しない", "--json")
    assert {entry["user"] for entry in client(lab, OPERATOR).client_list()} <= {APP, EXPORTER, OPERATOR}
    keys = {key.decode().split(":")[1] for key in client(lab, OPERATOR).scan_iter()}
    assert {"sealed-answer", "budget"} <= keys


def test_a_local_user_without_a_password_can_do_nothing(lab: Project) -> None:
    stranger = client(lab, None)
    for command in (("SET", "lab:sealed-answer:1", "x"), ("FLUSHALL",), ("PING",), ("CONFIG", "GET", "*")):
        with pytest.raises(redis.AuthenticationError):
            stranger.execute_command(*command)


@each_row(
    "command",
    [
        "FLUSHALL", "FLUSHDB", "CONFIG GET *", "KEYS *", "DEBUG OBJECT lab:1", "SHUTDOWN NOSAVE", "MONITOR",
        "ACL LIST", "CLIENT LIST", "REPLICAOF 127.0.0.1 1", "SAVE", "MODULE LIST", "FUNCTION FLUSH",
        "SET other:1 x", "PUBLISH a b", "INFO server", "SWAPDB 0 1",
    ],
)  # fmt: skip
def test_the_apps_account_may_not(lab: Project, command: str) -> None:
    with pytest.raises(
        (redis.exceptions.NoPermissionError, redis.ResponseError), match=r"permission|not allowed"
    ):
        client(lab, APP).execute_command(*command.split())


def test_a_script_of_the_app_may_do_no_more(lab: Project) -> None:
    with pytest.raises(redis.ResponseError, match=r"permission|ACL failure"):
        client(lab, APP).eval("return redis.call('FLUSHALL')", 0)


def test_the_exporter_reads_all_that_it_would_as_operator(lab: Project) -> None:
    metrics = fetched(lab.spec["monitoring"]["exporters"]["redis"]["port"], "/metrics")
    assert "\nredis_up 1\n" in metrics
    assert 'redis_exporter_last_scrape_error{err=""} 0' in metrics
    assert "\nredis_config_maxmemory " in metrics
    assert "\nredis_slowlog_length " in metrics
    for command in (
        ("GET", "lab:x"),
        ("SET", "lab:x", "1"),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("KEYS", "*"),
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client(lab, EXPORTER).execute_command(*command)


def test_passwords_are_their_users_alone_and_on_no_command_line(lab: Project) -> None:
    files = [password_file(lab.layout, a) for a in (APP, EXPORTER, OPERATOR)]
    for file in (*files, accounts_file(lab.layout), exporter_file(lab.layout)):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    passwords = [file.read_text() for file in files]
    assert len(set(passwords)) == 3
    texts = [accounts_file(lab.layout).read_text()]
    texts += [p.read_text(errors="replace") for p in (lab.state / "generated").rglob("*") if p.is_file()]
    processes = psutil.process_iter(["cmdline"])  # of one that has ended meanwhile it is None
    texts += [" ".join(p.info["cmdline"] or ()) for p in processes]
    assert not [word for word in passwords for text in texts if word in text]


def test_a_second_up_changes_nothing(lab: Project) -> None:
    before = client(lab, OPERATOR).info("server")["run_id"]
    lab.run("plan")
    steps = json.loads(lab.run("up", "--json").stdout)["steps"]
    assert {step["action"] for step in steps} == {"nothing"}
    lab.run("drift")
    assert client(lab, OPERATOR).info("server")["run_id"] == before


def test_what_was_backed_up_comes_back(lab: Project) -> None:
    keys = client(lab, OPERATOR)
    keys.mset({f"k{n}": n for n in range(300)})
    made = json.loads(lab.run("backup", "create", "--only", "redis", "--json").stdout)
    assert json.loads(lab.run("backup", "verify", "--latest", "--deep", "--json").stdout)["ok"] is True
    keys.delete("k7")
    keys.set("later", 1)
    lab.run("restore", made["id"], "--only", "redis", "--yes")
    assert (keys.get("k7"), keys.get("later")) == (b"7", None)
    assert lab.health()["status"] == "healthy"
    with pytest.raises(redis.AuthenticationError):
        client(lab, None).ping()


def test_the_guides_snapshot_by_hand_logs_in_as_the_page_says(lab: Project) -> None:
    page = (Path(__file__).parents[3] / "docs" / "running.md").read_text()
    line = next(line.strip() for line in page.splitlines() if "--rdb" in line)
    tls = f" --tls --cacert {ca_file(lab.layout, 'redis')}" if lab.spec["redis"]["tls"] else ""
    at_port = line.replace("redis-cli", f"redis-cli -p {lab.spec['redis']['port']}{tls}")
    at_port = at_port.replace("techsapo secrets", f"{sys.executable} -m techsapo_ops secrets")
    subprocess.run(["sh", "-c", at_port], cwd=lab.directory, check=True, timeout=60, capture_output=True)
    file = lab.directory / "dump.rdb"
    subprocess.run(
        [servers.binary("redis-check-rdb"), str(file)], check=True, timeout=60, capture_output=True
    )


def test_a_secret_is_shown_to_who_may_read_it_and_that_is_recorded(lab: Project) -> None:
    password = password_file(lab.layout, OPERATOR).read_text()
    shown = lab.run("secrets", "show", "redis-operator")
    assert shown.stdout == f"{password}\n"
    assert password not in shown.stderr
    assert "account techsapo_operator" in shown.stderr
    told = json.loads(lab.run("secrets", "show", "redis-operator", "--json").stdout)
    assert (told["account"], told["secret"]) == (OPERATOR, password)
    assert "did you mean redis-operator?" in lab.run("secrets", "show", "redis-operators", code=2).stderr
    listed = lab.run("secrets", "list").stdout
    assert password not in listed
    assert [line.split()[0] for line in listed.splitlines()[1:]] == [
        "redis-operator", "redis-app", "redis-exporter", "app-key",
    ]  # fmt: skip
    record = lab.run("audit", "show", "--json").stdout
    assert "secrets show" in record
    assert password not in record


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_exec_logs_in_as_the_operator_and_shows_the_password_to_nobody_else(lab: Project) -> None:
    whoami = lab.run("exec", "redis", "redis-cli", "ACL", "WHOAMI")
    assert (whoami.stdout, whoami.stderr) == (f"{OPERATOR}\n", "")
    waiting = lab.popen("exec", "redis", "redis-cli", "BLPOP", "lab:nothing", "60")
    try:

        def clients() -> list[psutil.Process]:
            children = psutil.Process(waiting.pid).children(recursive=True)
            return [child for child in children if child.name() == "redis-cli"]

        servers.wait_for(clients, what="redis-cli")
        (process,) = clients()
        password = password_file(lab.layout, OPERATOR).read_text().strip()
        assert password not in " ".join(process.cmdline())
        assert process.environ()["REDISCLI_AUTH"] == password
        assert process.uids().real == os.geteuid(), "who else may read it reads the file too"
        process.terminate()
        assert waiting.wait(60) == 128 + signal.SIGTERM
    finally:
        waiting.kill()
        waiting.communicate()
    # Its line editor throws away what was typed ahead, so one word has to do, and Enter is a carriage return.
    code, screen = typed(lab, "exec", "redis", ask="> ", answer="quit\r")
    assert (code, "failed" in screen) == (0, False), screen


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_another_user_may_not_enter_and_is_told_whose_the_stack_is(lab: Project) -> None:
    lab.launcher = another_user(65534)
    try:
        refused = lab.run("exec", "redis", code=1)
    finally:
        lab.launcher = ()
    assert "only its owner may enter the services of this stack" in refused.stderr
    assert "run it as root: `sudo " in refused.stderr


def test_another_user_is_told_whose_a_secret_is_and_health_still_works(lab: Project) -> None:
    lab.launcher = another_user(65534)
    try:
        refused = lab.run("secrets", "show", "redis-operator", code=1).stderr
        found = {part["name"]: part["status"] for part in lab.health()["probes"]}
    finally:
        lab.launcher = ()
    assert "redis-operator" in refused or "recorded" in refused
    assert found["redis"] == "healthy"


def test_a_password_that_became_known_is_replaced_as_the_runbook_says(lab: Project) -> None:
    files = [password_file(lab.layout, account) for account in (APP, EXPORTER, OPERATOR)]
    before = [file.read_text() for file in files]
    for file in files:
        file.unlink()
    lab.run("down")
    lab.run("up", "--yes")
    assert not set(before) & {file.read_text() for file in files}
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(
            port=lab.spec["redis"]["port"], username=OPERATOR, password=before[2],
            ssl=lab.spec["redis"]["tls"], ssl_ca_certs=str(ca_file(lab.layout, "redis")),
        ).ping()  # fmt: skip
    lab.well()
