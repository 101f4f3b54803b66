"""What brings a server down, done to real ones: exporter's series, Prometheus, the alert's expression.

Only windows are shortened. The alerts' cases (tests/cases/alerts) say the rest with series of our own.
"""

from __future__ import annotations

import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pymysql
import pytest
import redis as redis_client
import servers
import yaml
from stacks import host, spec, topology
from systemd_bus import systemd_bus

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.series import metric_names
from techsapo_ops.services.redis.accounts import EXPORTER, rights
from techsapo_ops.services.registry import programs

pytestmark = pytest.mark.lab

WINDOW = "8s"
NGINX = """
pid nginx.pid; error_log stderr;
events {{ }}
http {{ access_log off; server {{ listen 127.0.0.1:{port}; location /nginx-status {{ stub_status; }} }} }}
"""
FULL = 3 << 20


@dataclass
class Lab:
    """Servers with their exporters, all scraped each second by one Prometheus."""

    folder: Path
    everything: ExitStack
    ports: dict[str, int]
    running: dict[str, ExitStack]
    prometheus: str = ""
    processes: dict[str, servers.Server] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Start a server with the data that it had."""
        folder, port = self.folder / name, self.ports[name]
        starts = {
            "redis": lambda: servers.redis(folder, port=port),
            "mysql": lambda: servers.mariadb(folder, "--max-connections=20", port=port),
            "nginx": lambda: servers.nginx(NGINX.format(port=port), folder, port=port),
        }
        self.running[name] = ExitStack()
        self.processes[name] = self.running[name].enter_context(starts[name]())

    def exporter(self, name: str, *arguments: str) -> None:
        """Start the exporter `name` of Debian's package."""
        job = f"{name}-exporter"
        port = self.ports[job] = servers.free_port()
        dash = "-" if name == "redis" else "--"
        argv = [
            servers.binary(f"prometheus-{job}"), *arguments, f"{dash}web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        self.everything.enter_context(
            servers.running(argv, self.folder / job, port, lambda: servers.http_ok(url))
        )

    def series(self, job: str) -> set[str]:
        """Names of the series that an exporter has now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[job]}/metrics", timeout=60) as answer:
            return set(re.findall(r"^(\w+)[{ ]", answer.read().decode(), re.MULTILINE))

    def query(self, expr: str) -> list[dict[str, str]]:
        """The labels of what Prometheus finds."""
        answer = httpx.get(
            f"{self.prometheus}/api/v1/query", params={"query": expr}, timeout=60, trust_env=False
        )
        return [one["metric"] for one in answer.raise_for_status().json()["data"]["result"]]

    def found(self, alert: str, **labels: str) -> bool:
        """Whether the expression of `alert` holds for something with these labels."""
        entry = alerts()[alert]
        expr = entry.expression(window=WINDOW if entry.window else None).replace("{hung}", "0.9")
        return any(labels.items() <= one.items() for one in self.query(expr))

    def comes(self, alert: str, **labels: str) -> None:
        servers.wait_for(lambda: self.found(alert, **labels), what=f"{alert} {labels}")

    def goes(self, alert: str, **labels: str) -> None:
        servers.wait_for(lambda: not self.found(alert, **labels), what=f"the end of {alert}")

    def scrapes(self, job: str, count: int) -> None:
        """Wait until Prometheus has looked so many times more."""

        def looked() -> int:
            answer = httpx.get(
                f"{self.prometheus}/api/v1/query",
                params={"query": f'count_over_time(up{{job="{job}"}}[1h])'},
                timeout=60,
                trust_env=False,
            ).json()["data"]["result"]
            return int(answer[0]["value"][1]) if answer else 0

        wanted = looked() + count
        servers.wait_for(lambda: looked() >= wanted, timeout=60, what=f"{count} scrapes of {job}")

    def redis(self) -> redis_client.Redis:
        return redis_client.Redis(port=self.ports["redis"])

    def mysql(self) -> Any:
        return pymysql.connect(
            host="127.0.0.1", port=self.ports["mysql"], user="root", password="lab-root", autocommit=False
        )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("causes")
    with ExitStack() as everything:
        made = Lab(folder, everything, {n: servers.free_port() for n in ("redis", "mysql", "nginx")}, {})
        everything.callback(lambda: [own.close() for own in made.running.values()])
        for name in ("redis", "mysql", "nginx"):
            made.start(name)
        with made.redis() as client:
            client.execute_command(
                "ACL", "SETUSER", EXPORTER, "reset", "on", ">x", *rights("t")[EXPORTER].split()
            )
            client.config_set("maxmemory", str(FULL))
            client.config_set("maxmemory-policy", "volatile-lru")
            client.config_set("save", "")
        (folder / "my.cnf").write_text('[client]\nuser = root\npassword = "lab-root"\n', encoding="utf-8")
        address = f"127.0.0.1:{made.ports['mysql']}"
        made.exporter("mysqld", f"--config.my-cnf={folder}/my.cnf", f"--mysqld.address={address}")
        made.exporter("nginx", f"--nginx.scrape-uri=http://127.0.0.1:{made.ports['nginx']}/nginx-status")
        made.exporter(
            "redis", f"-redis.addr=redis://127.0.0.1:{made.ports['redis']}", f"-redis.user={EXPORTER}",
            "-redis.password=x", "-connection-timeout=3s",
        )  # fmt: skip
        jobs = [
            {
                "job_name": job,
                "static_configs": [
                    {"targets": [f"127.0.0.1:{made.ports[job]}"], "labels": {"instance": job}}
                ],
            }
            for job in ("redis-exporter", "mysqld-exporter", "nginx-exporter")
        ]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "scrape_configs": jobs,
        }
        prometheus = everything.enter_context(
            servers.prometheus(yaml.safe_dump(config), folder / "prometheus")
        )
        made.prometheus = prometheus.url
        made.scrapes("redis-exporter", 2)
        yield made


def test_a_redis_in_which_old_answers_make_room_refuses_nothing(lab: Lab) -> None:
    with lab.redis() as client:
        for number in range(600):
            client.set(f"kept:{number}", b"x" * 10_000, ex=3600)
        assert client.info("stats")["evicted_keys"] > 0
        lab.scrapes("redis-exporter", 5)
        assert not lab.found("RedisNotWritable")
        client.flushall()


def filled(client: redis_client.Redis) -> str:
    """Write what may not go until Redis refuses; what it says."""
    for number in range(600):
        try:
            client.set(f"others:{number}", b"x" * 10_000)
        except redis_client.ResponseError as error:
            return str(error)
    raise AssertionError("it took everything")


def test_the_alerts_about_servers_read_series_that_their_exporters_have(lab: Lab) -> None:
    """With the rights of the exporter's own account, and after a write was refused, as errors need one."""
    with lab.redis() as client:
        assert "maxmemory" in filled(client)
        client.flushall()
    here = [a for a in alerts().values() if not a.machines]
    read = {n for a in here for n in metric_names(a.expression(jobs=["x"]))}
    for prefix, job in (
        ("redis_", "redis-exporter"),
        ("mysql_", "mysqld-exporter"),
        ("nginx_", "nginx-exporter"),
    ):
        names = {n for n in read if n.startswith(prefix)} | {"process_start_time_seconds"}
        assert len(names) > 1
        assert names - lab.series(job) == set()


def test_a_redis_that_can_not_save_is_told_until_it_can(lab: Lab) -> None:
    in_the_way = lab.folder / "redis" / "dump.rdb"
    in_the_way.unlink(missing_ok=True)
    (in_the_way / "x").mkdir(parents=True)
    with lab.redis() as client:
        client.set("a", 1)
        saves(client)
        lab.comes("RedisNotWritable", instance="redis-exporter")
        (in_the_way / "x").rmdir()
        in_the_way.rmdir()
        saves(client)
    lab.goes("RedisNotWritable")


def saves(client: redis_client.Redis) -> None:
    """Begin a save once none is running: Redis begins some by itself, and repeats one that failed."""
    servers.wait_for(lambda: not client.info("persistence")["rdb_bgsave_in_progress"])
    client.bgsave()


def test_a_redis_near_its_limit_of_connections_and_beyond_it_is_told(lab: Lab) -> None:
    with lab.redis() as client, ExitStack() as held:
        client.config_set("maxclients", 6)
        for _ in range(4):
            held.enter_context(closing(lab.redis())).ping()
        lab.comes("ConnectionsHigh", instance="redis-exporter")
        one_more, refused = held.enter_context(closing(lab.redis())), lab.redis()
        with pytest.raises(redis_client.ConnectionError, match="max number of clients"):
            one_more.ping() and refused.ping()
        held.close()
        lab.scrapes("redis-exporter", 2)
        assert lab.found("ConnectionsHigh"), "some were refused a moment ago"
        client.config_set("maxclients", 1000)
    lab.goes("ConnectionsHigh")


def test_a_mariadb_near_its_limit_of_connections_is_told(lab: Lab) -> None:
    with ExitStack() as held:
        for _ in range(17):
            held.enter_context(closing(lab.mysql()))
        lab.comes("ConnectionsHigh", instance="mysqld-exporter")
    lab.goes("ConnectionsHigh")


def test_a_mariadb_that_hangs_is_told_as_one_that_is_down(lab: Lab) -> None:
    assert not lab.found("MysqlDown")
    process = lab.processes["mysql"].process
    process.send_signal(signal.SIGSTOP)
    try:
        lab.comes("MysqlDown")
        assert lab.query('up{job="mysqld-exporter"} == 0')
    finally:
        process.send_signal(signal.SIGCONT)
    lab.goes("MysqlDown")


def test_a_log_that_prometheus_finds_broken_when_it_starts_is_told(tmp_path: Path) -> None:
    port = servers.free_port()
    itself = {"targets": [f"127.0.0.1:{port}"], "labels": {"instance": "prometheus"}}
    config = yaml.safe_dump(
        {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "prometheus", "static_configs": [itself]}],
        }
    )
    entry = alerts()["MonitoringDegraded"]

    def found(url: str) -> list[str]:
        answer = httpx.get(
            f"{url}/api/v1/query", params={"query": entry.expression()}, timeout=60, trust_env=False
        )
        return [one["metric"]["what"] for one in answer.json()["data"]["result"]]

    def scraped(url: str) -> bool:
        query = {"query": "prometheus_tsdb_wal_corruptions_total"}
        answer = httpx.get(f"{url}/api/v1/query", params=query, timeout=60, trust_env=False)
        return bool(answer.json()["data"]["result"])

    with servers.prometheus(config, tmp_path, port=port) as first:
        servers.wait_for(lambda: scraped(first.url), what="a scrape")
        assert found(first.url) == []
        first.kill()
    segment = max((tmp_path / "tsdb" / "wal").glob("0*"))
    with segment.open("r+b") as log:
        log.seek(100)
        log.write(os.urandom(64))
    with servers.prometheus(config, tmp_path, port=port) as second:
        servers.wait_for(lambda: found(second.url) == ["storage"], what="the alert")


def test_of_the_units_of_systemd_those_that_failed_are_reported(tmp_path: Path) -> None:
    """The real exporter, with the flags that the stack gives it, asks a systemd of the test's."""
    states = {
        "chrony.service": "failed",
        "ssh.service": "active",
        "srv.mount": "failed",
        "dev-sda.device": "active",
    }
    stack = topology(spec(), tmp_path, facts=replace(host(), systemd=True))
    program = next(p for p in programs(stack) if p.service == "node-exporter")
    units = [word for word in program.argv if word.startswith("--collector.systemd")]
    port = servers.free_port()
    url = f"http://127.0.0.1:{port}"
    with systemd_bus(tmp_path, states) as bus:
        argv = [
            "/usr/bin/env", f"DBUS_SYSTEM_BUS_ADDRESS={bus}", servers.binary("prometheus-node-exporter"),
            *units, f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        with servers.running(argv, tmp_path / "node", port, lambda: servers.http_ok(url)):
            text = httpx.get(f"{url}/metrics", timeout=60, trust_env=False).text
    assert 'node_scrape_collector_success{collector="systemd"} 1' in text
    failed = re.findall(r'^node_systemd_unit_state{name="([^"]+)",state="failed",.*} 1$', text, re.MULTILINE)
    assert sorted(failed) == ["chrony.service", "srv.mount"]
    assert len(re.findall(r'^node_systemd_unit_state{name="ssh.service"', text, re.MULTILINE)) == 5
