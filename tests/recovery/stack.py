"""The stack that is lost: what is in it, and the facts by which one sees that all of it is back."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from acme_ca import challenge_dns, pebble
from docker_lab import DockerLab, container_ids, docker, docker_project, left_over
from projects import Project, kill_all, project, small_spec
from searched import searching
from servers import binary, free_port, wait_for

from techsapo_ops.catalogue.yaml_text import read_yaml
from tests.recovery.hosts import Host, old_host
from tests.recovery.places import Place

NAME = "techsapo.example.com"
REDIS_PASSWORD = 'redis\'s "own"'
_FILL = (
    "for i = ARGV[1], ARGV[2] do local v = '' for j = 1, 24 do v = v .. redis.sha1hex(i * 99 + j) end "
    "redis.call('SET', 'k' .. i, v) end"
)
_DIGEST = (
    "local h = '' for i = 1, ARGV[1] do h = redis.sha1hex(h .. (redis.call('GET', 'k' .. i) or '-')) end "
    "return h"
)
_ROWS = (
    "INSERT INTO audit_requests (id, time, instance, request_id, task_type, prompt_hash, providers, "
    "confidence, consensus, accepted, simulated, cache, cost_usd, status, processing_ms) SELECT MD5(seq), "
    "TIMESTAMP'2026-01-01 00:00:00' + INTERVAL seq SECOND, 'app', SHA1(seq), 'basic', SHA2(seq, 256), "
    "'[\"sim-a\"]', "
    "0.9, 0.8, 1, 1, 'miss', 0.001, 'accepted', seq % 999 FROM seq_{first}_to_{last}"
)
_AT_ONCE = 8192
_SAMPLES = ("count_over_time(up[1d])", "sum_over_time(scrape_samples_scraped[1d])")
_SETTLED = 5.0
"""Seconds after which a scrape is in Prometheus, whatever time it bears."""
_GRAFANA = """#!/usr/bin/python3
import http.server, os, signal, sqlite3, sys

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

with sqlite3.connect("grafana.db") as sql:
    sql.execute("CREATE TABLE IF NOT EXISTS starts (at TEXT)")  # as it writes whenever it starts
    sql.execute("INSERT INTO starts VALUES ('now')")
http.server.HTTPServer(("127.0.0.1", {port}), Answers).serve_forever()
"""
"""What stands in for Grafana, of which there is no package: it keeps a database and answers its probe."""


@dataclass(frozen=True)
class Size:
    """How much is in it: keys of 1 KB, and rows of the audit log; without rows it is in SQLite."""

    keys: int
    rows: int


BIG = Size(keys=50 * 1024, rows=1_000_000)
SMALL = Size(keys=1024, rows=0)


def spec(size: Size, acme: Mapping[str, Any], lab: DockerLab | None, **sections: Any) -> dict[str, Any]:
    """App, Redis, audit log, nginx with a certificate from a CA, Prometheus, without containers a Grafana;
    its jobs are started by cron.
    """
    found = small_spec(
        project=f"lab-recovery-{os.getpid()}",
        engine="native" if lab is None else "compose",
        redis={"port": free_port(), "password": REDIS_PASSWORD},
        providers={"sim-a": {"kind": "simulated"}, "sim-b": {"kind": "simulated"}},
        nginx={"listen": free_port(), "tls_listen": free_port(), "server_name": NAME},
        certificates={"techsapo": {"source": "acme", "names": [NAME], "contact": "ops@example.com", **acme}},
        schedule={"by": "cron"},
        backup={"prometheus": True},
        **sections,
    )
    found["monitoring"]["alertmanager"]["enabled"] = False
    if size.rows:
        found["mysql"] = {"port": free_port()}
    if lab is not None:
        found["images"] = dict(lab.images)
    else:
        found["monitoring"]["grafana"] = {"port": free_port()}
    return found


@dataclass
class Service:
    """A stack on a host, asked by the ordinary tools; `project` is its folder and command line there."""

    project: Project
    host: Host
    size: Size
    in_containers: bool
    moment: float
    """Unix seconds up to which Prometheus is asked what it has."""

    @property
    def spec(self) -> dict[str, Any]:
        """Its spec as it is on disk: a recovery may have changed it."""

        read: dict[str, Any] = read_yaml((self.project.directory / "techsapo.yaml").read_text("utf-8"))
        return read

    def redis(self, *words: str) -> str:
        """What redis-cli says, as the account that may do anything."""
        environment = {**os.environ, "REDISCLI_AUTH": REDIS_PASSWORD}
        if self.in_containers:
            container = container_ids(self.spec["project"])["redis"]
            argv = [binary("docker"), "exec", "-e", "REDISCLI_AUTH", container, "redis-cli", *words]
        else:
            port = str(self.spec["redis"]["port"])
            argv = [*self.host.enter(Path("/")), "redis-cli", "-p", port, *words]
        return self._said(argv, environment)

    def sql(self, statement: str) -> str:
        """What MariaDB answers its root."""
        options = ("--no-defaults", "-N", "techsapo_audit", "-e", statement)
        if self.in_containers:
            container = container_ids(self.spec["project"])["mysql"]
            own = ("mariadb", options[0], "--socket=/run/mysqld/mysqld.sock", "-uroot", *options[1:])
            return docker("exec", "--user", "0", container, *own).stdout.strip()
        password = (self.project.layout.keys / "mysql-root-password").read_text()
        address = ("--protocol=tcp", "-h", "127.0.0.1", "-P", str(self.spec["mysql"]["port"]), "-u", "root")
        argv = [*self.host.enter(Path("/")), "mariadb", options[0], *address, *options[1:]]
        return self._said(argv, {**os.environ, "MYSQL_PWD": password})

    def fill(self) -> None:
        """Keys and rows, each time the same."""
        for first in range(1, self.size.keys + 1, _AT_ONCE):
            last = min(first + _AT_ONCE - 1, self.size.keys)
            self.redis("EVAL", _FILL, "0", str(first), str(last))
        if self.size.rows:
            self.sql(_ROWS.format(first=1, last=self.size.rows))

    def facts(self) -> dict[str, str]:
        """What has to be the same after a recovery, whatever engine, ports and folder."""
        found = {
            "keys": self.redis("EVAL", _DIGEST, "0", str(self.size.keys)),
            "certificate": self._digest("fullchain.pem"),
            "private key": self._digest("privkey.pem"),
            "served": self._served(),
            "api keys": self._techsapo("keys", "list", "--json"),
            "samples": self._samples(),
            "jobs": str(self.host.crontab().count(" jobs run ")),
        }
        if not self.in_containers:
            found["dashboards"] = self._dashboards()
        if self.size.rows:
            found["rows"] = self.sql("SELECT COUNT(*) FROM audit_requests")
            found["checksum"] = self.sql("CHECKSUM TABLE audit_requests, audit_calls")
        else:
            found["rows"] = self._techsapo("answers", "costs", "--json")
        return found

    def wipe(self) -> None:
        """Lose it all: processes, containers, volumes, folder, schedule."""
        name = self.spec["project"]
        kill_all(self.project)
        for kind in ("container", "network", "volume"):
            if self.in_containers and (left := left_over(kind, name)):
                docker(kind, "rm", "--force", *left, check=False)
        shutil.rmtree(self.project.directory)
        subprocess.run(
            [*self.host.enter(Path("/")), "crontab", "-u", self.host.user, "-r"],
            check=False,
            capture_output=True,
        )

    def _samples(self) -> str:
        """What Prometheus has of the time before the loss, by series."""
        url = f"http://127.0.0.1:{self.spec['monitoring']['prometheus']['port']}/api/v1/query"
        password = (self.project.state / "keys/prometheus-password").read_text().strip()
        found = []
        for query in _SAMPLES:
            argv = [
                *self.host.enter(Path("/")), "curl", "-sSf", "-K", "-", "--get", url,
                "--data-urlencode", f"query={query}", "--data", f"time={self.moment}",
            ]  # fmt: skip
            login = f'user = "techsapo:{password}"'
            done = subprocess.run(argv, input=login, capture_output=True, text=True, check=False, timeout=60)
            series = json.loads(done.stdout)["data"]["result"] if done.returncode == 0 else []
            found += sorted(f"{query} {sorted(each['metric'].items())} {each['value'][1]}" for each in series)
        return "\n".join(found)

    def _dashboards(self) -> str:
        """What is in Grafana's database but its own notes."""
        path = self.project.state / "data/grafana/grafana.db"
        if not path.exists():
            return ""
        with closing(sqlite3.connect(path)) as sql:
            return repr(sql.execute("SELECT title, data FROM dashboard ORDER BY id").fetchall())

    def _techsapo(self, *words: str) -> str:
        return self.project.run(*words).stdout

    def _digest(self, name: str) -> str:
        (folder,) = [p for p in (self.project.state / "certs").iterdir() if (p / "live").exists()]
        return hashlib.sha256((folder / "live" / name).read_bytes()).hexdigest()

    def _served(self) -> str:
        """Digest of the certificate that nginx shows."""
        port = self.spec["nginx"]["tls_listen"]
        argv = [
            *self.host.enter(Path("/")), "openssl", "s_client", "-connect", f"127.0.0.1:{port}",
            "-servername", NAME,
        ]  # fmt: skip
        done = subprocess.run(argv, input=b"", capture_output=True, check=False, timeout=60)
        pem = done.stdout.partition(b"-----BEGIN CERTIFICATE-----")[2].partition(b"-----END")[0]
        return hashlib.sha256(pem).hexdigest() if pem else "nothing"

    @staticmethod
    def _said(argv: list[str], environment: Mapping[str, str]) -> str:
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout.strip()


@contextmanager
def _grafana(made: Project, port: int, folder: Path) -> Iterator[None]:
    """A Grafana for every command of this process, with a dashboard that somebody has made in it."""
    folder.mkdir(parents=True)
    program = folder / "grafana-server"
    program.write_text(_GRAFANA.replace("{port}", str(port)), encoding="utf-8")
    program.chmod(0o755)
    before = {name: os.environ.get(name) for name in ("PATH", "PYTHONPATH")}
    os.environ.update(searching(f"{folder}:{before['PATH']}", folder / "python"))
    data = made.state / "data/grafana"
    data.mkdir(parents=True)
    with closing(sqlite3.connect(data / "grafana.db")) as sql, sql:
        sql.execute("CREATE TABLE dashboard (id INTEGER PRIMARY KEY, title TEXT, data TEXT)")
        sql.execute("INSERT INTO dashboard (title, data) VALUES ('自作の画面', '{}')")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _scraped(service: Service) -> float:
    """A moment from which Prometheus has samples of everything."""
    found: list[float] = []

    def settled() -> bool:
        moment = time.time() - _SETTLED
        if all(query in replace(service, moment=moment)._samples() for query in _SAMPLES):
            found.append(moment)
        return bool(found)

    wait_for(settled, timeout=120, what="Prometheus has scraped")
    return found[0]


@contextmanager
def lost_stack(size: Size, folder: Path, lab: DockerLab | None) -> Iterator[Service]:
    """The stack, up and filled, with a certificate from pebble and its jobs in cron."""
    port = free_port()
    acme = {"directory": f"https://127.0.0.1:{port}/dir", "ca_file": str(folder / "pebble/.ca/ca.pem")}
    wanted = spec(size, acme, lab)
    with ExitStack() as parts:
        dns = parts.enter_context(challenge_dns(folder / "dns"))
        parts.enter_context(pebble(folder / "pebble", dns, wanted["nginx"]["listen"], port=port))
        host = parts.enter_context(old_host())
        made: Project = parts.enter_context(
            project(wanted, "stack") if lab is None else docker_project(lab, wanted, "stack")
        )
        made.launcher = host.enter(made.directory)
        if lab is None:
            parts.enter_context(_grafana(made, wanted["monitoring"]["grafana"]["port"], folder / "bin"))
        made.run("up", "--yes", timeout=300)
        made.run("certs", "issue", timeout=120)
        made.run("keys", "create", "ci")
        service = Service(made, host, size, in_containers=lab is not None, moment=0.0)
        service.fill()
        yield replace(service, moment=_scraped(service))
        made.directory.mkdir(exist_ok=True)  # it was lost


def copied_away(service: Service, places: Sequence[Place]) -> list[str]:
    """Have the stack copied to each of `places`, by backups of all, and its jobs started by cron; the ids."""
    ids = []
    for place in places:
        service.project.write(backup={"offsite": place.offsite, "prometheus": True})
        made = json.loads(service.project.run("backup", "--json", timeout=600).stdout)
        assert made["checks"]["offsite"]["ok"] is True, made["checks"]
        ids.append(made["id"])
    service.project.run("cron", "install")
    return ids
