"""Parts of the native engine that need MariaDB, nginx or a supervisor of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pymysql
import pytest
import redis
from projects import Project, project, small_spec
from rows import each_row
from servers import free_port, tcp_open, wait_for

from techsapo_ops.adapters.process import Command
from techsapo_ops.cli.environment import runner
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.project import open_project
from techsapo_ops.engines.native import housekeeping, launch, processes
from techsapo_ops.engines.native.engine import NativeEngine
from techsapo_ops.errors import OpsError
from techsapo_ops.services.mysql.runtime import install

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    spec = small_spec(
        mysql={"port": free_port()},
        nginx={"enabled": True, "listen": free_port(), "tls_listen": free_port()},
        certificates={"site": {"names": ["techsapo.example.com"]}},
    )
    for name in ("prometheus", "alertmanager"):
        spec["monitoring"][name]["enabled"] = False
    with project(spec) as made:
        made.run("up")
        yield made
        made.run("down")
        made.assert_gone()


def engine_of(made: Project) -> NativeEngine:
    opened = open_project(made.directory / "techsapo.yaml")
    engine = open_stack(opened).engine
    assert isinstance(engine, NativeEngine)
    return engine


def login(made: Project, user: str, password: str) -> pymysql.Connection[pymysql.cursors.Cursor]:
    return pymysql.connect(host="127.0.0.1", port=made.spec["mysql"]["port"], user=user, password=password)


def test_mariadb_runs_unprivileged_with_a_random_password_and_none_without(stack: Project) -> None:
    process = psutil.Process(stack.pids()["mysql"])
    assert process.username() == ("mysql" if os.geteuid() == 0 else psutil.Process().username())
    password = stack.layout.mysql_password
    assert password.stat().st_mode & 0o777 == 0o600
    with login(stack, "techsapo", password.read_text()) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW DATABASES")
        assert ("techsapo_audit",) in cursor.fetchall()
    for user in ("root", "", "techsapo"):
        with pytest.raises(pymysql.OperationalError, match="Access denied"):
            login(stack, user, "")


def test_no_command_line_and_no_environment_of_the_stack_holds_the_password(stack: Project) -> None:
    secrets = [p.read_text().strip() for p in stack.layout.keys.glob("*-password")]
    assert len(secrets) >= 5
    for process in stack.members():
        shown = " ".join(process.cmdline()) + repr(process.environ())
        assert not any(secret in shown for secret in secrets)


def test_the_password_survives_a_restart_and_a_changed_one_is_taken_over(stack: Project) -> None:
    stack.write(mysql={**stack.spec["mysql"], "password": 'it\'s \\ a "new" one'})
    stack.run("up")
    login(stack, "techsapo", 'it\'s \\ a "new" one').close()


def test_an_interrupted_bootstrap_of_mariadb_is_done_anew(stack: Project, tmp_path: Path) -> None:
    topology = engine_of(stack).topology
    data = stack.state / "data" / "other"
    stale = data.parent / ".mysql.partial-killed"
    (stale / "mysql").mkdir(parents=True)
    user = topology.of_kind("mysql")[0].user
    assert install(data, topology, user, runner()) is True
    assert (data / "mysql").is_dir()
    assert not stale.exists()
    assert install(data, topology, user, runner()) is False


def test_a_folder_with_other_files_is_not_taken_for_a_database(stack: Project) -> None:
    data = stack.state / "data" / "precious"
    data.mkdir()
    (data / "thesis.txt").write_text("do not lose")
    with pytest.raises(OpsError, match="neither empty nor a MariaDB data directory"):
        install(data, engine_of(stack).topology, None, runner())
    assert (data / "thesis.txt").exists()


def test_a_killed_nginx_master_heals_although_its_workers_keep_the_port(stack: Project) -> None:
    master = stack.pids()["nginx"]
    workers = psutil.Process(master).children()
    assert workers
    assert master is not None
    os.kill(master, signal.SIGKILL)
    wait_for(lambda: stack.pids()["nginx"] not in {None, master}, what="a new master")
    wait_for(lambda: not processes.wait_ended(workers, 0), what="old workers gone")
    assert "up to date" in stack.run("up").stderr


@pytest.fixture
def temporary_table(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One of another MariaDB in the folder for temporary files."""
    with tempfile.TemporaryDirectory() as shared:
        Path(shared).chmod(0o777)
        table = Path(shared) / "#sql-temptable-1a2b-3-0.MAD"
        table.touch()
        monkeypatch.setenv("TMPDIR", shared)
        yield table


def test_a_scratch_redis_and_mariadb_have_passwords_and_are_gone_afterwards(
    stack: Project, temporary_table: Path
) -> None:
    engine = engine_of(stack)
    with engine.scratch("redis") as made:
        assert made.password is not None
        client = redis.Redis(port=made.address.port, password=made.password.reveal())
        assert client.set("key", "value")
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=made.address.port).ping()
        client.close()
    assert not tcp_open(made.address.port)
    assert not made.directory.exists()
    with engine.scratch("mysql") as made:
        assert made.password is not None
        pymysql.connect(
            host="127.0.0.1", port=made.address.port, user="root", password=made.password.reveal()
        ).close()
        raised = pytest.raises(pymysql.OperationalError, match="Access denied")
        with raised:
            pymysql.connect(host="127.0.0.1", port=made.address.port, user="root", password="")
    assert not tcp_open(made.address.port)
    assert temporary_table.exists(), "MariaDB removes every temporary table in its tmpdir when it starts"


def test_a_command_that_the_scheduler_runs_in_a_service_does_not_end_the_scheduler(
    stack: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(launch.STATE_VARIABLE, str(stack.state))
    monkeypatch.setenv(launch.SERVICE_VARIABLE, "probe")
    scheduler = subprocess.Popen([sys.executable, "-I", launch.__file__, "--", "sleep", "60"])
    try:
        member = str(stack.state / "run" / launch.MEMBERS / "probe")
        wait_for(lambda: launch.holders(member) == [scheduler.pid], what="its membership")
        assert runner().run(engine_of(stack).enter("redis", Command(("true",)))).code == 0
        assert scheduler.poll() is None
    finally:
        scheduler.kill()
        scheduler.wait()


@each_row(
    "argv",
    [
        ["--", "sleep", "60"],
        [launch.AT_ONCE, "--", "env", "--ignore-signal=TERM", "sleep", "60"],
    ],
    ids=["by SIGTERM", "by SIGKILL, for a server that loses SIGTERM"],
)
def test_a_process_started_by_the_launcher_ends_with_its_parent(argv: list[str]) -> None:
    code = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-I', {launch.__file__!r}, *{argv!r}])\n"
        "time.sleep(0.5); print(p.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    wait_for(lambda: child.name() == "sleep", what="exec")
    parent.kill()
    parent.wait()
    wait_for(lambda: not child.is_running() or child.status() == "zombie", what="the child's end")


def test_rotation_under_a_running_service_loses_no_line(stack: Project) -> None:
    log = stack.layout.logs / "redis.log"
    supervisor = stack.supervisor()
    before = log.read_text()

    def reopen() -> None:
        supervisor.send_signal(signal.SIGUSR2)

    housekeeping.rotate(log, keep=2, compress=True, reopen=reopen)
    assert (stack.layout.logs / "redis.log.1.gz").exists()
    stack.run("restart", "redis")
    lines = [line.text for line in engine_of(stack).logs(["redis"], lines=None)]
    assert "\n".join(lines).startswith(before.rstrip("\n"))
    assert sum("Ready to accept" in line for line in lines) == before.count("Ready to accept") + 1
