"""The login of Prometheus and Alertmanager in the generated files: who is told of it, and by which file."""

from __future__ import annotations

from pathlib import Path

import pytest
from rows import each_row
from stacks import rendered, spec, templates, topology, with_alerts

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply.plan import desired_state

HERE = Path("/opt/stack")

BOTH = {"prometheus": {"login": True}, "alertmanager": {"login": True}}
GUARDED = ("prometheus", "alertmanager")
KEYS = "/etc/techsapo"


@each_row(
    "path, places",
    [
        ("prometheus/prometheus.yml", f"{HERE}/.techsapo/keys/{{}}-password.prometheus"),
        ("docker/config/prometheus/prometheus.yml", "/run/secrets/{}-password"),
    ],
)
def test_prometheus_logs_in_at_itself_and_at_alertmanager_alone(path: str, places: str) -> None:
    model = spec(monitoring={**with_alerts(), **BOTH})
    config = read_yaml(rendered(model, topology(model, HERE))[path].content)
    logins = {c["job_name"]: c["basic_auth"] for c in config["scrape_configs"] if "basic_auth" in c}
    assert logins == {
        kind: {"username": "techsapo", "password_file": places.format(kind)} for kind in GUARDED
    }
    assert config["alerting"]["alertmanagers"][0]["basic_auth"] == logins["alertmanager"]


@each_row("folder, words", [("a}b", "can't name the file"), ("a$$b", "can't be told the file")])
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
    known = {f"{k}-password.{r}" for k in GUARDED for r in units} | {f"{k}-web.yml" for k in GUARDED}
    for reader, of, more in (
        ("prometheus", GUARDED, {"prometheus-web.yml"}),
        ("alertmanager", ("alertmanager",), {"alertmanager-web.yml"}),
        ("app", GUARDED, set()),
        ("grafana", GUARDED, set()),
        ("redis", (), set()),
    ):
        files = {f"{kind}-password.{reader}" for kind in of} | more
        assert {name for name in known if f"/keys/{name}" in units[reader].definition} == files, reader
