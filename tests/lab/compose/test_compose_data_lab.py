"""Backups, certificates and jobs of a stack in containers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from backup_lab import stack_of
from container_data import (
    MYSQL_PASSWORD,
    PROJECT,
    REDIS_PASSWORD,
    edge_in_containers,
    forged,
    redis,
    scratch_containers,
    sql,
)
from cryptography import x509
from docker_lab import DockerLab, container_ids, docker, left_over
from edges import Edge
from guarded_redis import fetched
from projects import Project
from servers import next_second, wait_for

from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.backup.create import create_backup
from techsapo_ops.backup.repository.folder import Backup, repository_of
from techsapo_ops.backup.restore import run as restore
from techsapo_ops.backup.restore.intent import intend, into_scratch
from techsapo_ops.backup.verify import verify_backup
from techsapo_ops.services.monitoring import api as prometheus_api
from techsapo_ops.services.monitoring import scratch_api
from techsapo_ops.services.prometheus import snapshot as prometheus
from techsapo_ops.services.prometheus.backup import PrometheusBackup
from techsapo_ops.stores.audit.migrate import HEAD

pytestmark = pytest.mark.lab

ROWS = 3000
KINDS = ("redis", "mysql", "prometheus", "config")


@pytest.fixture(scope="module")
def edge(lab_images: DockerLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with edge_in_containers(lab_images, tmp_path_factory.mktemp("ca")) as made:
        yield made


@pytest.fixture(scope="module")
def lab(edge: Edge) -> Project:
    made = edge.project
    sql("CREATE TABLE notes (id INT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(200) DEFAULT '値')")
    sql(f"INSERT INTO notes (text) SELECT UUID() FROM seq_1_to_{ROWS}")
    sql("CREATE TRIGGER trimmed BEFORE INSERT ON notes FOR EACH ROW SET NEW.text = TRIM(NEW.text)")
    redis("EVAL", "for n = 1, 500 do redis.call('SET', 'k' .. n, n) end", "0")
    made.run("ask", "Dockerコンテナが起動しない", "--json")
    return made


@pytest.fixture(scope="module")
def backup(lab: Project) -> Backup:
    """The backup that the tests look at; none of them changes it."""
    found = json.loads(lab.run("backup", "--json").stdout)
    return repository_of(stack_of(lab)).find(found["id"])


def test_a_backup_holds_what_the_containers_do_with_facts_of_that_moment(backup: Backup) -> None:
    manifest = backup.read()
    assert manifest.kinds == KINDS
    facts = {part.kind: part.facts for part in manifest.parts}
    assert facts["mysql"]["tables"]["notes"]["rows"] == ROWS
    assert facts["mysql"]["exact"] is True
    assert facts["mysql"]["binlog"]["position"] > 0
    assert facts["redis"]["databases"]["0"]["keys"] >= 500
    plain = b"".join(
        b"".join(PackedReader(backup.folder / p.file)) for p in manifest.parts if p.kind == "config"
    )
    for secret in (REDIS_PASSWORD, MYSQL_PASSWORD, "redis''s", "PRIVATE KEY"):
        assert secret.encode() not in plain


def test_the_app_s_account_in_the_container_adds_rows_and_another_one_has_made_the_tables(
    lab: Project,
) -> None:
    granted = sql("SHOW GRANTS FOR 'techsapo'@'%'").splitlines()
    of_database = sorted(line.partition(" TO ")[0] for line in granted if "techsapo_audit" in line)
    assert of_database == [
        "GRANT INSERT ON `techsapo_audit`.`answer_labels`",
        "GRANT INSERT ON `techsapo_audit`.`audit_calls`",
        "GRANT INSERT ON `techsapo_audit`.`audit_requests`",
        "GRANT INSERT ON `techsapo_audit`.`incident_entries`",
        "GRANT INSERT ON `techsapo_audit`.`incident_events`",
        "GRANT INSERT, UPDATE ON `techsapo_audit`.`audit_spent`",
        "GRANT INSERT, UPDATE ON `techsapo_audit`.`incident_alerts`",
        "GRANT INSERT, UPDATE ON `techsapo_audit`.`incidents`",
        "GRANT SELECT ON `techsapo_audit`.*",
    ]
    assert "ALL PRIVILEGES" in sql("SHOW GRANTS FOR 'techsapo_migrations'@'%'")
    assert sql("SELECT version_num FROM alembic_version") == HEAD
    password = lab.layout.mysql_migrations_password.read_text()
    for container in container_ids(PROJECT).values():
        assert password not in docker("inspect", container).stdout


def test_it_is_whole_also_where_the_host_has_docker_alone(
    lab: Project, backup: Backup, tmp_path: Path
) -> None:
    (tmp_path / "docker").symlink_to("/usr/bin/docker")
    lab.environment["PATH"] = str(tmp_path)
    try:
        said = json.loads(lab.run("backup", "verify", backup.id, "--json").stdout)
        assert said["ok"] is True
        assert {p["kind"]: p["problems"] for p in said["parts"]} == {key: [] for key in KINDS}
        rdb = next(backup.folder.glob("redis-*"))
        damaged = forged(
            stack_of(lab), backup, tmp_path / "r", "redis", b"".join(PackedReader(rdb))[:-9] + b"x" * 9
        )
        binaries = {"docker": "/usr/bin/docker"}
        host = replace(damaged.topology.host, binaries=binaries)
        damaged = replace(damaged, topology=replace(damaged.topology, host=host))
        assert "redis-check-rdb" in " ".join(verify_backup(damaged, backup.id).sentences)
    finally:
        del lab.environment["PATH"]


def test_it_is_restored_on_trial_in_containers_without_a_network(lab: Project, backup: Backup) -> None:
    process = lab.popen("backup", "verify", backup.id, "--deep", "--json")
    wait_for(lambda: "techsapo-scratch" in scratch_containers(lab), what="a throwaway server")
    modes = docker(
        "inspect", "--format", "{{.HostConfig.NetworkMode}}", *scratch_containers(lab).split(), check=False
    )
    assert set(modes.stdout.split()) <= {"none"}
    deep = json.loads(process.communicate(timeout=120)[0])
    assert deep["ok"] is True
    assert {p["kind"]: p["problems"] for p in deep["parts"]} == {key: [] for key in KINDS}
    assert scratch_containers(lab) == ""
    text = (lab.layout.textfiles / "backups.prom").read_text()
    assert 'techsapo_backup_last_verification_success{name="backups"} 1.0' in text


def test_a_dump_that_is_killed_leaves_nothing_at_work_in_the_containers(lab: Project, backup: Backup) -> None:
    stack = stack_of(lab)
    before = [b.id for b in repository_of(stack).backups()]
    process = lab.popen("backup", "--only", "mysql,redis")
    mysql = container_ids(PROJECT)["mysql"]
    wait_for(
        lambda: "mariadb" in docker("top", mysql, "-eo", "pid,args").stdout.replace("mariadbd", ""),
        what="a session",
    )
    process.kill()
    process.communicate()
    wait_for(
        lambda: "mariadb" not in docker("top", mysql, "-eo", "pid,args").stdout.replace("mariadbd", ""),
        what="the sessions in the container ended",
    )
    assert [b.id for b in repository_of(stack).backups()] == before
    sql("INSERT INTO notes (text) VALUES ('commits go on')")
    sql("DELETE FROM notes WHERE text = 'commits go on'")


def test_restore_brings_back_rows_and_keys_also_with_an_append_only_file(
    lab: Project, backup: Backup
) -> None:
    redis("FLUSHALL")
    redis("SET", "new", "1")
    sql("DELETE FROM notes")
    done = json.loads(lab.run("restore", backup.id, "--yes", "--json").stdout)
    assert (redis("GET", "k7"), redis("EXISTS", "new")) == ("7", "0")
    assert redis("CONFIG", "GET", "appendonly").split() == ["appendonly", "yes"]
    assert sql("SELECT COUNT(*) FROM notes") == str(ROWS)
    lab.run("restart", "redis")
    assert redis("GET", "k7") == "7"
    lab.well()
    assert repository_of(stack_of(lab)).find(done["safety"]).read().tag == "before-restore"


def test_a_moment_between_two_writes_is_brought_back_by_the_binlog(lab: Project, backup: Backup) -> None:
    made = json.loads(lab.run("backup", "--only", "mysql", "--json").stdout)
    sql("INSERT INTO notes (text) VALUES ('wanted')")
    moment = next_second()
    next_second()
    sql("DELETE FROM notes")
    done = json.loads(lab.run("restore", "--to", moment.isoformat(), "--yes", "--json").stdout)
    assert done["backup"] == made["id"]
    assert sql("SELECT COUNT(*), SUM(text = 'wanted') FROM notes").split() == [str(ROWS + 1), "1"]


@pytest.fixture
def two_seconds_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is counted of samples is of two seconds ago, so that there is something."""
    monkeypatch.setattr(PrometheusBackup, "settled", 2.0)


@pytest.mark.nightly
def test_samples_come_back_live_and_are_read_on_trial(lab: Project, two_seconds_old: None) -> None:
    stack, api = stack_of(lab), prometheus_api(stack_of(lab))

    def scrapes() -> float:
        return sum(sample.value for sample in api.query("sum(count_over_time(up[1d]))"))

    def files(pattern: str) -> list[str]:
        script = f"ls -d {pattern} 2>/dev/null; true"
        return docker("exec", container_ids(PROJECT)["prometheus"], "sh", "-c", script).stdout.split()

    wait_for(lambda: scrapes() > 60, timeout=60, what="some scrapes")
    users = api.snapshot()
    note = stack.topology.layout.state / "prometheus-snapshot.json"
    note.write_text(json.dumps({"at": time.time(), "before": [users], "name": api.snapshot()}))
    made = create_backup(stack, only=("prometheus",)).backup
    assert files("/prometheus/snapshots/*") == [f"/prometheus/snapshots/{users}"], (
        "a killed one's is gone too"
    )
    part = made.read().part("prometheus")
    assert part is not None
    assert part.facts["counted"]["scrapes"] > 0
    there = intend(stack, made.id, ("prometheus",))
    with into_scratch(stack, there, lambda _kind, _count: None) as servers:
        asked = scratch_api(servers["prometheus"])
        assert asked.own("prometheus_tsdb_blocks_loaded") == len(part.facts["blocks"])
        with pytest.raises(ApiError, match="parse error"):
            asked.query("count(")
    assert scratch_containers(lab) == ""

    before = part.facts["counted"]["scrapes"]
    assert api.send("api/v1/admin/tsdb/delete_series?match[]=up").status == 204
    assert scrapes() < before
    restore.perform(stack, there)
    assert prometheus.differences(part.facts, api) == []
    assert scrapes() >= before
    assert files("/prometheus/.before* /prometheus/.restoring") == []
    lab.well()


def test_a_certificate_is_issued_through_nginx_in_its_container_and_served(edge: Edge) -> None:
    before = container_ids(PROJECT)["nginx"]
    assert "local CA" in str(edge.served().issuer)
    assert "would issue" in edge.techsapo("renew", "--dry-run", code=100)
    assert "nginx serves it" in edge.techsapo("issue", "techsapo")
    shown = edge.served()
    assert "Pebble" in str(shown.issuer)
    assert shown == x509.load_pem_x509_certificate((edge.folder / "fullchain.pem").read_bytes())
    assert (edge.status()["served"], edge.status()["attention"]) == (True, [])
    edge.techsapo("renew", "--force")
    assert edge.served().public_key() != shown.public_key()
    assert container_ids(PROJECT)["nginx"] == before, "it was told to reload, and not started anew"
    assert docker("container", "inspect", "--format", "{{.RestartCount}}", before).stdout.strip() == "0"


def history(lab: Project, job: str) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads(lab.run("jobs", "history", job, "--json").stdout)["runs"]
    return runs


def test_no_container_has_the_daemons_socket(lab: Project) -> None:
    found = json.loads(docker("inspect", *container_ids(PROJECT).values()).stdout)
    assert not [
        entry["Name"] for entry in found if any("docker.sock" in m["Source"] for m in entry["Mounts"])
    ]


def test_the_metrics_of_a_job_reach_prometheus(lab: Project) -> None:

    def counted() -> bool:
        lab.run("jobs", "run", "costs")
        return "for 0 requests" not in history(lab, "costs")[0]["summary"]

    wait_for(counted, timeout=120, what="the question in what the job counts")
    api = prometheus_api(stack_of(lab))

    def told(metric: str) -> list[float]:
        return [sample.value for sample in api.query(metric)]

    wait_for(
        lambda: (
            told('techsapo_job_last_exit_code{name="costs"}') == [0]
            and len(told('techsapo_costs_usd{name="costs",provider="sim-a"}')) == 1
        ),
        timeout=120,
        what="the job's metrics by way of node exporter",
    )


def test_new_passwords_of_the_stores_arrive_and_down_leaves_nothing(lab: Project) -> None:
    password = "another \\ 'one' $x"
    lab.write(**{store: {**lab.spec[store], "password": password} for store in ("mysql", "redis")})
    lab.run("up", "--yes")

    def in_use() -> bool:
        used = json.loads(fetched(lab.spec["app"]["port"], "/api/v1/health"))["dependencies"]
        audit, cache = used["audit"], used["cache"]
        well = audit["status"] in {"ok", "healthy", "up"} and cache["status"] == "healthy"
        return well and audit["in_use"] != "sqlite" and cache["in_use"] == "redis"

    wait_for(in_use, what="the app on MariaDB and Redis with the new password")
    lab.run("plan")
    lab.run("down", "--volumes", "--yes")
    assert [left_over(kind, PROJECT) for kind in ("container", "network", "volume")] == [[], [], []]
    assert scratch_containers(lab) == ""
