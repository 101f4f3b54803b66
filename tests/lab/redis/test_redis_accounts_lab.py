"""A Redis with an account for each client and TLS: who gets in, what each may do, and what `up` renews."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import redis
import servers
from backup_lab import stack_of
from cryptography import x509
from guarded_redis import APP, EXPORTER, OPERATOR, account_of, fetched, guarded_spec, own_account
from projects import Project, another_user, project
from rows import each_row

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.probe import probe
from techsapo_ops.adapters.tls import served_certificate, trust_problem
from techsapo_ops.certs.self_signed import ensure
from techsapo_ops.errors import OpsError
from techsapo_ops.services.redis import contents
from techsapo_ops.services.redis.accounts import accounts_file, exporter_file, password_file
from techsapo_ops.services.redis.client import redis_door
from techsapo_ops.stack.own_tls import ca_file, certificate
from techsapo_ops.stack.service import Probe

pytestmark = pytest.mark.lab

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")


@pytest.fixture(scope="module")
def lab() -> Iterator[Project]:
    with project(guarded_spec(tls=True, appendonly=True)) as made:
        made.run("up")
        yield made


def in_use(made: Project) -> tuple[str, str]:
    """What the app uses as its cache, and whether the exporter reads Redis."""
    cache = json.loads(fetched(made.spec["app"]["port"], "/api/v1/health"))["dependencies"]["cache"]
    metrics = fetched(made.spec["monitoring"]["exporters"]["redis"], "/metrics")
    return cache["in_use"], next(line for line in metrics.splitlines() if line.startswith("redis_up "))


GOOD = ("redis", "redis_up 1")


def planned(made: Project, code: int = 100) -> dict[str, str]:
    steps = json.loads(made.run("plan", "--json", code=code).stdout)["steps"]
    return {s["service"]: s["reason"] for s in steps if s["action"] != "nothing"}


def test_a_new_stack_is_healthy_and_each_client_has_an_account_of_its_own(lab: Project) -> None:
    found = {part["name"]: part["status"] for part in lab.health()["probes"]}
    assert (found["redis"], found["app"], found["redis-exporter"]) == ("healthy",) * 3
    assert in_use(lab) == GOOD
    lab.run("ask", "Dockerコンテナが起動しない", "--json")
    assert {entry["user"] for entry in account_of(lab, OPERATOR).client_list()} <= {APP, EXPORTER, OPERATOR}
    keys = {key.decode().split(":")[1] for key in account_of(lab, OPERATOR).scan_iter()}
    assert {"sealed-answer", "budget"} <= keys
    assert planned(lab, code=0) == {}
    assert lab.findings(code=0) == {}


def test_without_tls_or_a_password_nobody_gets_a_word(lab: Project) -> None:
    with pytest.raises(redis.ConnectionError):
        account_of(lab, None, tls=False).ping()
    for command in (("SET", "lab:sealed-answer:1", "x"), ("FLUSHALL",), ("PING",), ("CONFIG", "GET", "*")):
        with pytest.raises(redis.AuthenticationError):
            account_of(lab, None).execute_command(*command)


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
        account_of(lab, APP).execute_command(*command.split())


def test_a_script_of_the_app_may_do_no_more(lab: Project) -> None:
    with pytest.raises(redis.ResponseError, match=r"permission|ACL failure"):
        account_of(lab, APP).eval("return redis.call('FLUSHALL')", 0)


def test_the_exporter_reads_all_that_it_would_as_operator_and_no_key(lab: Project) -> None:
    metrics = fetched(lab.spec["monitoring"]["exporters"]["redis"], "/metrics")
    for line in (
        "redis_up 1",
        'redis_exporter_last_scrape_error{err=""} 0',
        "redis_config_maxmemory ",
        "redis_slowlog_length ",
    ):
        assert f"\n{line}" in metrics
    for command in ("GET lab:x", "SET lab:x 1", "CONFIG SET maxmemory 1", "KEYS *"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            account_of(lab, EXPORTER).execute_command(*command.split())


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


def test_what_was_backed_up_comes_back_and_still_wants_a_login(lab: Project) -> None:
    keys = account_of(lab, OPERATOR)
    keys.mset({f"k{n}": n for n in range(300)})
    made = json.loads(lab.run("backup", "--only", "redis", "--json").stdout)
    assert json.loads(lab.run("backup", "verify", "--deep", "--json").stdout)["ok"] is True
    keys.delete("k7")
    keys.set("later", 1)
    lab.run("restore", made["id"], "--only", "redis", "--yes")
    assert (keys.get("k7"), keys.get("later")) == (b"7", None)
    assert lab.health()["status"] == "healthy"
    with pytest.raises(redis.AuthenticationError):
        account_of(lab, None).ping()


def test_the_guides_snapshot_by_hand_logs_in_as_the_page_says(lab: Project) -> None:
    page = (Path(__file__).parents[3] / "docs" / "running.md").read_text()
    line = next(line.strip() for line in page.splitlines() if "--rdb" in line)
    tls = f" --tls --cacert {ca_file(lab.layout, 'redis')}"
    at_port = line.replace("redis-cli", f"redis-cli -p {lab.spec['redis']['port']}{tls}")
    at_port = at_port.replace("techsapo config", f"{sys.executable} -m techsapo_ops config")
    subprocess.run(["sh", "-c", at_port], cwd=lab.directory, check=True, timeout=60, capture_output=True)
    check = [servers.binary("redis-check-rdb"), str(lab.directory / "dump.rdb")]
    subprocess.run(check, check=True, timeout=60, capture_output=True)


def test_a_secret_is_shown_to_who_may_read_it_and_that_is_recorded(lab: Project) -> None:
    password = password_file(lab.layout, OPERATOR).read_text()
    shown = lab.run("config", "secrets", "show", "redis-operator")
    assert shown.stdout == f"{password}\n"
    assert password not in shown.stderr
    assert password not in lab.run("config", "secrets", "list").stdout
    record = lab.run("audit", "show", "--json").stdout
    assert "config secrets show" in record
    assert password not in record


@as_root
def test_exec_logs_in_as_the_operator_and_shows_the_password_to_nobody_else(lab: Project) -> None:
    whoami = lab.run("exec", "redis", "redis-cli", "ACL", "WHOAMI")
    assert (whoami.stdout, whoami.stderr) == (f"{OPERATOR}\n", "")
    waiting = lab.popen("exec", "redis", "redis-cli", "BLPOP", "lab:nothing", "60")

    def clients() -> list[psutil.Process]:
        children = psutil.Process(waiting.pid).children(recursive=True)
        return [child for child in children if child.name() == "redis-cli"]

    try:
        servers.wait_for(clients, what="redis-cli")
        (process,) = clients()
        assert password_file(lab.layout, OPERATOR).read_text() not in " ".join(process.cmdline())
        assert process.uids().real == os.geteuid(), "who else may read its environment reads the file too"
    finally:
        for child in (*clients(), waiting):
            child.kill()
        waiting.communicate()


@as_root
def test_another_user_may_not_enter_nor_see_a_secret_and_health_still_works(lab: Project) -> None:
    lab.launcher = another_user(65534)
    try:
        entered = lab.run("exec", "redis", code=1).stderr
        shown = lab.run("config", "secrets", "show", "redis-operator", code=1)
        found = {part["name"]: part["status"] for part in lab.health()["probes"]}
    finally:
        lab.launcher = ()
    assert "only the owner of this stack can run commands in its services" in entered
    assert password_file(lab.layout, OPERATOR).read_text() not in shown.stdout + shown.stderr
    assert found["redis"] == "healthy"


def address(made: Project) -> Address:
    return Address("127.0.0.1", made.spec["redis"]["port"])


def served(made: Project) -> x509.Certificate:
    return x509.load_der_x509_certificate(served_certificate(address(made), None, timeout=5))


def kept(made: Project) -> x509.Certificate:
    return x509.load_pem_x509_certificate((certificate(made.layout, "redis") / "fullchain.pem").read_bytes())


def made_ago(made: Project, days: int) -> None:
    """Give Redis a certificate of so many days ago, as its next start would read it."""
    folder = certificate(made.layout, "redis")
    key = folder / "privkey.pem"
    owner = key.stat()
    key.unlink()
    names = ["redis", "localhost", "127.0.0.1", "::1"]
    ensure(folder, names, days=365, now=datetime.now(UTC) - timedelta(days=days))
    os.chown(key, owner.st_uid, owner.st_gid)


def test_the_certificate_is_for_every_name_and_trusted_by_its_ca_alone(lab: Project) -> None:
    ca = ca_file(lab.layout, "redis")
    for name in ("127.0.0.1", "localhost", "::1", "redis"):
        assert trust_problem(address(lab), name, timeout=5, ca_file=ca) == ""
    assert "mismatch" in trust_problem(address(lab), "other.example", timeout=5, ca_file=ca)
    assert trust_problem(address(lab), "localhost", timeout=5) != ""
    ensure(lab.directory / "stranger", ["localhost"], now=datetime.now(UTC))
    found = probe(Probe("redis"), address(lab), timeout=5, ca=lab.directory / ".ca" / "ca.pem")
    assert "can't be trusted" in found.detail


def test_the_key_is_redis_own_and_the_ca_key_the_tools(lab: Project) -> None:
    key = (certificate(lab.layout, "redis") / "privkey.pem").stat()
    assert stat.S_IMODE(key.st_mode) == 0o600
    user = next(p for p in lab.members() if "redis-server" in p.name())
    assert key.st_uid == user.uids().effective
    ca = certificate(lab.layout, "redis").parent / ".ca"
    assert (stat.S_IMODE(ca.stat().st_mode), ca.stat().st_uid) == (0o700, os.geteuid())


def test_a_certificate_that_is_due_is_a_planned_change_and_up_renews_it(lab: Project) -> None:
    before = lab.pids()
    made_ago(lab, 260)
    old = kept(lab)
    assert planned(lab)["redis"].startswith("a new certificate: due for renewal")
    assert lab.findings() == planned(lab)
    lab.run("up")
    assert kept(lab) != old
    assert served(lab) == kept(lab)
    after = lab.pids()
    assert {name for name in after if after[name] != before[name]} == {"redis"}
    assert in_use(lab) == GOOD
    later = datetime.now(UTC).timestamp() + 60  # as by a renewal whose `up` was killed before the restart
    os.utime(certificate(lab.layout, "redis") / "fullchain.pem", (later, later))
    assert planned(lab) == {"redis": "the certificate was renewed after this service started"}


def test_one_that_has_expired_is_told_by_health_and_renewed_by_up(lab: Project) -> None:
    made_ago(lab, 400)
    next(p for p in lab.members() if "redis-server" in p.name()).kill()  # supervisor starts it again

    def told() -> bool:
        probes = {p["name"]: p["detail"] for p in lab.health()["probes"]}
        return "can't be trusted: certificate has expired" in probes["redis"]

    servers.wait_for(told, what="an expired certificate that is served")
    assert planned(lab)["redis"].startswith("a new certificate: expired on")
    lab.run("up")
    assert account_of(lab, OPERATOR).ping()
    assert served(lab) == kept(lab)


def test_another_ca_reaches_all_that_trust_it(lab: Project) -> None:
    old = ca_file(lab.layout, "redis").read_bytes()
    (certificate(lab.layout, "redis").parent / ".ca" / "ca.pem").unlink()
    assert set(planned(lab)) == {"redis", "app", "redis-exporter"}
    lab.run("up")
    assert ca_file(lab.layout, "redis").read_bytes() != old
    assert in_use(lab) == GOOD
    assert planned(lab, code=0) == {}


def test_a_password_that_became_known_is_replaced_as_the_runbook_says(lab: Project) -> None:
    files = [password_file(lab.layout, account) for account in (APP, EXPORTER, OPERATOR)]
    before = [file.read_text() for file in files]
    for file in files:
        file.unlink()
    lab.run("down")
    lab.run("up", "--yes")
    assert not set(before) & {file.read_text() for file in files}
    with pytest.raises(redis.AuthenticationError):
        account_of(lab, OPERATOR, password=before[2]).ping()
    lab.well()


def test_an_account_of_the_users_own_takes_the_place_of_these_and_tls_is_turned_off_and_on(
    lab: Project,
) -> None:
    lab.write(redis={**lab.spec["redis"], **own_account()})
    lab.run("up", "--yes")
    user, password = own_account().values()
    keys = account_of(lab, user, password=password)
    assert keys.get("k7") == b"7", "the data has stayed"
    assert in_use(lab) == GOOD
    assert {entry["user"] for entry in keys.client_list()} == {user}
    for strange in ((None, None), ("default", password), (user, "x"), (None, password)):
        with pytest.raises(redis.AuthenticationError):
            account_of(lab, strange[0], password=strange[1]).ping()
    door = redis_door(stack_of(lab))
    with pytest.raises(OpsError, match=r"NOAUTH|WRONGPASS") as caught:
        contents.counts(replace(door, env={"REDISCLI_AUTH": "wrong"}))
    assert "redis.user and redis.password" in caught.value.hint

    lab.write(redis={**lab.spec["redis"], "tls": False})
    lab.run("up", "--yes")
    assert account_of(lab, user, password=password).ping()
    assert in_use(lab) == GOOD
    lab.run("rollback", "--yes")
    assert account_of(lab, user, password=password, tls=True).get("k7") == b"7"
    assert in_use(lab) == GOOD
