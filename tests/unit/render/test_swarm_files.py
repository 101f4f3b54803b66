"""The stack file of several machines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from stacks import EVERYTHING, rendered, spec, topology, with_alerts

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.render.swarm import swarm_units
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.stack_file import FOLDERS, STACK_YML
from techsapo_ops.stack.topology import Topology

HOSTS = {
    name: {"address": f"10.0.0.{number}", "docker": f"ssh://ops@{name}"}
    for number, name in enumerate(("a", "b", "c"), 1)
}


HERE = Path("/opt/stack")


def of_machines(**sections: Any) -> tuple[Spec, Topology]:
    known = {
        **{k: v for k, v in EVERYTHING.items() if k != "redis"},
        "engine": "swarm",
        "hosts": HOSTS,
        "floating_address": "10.0.0.100/24",
        "monitoring": with_alerts(),
        **sections,
    }
    wanted = spec(**known)
    return wanted, topology(wanted, HERE, "swarm")


def stack_of(**sections: Any) -> dict[str, Any]:
    wanted, where = of_machines(**sections)
    found: dict[str, Any] = read_yaml(rendered(wanted, where)[STACK_YML].content)
    return found


def test_each_service_stands_on_one_machine_and_is_named_after_it() -> None:
    services = stack_of()["services"]
    for instance in ("app-1", "app-2", "app-3", "nginx", "redis", "mysql", "alertmanager"):
        for machine in HOSTS:
            deploy = services[f"{instance}-{machine}"]["deploy"]
            assert deploy["mode"] == "global"
            assert deploy["placement"]["constraints"] == [f"node.labels.techsapo == {machine}"]
            assert deploy["endpoint_mode"] == "dnsrr"
    assert {name for name in services if name.startswith("prometheus-")} == {"prometheus-a", "prometheus-b"}


def test_the_app_finds_evidence_of_its_stack_in_a_folder_where_alerts_are_investigated() -> None:
    def folders(**sections: Any) -> list[str]:
        return [
            source
            for source in stack_of(**sections)["services"]["app-1-a"][FOLDERS].values()
            if "evidence" in source
        ]

    assert folders() == []
    assert folders(investigate={}) == ["config/app/evidence"]


def test_the_app_starts_beside_the_one_whose_place_it_takes_and_what_has_data_does_not() -> None:
    services = stack_of()["services"]
    orders = {name: entry["deploy"]["update_config"]["order"] for name, entry in services.items()}
    assert orders["app-1-a"] == "start-first"
    assert {orders[f"{kind}-a"] for kind in ("redis", "mysql", "nginx", "prometheus")} == {"stop-first"}
    assert {e["deploy"]["update_config"]["failure_action"] for e in services.values()} == {"rollback"}


def test_a_service_is_given_what_it_reads_and_nothing_of_another_machine() -> None:
    stack = stack_of()
    targets = {name: {c["target"] for c in e.get("configs", ())} for name, e in stack["services"].items()}
    assert "/etc/techsapo/app/techsapo.yaml" in targets["app-1-b"]
    assert not [t for t in targets["app-1-b"] if "redis" in t or "prometheus" in t]
    for name, found in targets.items():
        machine = name.rpartition("-")[2]
        others = [f"/on-{other}/" for other in HOSTS if other != machine]
        assert not [t for t in found if any(other in t for other in others)], name
    used = {c["source"] for entry in stack["services"].values() for c in entry.get("configs", ())}
    assert used == set(stack["configs"])


def test_a_host_that_is_called_as_a_folder_hides_nothing_from_the_others() -> None:
    names = ("a", "rules", "dashboards")
    hosts = {n: {"address": f"10.0.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate(names, 1)}
    services = stack_of(hosts=hosts)["services"]

    def read(service: str) -> set[str]:
        own = f"/on-{service.partition('-')[2]}/"
        return {c["target"].replace(own, "/") for c in services[service]["configs"]}

    assert read("prometheus-a") == read("prometheus-rules")
    assert any("/prometheus/rules/" in path for path in read("prometheus-a"))
    assert read("grafana-a") == read("grafana-dashboards") == read("grafana-rules")


def test_secrets_are_their_users_alone_and_never_a_config() -> None:
    wanted, where = of_machines()
    files = rendered(wanted, where)
    stack = read_yaml(files[STACK_YML].content)
    for name, entry in stack["services"].items():
        service = where.find(name)
        assert service is not None
        for secret in entry.get("secrets", ()):
            assert (secret["uid"], secret["mode"]) == (str(service.facts.uid), 0o400)
    configs = {each["file"] for each in stack["configs"].values()}
    assert not [path for path in configs if path.startswith("secrets/")]
    text = files[STACK_YML].content
    assert "sk-secret" not in text
    assert "mysql-secret" not in text


def test_what_the_tool_keeps_is_in_volumes_and_seen_from_the_stack_file() -> None:
    stack = stack_of()
    nginx = stack["services"]["nginx-b"]
    assert nginx[FOLDERS]["nginx-b-certs"] == "../../certs"
    assert not [source for source in nginx[FOLDERS].values() if source.startswith("/")]
    assert {
        "type": "volume",
        "source": "nginx-b-certs",
        "target": "/etc/techsapo/certs",
        "read_only": True,
    } in (nginx["volumes"])
    assert str(HERE) not in yaml.safe_dump(stack["services"]), "another machine may have it elsewhere"


def test_the_containers_network_is_encrypted_where_the_spec_says_so() -> None:
    assert "driver_opts" not in stack_of()["networks"]["net"]
    network = stack_of(swarm={"encrypted": True})["networks"]["net"]
    assert network["driver_opts"] == {"encrypted": ""}


def test_a_template_that_loses_a_service_is_told() -> None:
    wanted, where = of_machines()
    files = rendered(wanted, where)
    text = files[STACK_YML].content.replace("  redis-a:\n", "  redis-x:\n")
    with pytest.raises(OpsError, match="has no service redis-a"):
        swarm_units(where, [replace(files[STACK_YML], content=text)])
