"""Monitoring of a stack on several machines: two Prometheis, three Alertmanagers that are one."""

from __future__ import annotations

import re
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from machines_spec import machines_files, machines_topology
from monitoring_stack import monitoring_files, spec_of
from rows import each_row
from stacks import with_alerts

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.series import NEWEST_COPY, job_metrics
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.services.loaded_configuration import server_of
from techsapo_ops.services.made_secrets import made_key
from techsapo_ops.services.prometheus.runtime import LOADED
from techsapo_ops.stack.desired import RenderedFile

FILES = machines_files()
STACK = read_yaml(FILES["stack.yml"])
RULES = read_yaml(FILES["prometheus/rules/alerts.yml"])
RECEIVERS = read_yaml(FILES["alertmanager/alertmanager.yml"])


def prometheus(machine: str, files: dict[str, str] = FILES) -> dict[str, Any]:
    parsed: dict[str, Any] = read_yaml(files[f"prometheus/on-{machine}/prometheus.yml"])
    return parsed


def command_of(service: str) -> list[str]:
    found: list[str] = STACK["services"][service]["command"]
    return found


def labels_by_target(job: str, config: dict[str, Any]) -> dict[str, dict[str, str]]:
    found = next(j for j in config["scrape_configs"] if j["job_name"] == job)
    return {each["targets"][0]: each["labels"] for each in found["static_configs"]}


NEAREST = {
    "--prometheus": "prometheus-b:9090,prometheus-a:9090",
    "--alertmanager": "alertmanager-b:9093,alertmanager-a:9093,alertmanager-c:9093",
    "--mysql": "mysql-b:3306,mysql-a:3306,mysql-c:3306",
    "--sentinel": "10.77.0.2:26379,10.77.0.1:26379,10.77.0.3:26379",
}


def test_the_app_is_told_of_all_that_serve_it_the_nearest_first() -> None:
    command = command_of("app-b")
    assert {option: command[command.index(option) + 1] for option in NEAREST} == NEAREST


def test_each_target_has_its_own_name_and_says_on_which_machine_it_is() -> None:
    config = prometheus("a")
    assert labels_by_target("techsapo-app", config)["app-b:4000"] == {"instance": "app-b", "host": "b"}
    node = {"instance": "node-exporter-c", "host": "c"}
    assert labels_by_target("node-exporter", config)["10.77.0.3:9100"] == node
    assert set(labels_by_target("prometheus", config)) == {"prometheus-a:9090", "prometheus-b:9090"}


def test_two_prometheis_differ_in_a_label_that_no_alert_carries() -> None:
    first, second = prometheus("a"), prometheus("b")
    assert first["global"]["external_labels"] == {"replica": "prometheus-a"}
    assert second["global"]["external_labels"] == {"replica": "prometheus-b"}
    assert first["alerting"] == second["alerting"]
    assert first["alerting"]["alert_relabel_configs"] == [{"regex": "replica", "action": "labeldrop"}]
    told = first["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert told == ["alertmanager-a:9093", "alertmanager-b:9093", "alertmanager-c:9093"]
    assert "prometheus/on-c/prometheus.yml" not in FILES


def test_what_a_running_one_has_is_compared_with_the_file_of_its_machine() -> None:
    class Asked:
        def config(self) -> str:
            return FILES["prometheus/on-b/prometheus.yml"]

        def rules(self) -> dict[str, Any]:
            return {}

    topology = machines_topology()
    files = {f"swarm/config/{path}": RenderedFile(path, text) for path, text in FILES.items()}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("techsapo_ops.services.prometheus.runtime._client", lambda _: Asked())
        asked = {
            s.name: LOADED.differs(server_of(topology, s), "swarm/config/", files)
            for s in topology.of_kind("prometheus")
        }
    assert "replica" in asked["prometheus-a"]
    assert asked["prometheus-b"].startswith("the rule groups differ")


FIVE = {
    name: {"address": f"10.77.0.{number}", "docker": f"unix:///lab/{name}/docker.sock"}
    for number, name in enumerate("abcde", 1)
}


def test_of_five_hosts_any_two_may_be_lost_and_one_that_is_left_still_watches() -> None:
    topology = machines_topology(hosts=FIVE)
    watching = {s.machine.name for s in topology.of_kind("prometheus")}
    assert all(watching - set(lost) for lost in combinations("abcde", 2))
    files = machines_files(topology)
    assert {path for path in files if path.endswith("prometheus.yml")} == {
        f"prometheus/on-{name}/prometheus.yml" for name in sorted(watching)
    }
    config = prometheus("c", files)
    assert set(labels_by_target("prometheus", config)) == {f"prometheus-{name}:9090" for name in "abc"}
    others = config["scrape_configs"][-1]["static_configs"]
    assert [each["targets"] for each in others] == [["prometheus-a:9090"], ["prometheus-b:9090"]]


def test_who_has_the_alertmanagers_secret_is_one_of_them_and_nobody_else(tmp_path: Path) -> None:
    tls = read_yaml(FILES["alertmanager/cluster-tls.yml"])
    assert tls["tls_server_config"]["client_auth_type"] == "RequireAndVerifyClientCert"
    having = {
        name
        for name, entry in STACK["services"].items()
        if "alertmanager-cluster.pem" in {secret["target"] for secret in entry.get("secrets", ())}
    }
    assert having == {"alertmanager-a", "alertmanager-b", "alertmanager-c"}
    made_key(tmp_path / "key", tls["tls_client_config"]["server_name"])
    made = x509.load_pem_x509_certificate(
        (tmp_path / "key").read_bytes().partition(b"-----END PRIVATE KEY-----\n")[2]
    )
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["alertmanager"]


@each_row("interval, turn", [("5m", "5s"), ("1s", "200ms")])
def test_the_last_one_had_its_turn_before_the_next_look_at_the_same_alerts(interval: str, turn: str) -> None:
    spec = {"alertmanager": {"group_interval": interval}, **with_alerts()}
    stack = read_yaml(machines_files(machines_topology(monitoring=spec))["stack.yml"])
    command = stack["services"]["alertmanager-a"]["command"]
    assert f"--cluster.peer-timeout={turn}" in command
    peers = [word.partition("=")[2] for word in command if word.startswith("--cluster.peer=")]
    assert peers == ["alertmanager-b:9094", "alertmanager-c:9094"]


TRIE = """Main:
  +-- 0.0.0.0/0 3 0 4
     |-- 0.0.0.0
        /0 universe UNICAST
        |-- {first}
           /32 host LOCAL
     +-- 127.0.0.0/8 2 0 2
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 172.18.0.3
           /32 link UNICAST
           /32 host LOCAL
        |-- 10.99.15.255
           /32 link BROADCAST
"""


def started(folder: Path, first: str) -> subprocess.CompletedProcess[str]:
    """What start.sh says in a container with the address `first`; its alertmanager tells its arguments."""
    (folder / "alertmanager").write_text('#!/bin/sh\necho "$@"\n')
    (folder / "alertmanager").chmod(0o755)
    (folder / "trie").write_text(TRIE.format(first=first))
    return subprocess.run(
        ["/bin/sh", "-s", "--", "--config.file=x y"],
        input=FILES["alertmanager/start.sh"],
        env={"PATH": str(folder), "FIB_TRIE": str(folder / "trie")},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@each_row("address", ["10.99.0.7", "10.99.15.200"])
def test_it_tells_the_others_its_address_in_the_network_of_the_stack(tmp_path: Path, address: str) -> None:
    done = started(tmp_path, address)
    assert done.stdout == f"--cluster.advertise-address={address}:9094 --config.file=x y\n"


@each_row("address", ["10.99.16.1", "10.98.255.255", "192.168.0.9"])
def test_it_does_not_start_with_an_address_that_the_others_do_not_reach(tmp_path: Path, address: str) -> None:
    done = started(tmp_path, address)
    assert done.returncode == 1
    assert "no address in 10.99.0.0/20" in done.stderr


def test_each_machine_asks_the_others_and_none_itself() -> None:
    probes = next(j for j in prometheus("a")["scrape_configs"] if j["job_name"] == "techsapo-probes")
    labels = [each["labels"] for each in probes["static_configs"]]
    between = {(each["from"], each["to"]) for each in labels if "to" in each}
    assert between == {(a, b) for a in "abc" for b in "abc" if a != b}
    assert {each["name"] for each in labels if each.get("to") == "b"} >= {"nginx-b", "manager-b", "redis-b"}
    front = {each["__param_target"] for each in labels if each["scope"] == "front"}
    assert front == {"http://10.77.0.100:8080/ping"}


def test_one_host_has_no_alert_of_machines_and_machines_have_all_of_them() -> None:
    found = {rule["alert"]: rule["expr"] for group in RULES["groups"] for rule in group["rules"]}
    wanted = {a.name for a in alerts().values() if a.machines}
    assert wanted - set(found) == set()
    assert '"10.77.0.100"' in found["FloatingAddressTwice"]
    one = read_yaml(monitoring_files(spec_of())["prometheus/rules/alerts.yml"].content)
    assert wanted & {rule["alert"] for group in one["groups"] for rule in group["rules"]} == set()


def test_no_redis_at_all_is_critical_on_machines_where_questions_are_refused_and_waits_on_one_host() -> None:
    def told(text: str) -> dict[str, Any]:
        every = [rule for group in read_yaml(text)["groups"] for rule in group["rules"]]
        found: dict[str, Any] = next(rule for rule in every if rule["alert"] == "RedisDown")
        return found

    rules = "prometheus/rules/alerts.yml"
    several, one = told(FILES[rules]), told(monitoring_files(spec_of())[rules].content)
    assert (several["labels"]["severity"], one["labels"]["severity"]) == ("critical", "warning")
    assert "unconfirmed" in several["annotations"]["description"]
    assert "unconfirmed" not in one["annotations"]["description"]
    routes = RECEIVERS["route"]["routes"]
    assert not [r for r in routes if "RedisDown" in r["matchers"][0] and r["receiver"] != "critical"]


def test_without_an_address_that_moves_each_front_is_one_of_the_stack_s_and_no_alert_is_about_it() -> None:
    files = machines_files(machines_topology(floating_address=None))
    rules = read_yaml(files["prometheus/rules/alerts.yml"])
    found = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    assert found & {"FloatingAddressLost", "FloatingAddressTwice"} == set()
    assert "MachineDown" in found
    assert "scope: front" in files["prometheus/on-a/prometheus.yml"]


def muted_by(cause: str) -> dict[str, tuple[str, ...]]:
    """What an alert mutes, and the labels that have to be equal for it."""
    return {
        name: tuple(rule.get("equal", ()))
        for rule in RECEIVERS["inhibit_rules"]
        if rule["source_matchers"][0] == f'alertname="{cause}"'
        for name in rule["target_matchers"][0].removeprefix('alertname=~"').rstrip('"').split("|")
    }


def test_a_lost_machine_mutes_what_it_brings_with_it() -> None:
    muted = muted_by("MachineDown")
    assert muted["TargetDown"] == muted["MemberDown"] == ("host",)
    # What is missing besides that machine is news.
    few = {name for name, alert in alerts().items() if "{machines_down}" in alert.expr}
    assert set(muted) & {*few, "RedisNotWritable", "MysqlMemberDown"} == set()


def test_what_the_smaller_side_of_a_cut_sees_is_one_message() -> None:
    muted = muted_by("MonitoringCutOff")
    assert set(muted.values()) == {()}
    assert muted.keys() >= {"MachineDown", "ProbeFailing", "MembersFew", "MysqlDown", "TargetDown"}
    # That no host has the address is not known there in the first place; the rest is worse on either side.
    loud = {"FloatingAddressLost", "FloatingAddressTwice", "RedisSplit", "RedisDown", "AppDown"}
    assert muted.keys() & loud == set()


def test_what_jobs_leave_is_read_of_the_host_that_got_it_last_and_on_one_host_as_it_was() -> None:
    # Not of a stretch of time: an apply is known by its number, whoever's copy tells of it.
    left = re.compile(rf"\b(?:{'|'.join(job_metrics())})\b(?!\[)")
    reading = {
        rule["alert"]: rule["expr"]
        for group in RULES["groups"]
        for rule in group["rules"]
        if left.search(rule["expr"])
    }
    assert {"JobFailed", "BackupVerificationFailed", "CertificateNotServed", "DrillMissed"} <= set(reading)
    for expr in reading.values():
        assert len(left.findall(expr)) == expr.count(NEWEST_COPY)
    assert all(NEWEST_COPY not in alert.expression() for alert in alerts().values())
