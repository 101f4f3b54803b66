"""The login of Prometheus and Alertmanager in the generated files: who is told of it, and by which file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from stacks import rendered, spec, templates, topology, with_alerts

from techsapo_ops.apply.plan import desired_state
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.desired import RenderedFile

HERE = Path("/opt/stack")

BOTH = {"prometheus": {"login": True}, "alertmanager": {"login": True}}
GUARDED = ("prometheus", "alertmanager")
KEYS = "/etc/techsapo"


def files_of(directory: Path, engine: Any = "native", **monitoring: Any) -> dict[str, RenderedFile]:
    model = spec(monitoring={**with_alerts(), **monitoring})
    return rendered(model, topology(model, directory, engine))


def data(file: RenderedFile) -> Any:
    return read_yaml(file.content)


def test_prometheus_logs_in_at_itself_and_at_alertmanager_alone() -> None:
    config = data(files_of(HERE, **BOTH)["prometheus/prometheus.yml"])
    jobs = {c["job_name"]: c.get("basic_auth") for c in config["scrape_configs"]}
    assert {name for name, login in jobs.items() if login} == set(GUARDED)
    keys = HERE / ".techsapo" / "keys"
    for kind in GUARDED:
        expected = {"username": "techsapo", "password_file": f"{keys}/{kind}-password.prometheus"}
        assert jobs[kind] == expected
    assert config["alerting"]["alertmanagers"][0]["basic_auth"] == jobs["alertmanager"]


def test_a_container_is_told_the_places_of_its_own_copies() -> None:
    found = files_of(HERE, **BOTH)
    config = data(found["docker/config/prometheus/prometheus.yml"])
    login = {"username": "techsapo", "password_file": "/run/secrets/alertmanager-password"}
    assert config["alerting"]["alertmanagers"][0]["basic_auth"] == login
    client = data(found["docker/config/alertmanager/client.yml"])
    assert client == {"basic_auth": login}


def test_grafana_reads_the_passwords_from_its_copies() -> None:
    sources = data(files_of(HERE, **BOTH)["grafana/provisioning/datasources/techsapo.yml"])["datasources"]
    keys = HERE / ".techsapo" / "keys"
    for source, kind in zip(sources, GUARDED, strict=True):
        assert (source["basicAuth"], source["basicAuthUser"]) == (True, "techsapo")
        password = source["secureJsonData"]["basicAuthPassword"]
        assert password == f"$__file{{{keys}/{kind}-password.grafana}}"


@each_row("folder, words", [("a}b", "can't name the file"), ("a$$b", "can't use the file")])
def test_a_folder_that_grafana_would_read_otherwise_is_refused(folder: str, words: str) -> None:
    model = spec(monitoring=BOTH)
    found = topology(model, HERE / folder)
    with pytest.raises(OpsError, match=words):
        rendered(model, found)


def test_the_containers_health_checks_log_in_by_a_file_and_show_no_password() -> None:
    model = spec(monitoring=BOTH)
    units = desired_state(topology(model, HERE, "compose"), templates()).containers
    for kind in GUARDED:
        definition = units[kind].definition
        assert f"--http.config.file={KEYS}/{kind}/client.yml" in definition
        assert f"--web.config.file=/run/secrets/{kind}-web.yml" in definition
    for reader, files in {
        "prometheus": {
            "prometheus-password.prometheus",
            "alertmanager-password.prometheus",
            "prometheus-web.yml",
        },
        "alertmanager": {"alertmanager-password.alertmanager", "alertmanager-web.yml"},
        "app": {"prometheus-password.app", "alertmanager-password.app"},
        "grafana": {"prometheus-password.grafana", "alertmanager-password.grafana"},
        "redis": set(),
    }.items():
        known = {f"{k}-password.{r}" for k in GUARDED for r in units} | {f"{k}-web.yml" for k in GUARDED}
        assert {name for name in known if f"/keys/{name}" in units[reader].definition} == files, reader
