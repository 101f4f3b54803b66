"""grafana.ini and the provisioning."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from monitoring_stack import monitoring_file, monitoring_files, spec_of
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError


def ini_values(content: str) -> dict[str, str]:
    """`section.key` → value, as go-ini reads it: `;` and `#` start comments outside backquotes."""
    values: dict[str, str] = {}
    section = ""
    for line in content.splitlines():
        if found := re.fullmatch(r"\[(\w+)\]", line):
            section = found[1]
        elif line and line[0] not in ";#":
            key, _, value = line.partition("=")
            value = value.strip()
            quoted = re.fullmatch(r"`([^`]*)`", value)
            values[f"{section}.{key.strip()}"] = quoted[1] if quoted else re.split(r"\s*[;#]", value)[0]
    return values


def settings(root: str = "/srv/techsapo", engine: Any = "native", **grafana: Any) -> dict[str, str]:
    spec = spec_of(monitoring={"grafana": grafana})
    return ini_values(monitoring_file("grafana/grafana.ini", spec, Path(root), engine).content)


def test_the_native_grafana_listens_where_the_spec_says() -> None:
    found = settings(host="localhost", port=3111)
    assert (found["server.http_addr"], found["server.http_port"]) == ("127.0.0.1", "3111")
    assert found["paths.data"] == "/srv/techsapo/data/grafana"
    assert found["paths.provisioning"] == "/srv/techsapo/grafana/provisioning"
    assert found["dashboards.default_home_dashboard_path"] == "/srv/techsapo/grafana/dashboards/main.json"


def test_the_container_listens_on_its_own_port_everywhere() -> None:
    found = settings(engine="compose", port=3111)
    assert (found["server.http_addr"], found["server.http_port"]) == ("", "3000")
    assert found["security.admin_password"] == "$__file{/run/secrets/monitoring-grafana-admin_password}"


def test_the_password_is_named_by_file() -> None:
    files = monitoring_files(spec_of(monitoring={"grafana": {"admin_password": "hunter2-hunter2"}}))
    assert not [f.path for f in files.values() if "hunter2" in f.content]
    found = ini_values(files["grafana/grafana.ini"].content)
    assert found["security.admin_password"] == (
        "$__file{/srv/techsapo/secrets/monitoring-grafana-admin_password}"
    )


@each_row("root", ["/srv/a b;c", "/srv/日本", "/srv/#x", "/srv/$HOME"])
def test_a_folder_of_any_name_is_found(root: str) -> None:
    found = settings(root)
    assert found["paths.provisioning"] == f"{root}/grafana/provisioning"
    assert found["security.admin_password"] == f"$__file{{{root}/secrets/monitoring-grafana-admin_password}}"


def test_a_folder_that_ends_the_reference_to_the_password_is_refused() -> None:
    with pytest.raises(OpsError, match="folder without }"):
        settings("/srv/a}b")


def provisioning(kind: str, root: str = "/srv/techsapo", **sections: Any) -> dict[str, Any]:
    path = f"grafana/provisioning/{kind}/techsapo.yml"
    parsed: dict[str, Any] = read_yaml(monitoring_file(path, spec_of(**sections), Path(root)).content)
    return parsed


def test_data_sources_keep_their_uid_and_can_not_be_edited() -> None:
    sources = provisioning("datasources")["datasources"]
    assert [(s["uid"], s["url"], s["editable"]) for s in sources] == [
        ("techsapo-prometheus", "http://127.0.0.1:9090", False),
        ("techsapo-alertmanager", "http://127.0.0.1:9093", False),
    ]
    assert sources[0]["jsonData"]["timeInterval"] == "15s"


def test_dashboards_are_read_from_the_generated_folder_and_dollars_in_it_are_no_variables() -> None:
    provider = provisioning("dashboards", "/srv/$HOME")["providers"][0]
    assert provider["options"]["path"] == "/srv/$$HOME/grafana/dashboards"
    assert (provider["disableDeletion"], provider["allowUiUpdates"]) == (True, False)


def test_each_dashboard_marks_alerts_and_the_end_of_each_apply() -> None:
    files = monitoring_files(spec_of())
    boards = [json.loads(f.content) for path, f in files.items() if path.startswith("grafana/dashboards/")]
    assert boards
    for board in boards:
        alerts, applies = board["annotations"]["list"]
        assert "ALERTS{" in alerts["expr"]
        assert "1000 * max by (number" in applies["expr"]  # in milliseconds
        assert "(techsapo_apply_timestamp_seconds)" in applies["expr"]
        assert applies["useValueForTime"] is True
