"""The rendered configuration in the real programs: logrotate, Redis, MariaDB and their exporters."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pymysql
import pytest
import redis as redis_client
import servers
from rows import each_row
from servers import binary, free_port, http_ok, running, tcp_open, wait_for
from stacks import HOSTILE_FOLDER, real_host, spec, topology

from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.apply.generate import write_files
from techsapo_ops.render.host import log_files, logrotate_files
from techsapo_ops.render.stack import render_stack
from techsapo_ops.render.templates import Templates
from techsapo_ops.services.registry import programs
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.desired import Program
from techsapo_ops.stack.topology import Topology

pytestmark = pytest.mark.lab

FOLDERS = [
    "sp ace 日本", 'q"uote', "ap'os", "st*r br[a]c{e}", "back\\slash d$HOME per%c", "a;b #c", "#hash", "}x{",
    "back\\",
]  # fmt: skip
PASSWORDS = [
    "a#b;c ap'os", "日本 back\\slash `tick` ", '"lead"""x"""#', "${HOME}%(q)s 100%$$HOME $x=1:2", "trail\\",
    "a/b@c:d&e=f",
]  # fmt: skip


def facts() -> HostFacts:
    return real_host(sys.executable, root=os.geteuid() == 0)


@each_row("folder", FOLDERS)
def test_logrotate_rotates_and_compresses_in_any_folder_and_wakes_the_supervisor(
    tmp_path: Path, folder: str
) -> None:
    wanted = spec(logs={"max_size": "10", "keep": 2})
    where = topology(wanted, tmp_path / folder, facts=facts())
    for path in (where.layout.logs / "pm2", where.layout.run):
        path.mkdir(parents=True)
    for log in ("app.log", "pm2/techsapo.log"):
        (where.layout.logs / log).write_text("a line that is long enough\n")
    awaiting = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal; print('up', flush=True); print(signal.sigwait({signal.SIGUSR2}))",
        ],
        stdout=subprocess.PIPE,
        preexec_fn=_block_usr2,
        text=True,
    )
    try:
        assert awaiting.stdout is not None
        assert awaiting.stdout.readline() == "up\n"
        (where.layout.run / "supervisord.pid").write_text(f"{awaiting.pid}\n")
        configuration = tmp_path / "conf"
        configuration.write_text(logrotate_files(where, Templates())[0].content, encoding="utf-8")
        argv = [binary("logrotate"), "-s", str(tmp_path / "state"), str(configuration)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        left = sorted(p.relative_to(where.layout.logs).as_posix() for p in where.layout.logs.rglob("*.*"))
        assert left == ["app.log.1.gz", "pm2/techsapo.log", "pm2/techsapo.log.1.gz"]
        assert awaiting.wait(60) == 0
    finally:
        awaiting.kill()
        awaiting.wait()


def _block_usr2() -> None:
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})


def test_a_wildcard_in_a_folder_matches_that_folder_alone(tmp_path: Path) -> None:
    for name in ("a*b", "axb"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.log").write_text("a line that is long enough\n")
    (tmp_path / "conf").write_text(f"{log_files(tmp_path / 'a*b', '*.log')} {{\n size 1\n rotate 1\n}}\n")
    subprocess.run([binary("logrotate"), "-s", str(tmp_path / "state"), str(tmp_path / "conf")], check=True)
    assert [p.name for p in (tmp_path / "axb").iterdir()] == ["x.log"]
    assert [p.name for p in (tmp_path / "a*b").iterdir()] == ["x.log.1"]


def generated(wanted: Spec, directory: Path) -> tuple[Topology, dict[str, Program]]:
    """Write the stack below `directory` and make its folders, as the engine does."""
    where = topology(wanted, directory, facts=facts())
    write_files(render_stack(where, Templates()), where)
    found = {p.service: p for p in programs(where)}
    for folder in (*(p.directory for p in found.values()), where.layout.keys, where.layout.run):
        folder.mkdir(parents=True, exist_ok=True)
    return where, found


def metric(port: int, name: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return next(line.split()[-1] for line in lines if line.startswith((f"{name} ", f"{name}{{")))


@each_row("password", PASSWORDS)
def test_redis_and_its_exporter_agree_on_any_password(tmp_path: Path, password: str) -> None:
    port, exporter = free_port(), free_port()
    wanted = spec(redis={"port": port, "password": password}, monitoring={"exporters": {"redis": exporter}})
    _, found = generated(wanted, tmp_path / HOSTILE_FOLDER)
    server, watcher = found["redis"], found["redis-exporter"]
    with (
        running(server.argv, server.directory, port, lambda: tcp_open(port)),
        running(
            watcher.argv, watcher.directory, exporter, lambda: http_ok(f"http://127.0.0.1:{exporter}/health")
        ),
    ):
        client = redis_client.Redis(port=port, password=password)
        assert client.config_get("dir") == {"dir": str(server.directory)}
        client.close()
        assert metric(exporter, "redis_up") == "1"


def test_a_redis_that_hangs_is_told_down_within_the_time_of_a_scrape(tmp_path: Path) -> None:
    """Not its exporter, by a scrape that fails: metric() waits for 10 s, as Prometheus does by default."""
    port, exporter = free_port(), free_port()
    wanted = spec(redis={"port": port, "accounts": False}, monitoring={"exporters": {"redis": exporter}})
    _, found = generated(wanted, tmp_path)
    server, watcher = found["redis"], found["redis-exporter"]
    with (
        running(server.argv, server.directory, port, lambda: tcp_open(port)) as hanging,
        running(
            watcher.argv, watcher.directory, exporter, lambda: http_ok(f"http://127.0.0.1:{exporter}/health")
        ),
    ):
        hanging.process.send_signal(signal.SIGSTOP)
        try:
            assert metric(exporter, "redis_up") == "0"
        finally:
            hanging.process.send_signal(signal.SIGCONT)


def test_mariadb_and_its_exporter_agree_on_every_password(tmp_path: Path) -> None:
    """One server for all passwords: starting it is what takes time."""
    data = tmp_path / "server"
    with servers.mariadb(data) as server:
        root = pymysql.connect(
            host="127.0.0.1", port=server.port, user="root", password=server.password or ""
        )
        for n, password in enumerate(PASSWORDS):
            exporter = free_port()
            wanted = spec(
                mysql={"port": server.port, "password": password},
                monitoring={"exporters": {"mysqld": exporter}},
            )
            _, found = generated(wanted, tmp_path / str(n) / HOSTILE_FOLDER)
            with root.cursor() as cursor:
                cursor.execute("CREATE OR REPLACE USER 'techsapo'@'127.0.0.1' IDENTIFIED BY %s", (password,))
            watcher = found["mysqld-exporter"]
            argv = ["/usr/bin/env", *(f"{k}={v}" for k, v in watcher.environment.items()), *watcher.argv]
            with running(argv, watcher.directory, exporter, lambda p=exporter: tcp_open(p)):
                assert metric(exporter, "mysql_up") == "1", password
        root.close()


def test_mariadb_starts_from_the_generated_my_cnf_in_a_hostile_and_deep_folder(tmp_path: Path) -> None:
    port = free_port()
    where, found = generated(spec(mysql={"port": port}), tmp_path / ("深い" * 20) / HOSTILE_FOLDER)
    program = found["mysql"]
    shutil.copytree(servers.empty_database(), program.directory, dirs_exist_ok=True)
    where.layout.mysql_init.write_text("CREATE DATABASE IF NOT EXISTS made_by_init;\n")
    program.directory.with_name("mysql-tmp").mkdir()
    with running(program.argv, tmp_path, port, lambda: tcp_open(port)) as server:
        assert (program.directory / "mysqld.sock").is_socket()
        # Its port is open a moment before the init file has run.
        wait_for((program.directory / "made_by_init").is_dir, what="the database of the init file")
        assert json.dumps(server.log()).count("ERROR") == 0
