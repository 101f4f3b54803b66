from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.notified import notified
from rows import each_row
from stacks import EVERYTHING, host, rendered, spec, topology, with_alerts

from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.services.app.rendered_spec import PAGE_FACTS
from techsapo_ops.services.registry import programs
from techsapo_ops.services.scheduler.kind import JOBS_JSON
from techsapo_ops.stack.desired import Program

HERE = Path("/opt/stack")


def made(directory: Path, facts: HostFacts | None = None, **sections: Any) -> dict[str, Program]:
    wanted = spec(**sections)
    return {p.service: p for p in programs(topology(wanted, directory, facts=facts))}


def test_no_secret_is_in_an_argv_or_an_environment() -> None:
    for program in made(HERE, **EVERYTHING).values():
        words = " ".join([*program.argv, *program.environment.values()])
        for secret in ("redis-secret", "mysql-secret", "s3cret", "sk-secret"):
            assert secret not in words


def test_a_program_reads_the_files_it_is_started_with() -> None:
    """Every path below the generated folder in an argv is covered by `config`, or no change restarts it."""
    wanted = spec(**EVERYTHING)
    where = topology(wanted, HERE)
    files = rendered(wanted, where)
    for program in programs(where):
        for word in program.argv:
            _, found, path = word.partition(f"{where.layout.config}/")
            if found:
                assert path in files, (program.service, path)
                # Read whenever a page is looked at, and followed by the scheduler.
                if path in (PAGE_FACTS, JOBS_JSON):
                    continue
                assert path.startswith(program.config), (program.service, path)


def test_clients_of_a_redis_with_tls_are_told_its_ca() -> None:
    found = made(HERE, redis={"tls": True})
    ca = str(HERE / ".techsapo/keys/redis-tls/trust/ca.pem")
    argv = found["app"].argv
    assert argv[argv.index("--redis-ca") + 1] == ca
    assert "-redis.addr=rediss://127.0.0.1:6379" in found["redis-exporter"].argv
    assert f"-tls-ca-cert-file={ca}" in found["redis-exporter"].argv
    plain = [word for program in made(HERE).values() for word in program.argv]
    assert not [word for word in plain if re.search("redis-ca|rediss|tls-ca", word)]


def test_secrets_restart_who_reads_them_and_nobody_else() -> None:
    def digests(**sections: Any) -> dict[str, str]:
        monitoring = {**with_alerts("MemoryHigh"), **sections.pop("monitoring", {})}
        wanted = spec(**{**EVERYTHING, **sections, "monitoring": monitoring})
        where = topology(wanted, HERE)
        files = tuple(rendered(wanted, where).values())
        return {p.service: p.config_digest(files) for p in programs(where)}

    before = digests()

    def changed(**sections: Any) -> set[str]:
        return {name for name, digest in digests(**sections).items() if digest != before[name]}

    apps = {"app-1", "app-2", "app-3"}
    assert changed(redis={"password": "new"}) == {*apps, "redis", "redis-exporter"}
    assert changed(mysql={"password": "new"}) == {*apps, "mysql", "mysqld-exporter"}
    assert changed(monitoring={"grafana": {"admin_password": "new"}}) == {"grafana"}
    alerts = {**with_alerts()["alerts"], "MemoryHigh": {"threshold": 50}}
    assert changed(monitoring={"alerts": alerts}) == {"prometheus"}
    receiver = [{"kind": "slack", "url": "https://hooks.example.com/other"}]
    assert changed(notifications=notified({"critical": receiver})) == {"alertmanager"}
    assert changed(nginx={"hsts": True}) == {"nginx"}


def test_those_that_can_reload_do_and_nginx_stops_by_finishing() -> None:
    found = made(HERE, **EVERYTHING)
    reloading = {name for name, program in found.items() if program.reload_signal == "HUP"}
    assert reloading == {"nginx", "prometheus", "alertmanager", "blackbox-exporter"}
    assert found["nginx"].stop_signal == "QUIT"


def test_root_hands_services_to_their_users_but_keeps_nginxs_master() -> None:
    facts = host(root=True, users=frozenset({"redis", "www-data", "prometheus"}))
    found = made(HERE, facts, **EVERYTHING)
    assert found["redis"].user == "redis"
    assert found["prometheus"].user == "prometheus"
    assert found["nginx"].user is None


def test_the_stop_time_of_the_app_covers_its_drain_and_its_longest_request() -> None:
    found = made(HERE, app={"drain": "1500ms", "limits": {"request_timeout": "20s"}})
    assert found["app"].stop_seconds == 27


@each_row(
    "address, flag",
    [
        ("::1", "--web.listen-address=[::1]:9090"),
        ("localhost", "--web.listen-address=127.0.0.1:9090"),
        ("0.0.0.0", "--web.listen-address=0.0.0.0:9090"),
    ],
)
def test_listen_addresses_are_complete(address: str, flag: str) -> None:
    assert flag in made(HERE, monitoring={"prometheus": {"host": address}})["prometheus"].argv


def test_the_exporters_login_comes_from_the_spec_or_from_the_engine() -> None:
    given = made(HERE, mysql={"password": "x"})["mysqld-exporter"].argv
    managed = made(HERE, mysql={})["mysqld-exporter"].argv
    assert f"--config.my-cnf={HERE}/.techsapo/generated/secrets/mysqld-exporter.cnf" in given
    assert f"--config.my-cnf={HERE}/.techsapo/keys/mysqld-exporter.cnf" in managed


def test_a_service_without_an_executable_is_an_error_not_a_wrong_argv() -> None:
    where = topology(spec(), HERE)
    nameless = replace(where, services=tuple(replace(s, binary=None) for s in where.services))
    with pytest.raises(OpsError, match="the executable of redis was not found on this host"):
        programs(nameless)


def test_the_exporter_looks_at_units_where_systemd_runs_and_prometheus_keeps_those_that_failed() -> None:
    facts = replace(host(), systemd=True)
    argv = made(HERE, facts)["node-exporter"].argv
    assert "--collector.systemd" in argv
    assert "--no-collector.systemd" not in argv
    exclude = next(w for w in argv if w.startswith("--collector.systemd.unit-exclude=")).partition("=")[2]
    assert not re.fullmatch(exclude, "ssh.service")
    assert not re.fullmatch(exclude, "srv.mount")

    wanted = spec()
    config = rendered(wanted, topology(wanted, HERE, facts=facts))["prometheus/prometheus.yml"].content
    jobs = {job["job_name"]: job for job in read_yaml(config)["scrape_configs"]}
    (rule,) = jobs.pop("node-exporter")["metric_relabel_configs"]
    assert rule["action"] == "drop"

    def dropped(name: str, state: str) -> bool:
        labels = {"__name__": name, "state": state}
        joined = ";".join(labels[label] for label in rule["source_labels"])
        return re.fullmatch(rule["regex"], joined) is not None

    states = ("active", "activating", "deactivating", "failed", "inactive")
    assert [s for s in states if not dropped("node_systemd_unit_state", s)] == ["failed"]
    assert not dropped("node_systemd_units", "active")
    assert not [name for name, job in jobs.items() if "metric_relabel_configs" in job]
