"""The monitoring's generated configuration, judged by promtool, amtool and the servers themselves."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import httpx
import pytest
import servers
import yaml
from fakes.notified import notified
from monitoring_stack import EVERYTHING, monitoring_files, spec_of, write
from monitoring_tools import passes
from rows import each_row

from techsapo_ops.catalogue.alerts import SEVERITIES, alerts
from techsapo_ops.catalogue.dashboards import dashboards
from techsapo_ops.catalogue.series import metric_names, recording_rules

pytestmark = pytest.mark.lab

HOSTILE = ["\"'\\;#", "{{ $value }}", "{{", "}}", "${HOME} %(x)s 日本語" + "x" * 3000]


SPECS = {
    "defaults": {"project": "techsapo"},
    "everything": EVERYTHING,
    "next": {
        **EVERYTHING,
        "notifications": {
            **EVERYTHING["notifications"],
            "next": [
                {"after": "15m", "receivers": ["warning_0"]},
                {"after": "1h", "receivers": ["critical_1"]},
            ],
        },
    },
    "bare": {
        "project": "t",
        "redis": {"enabled": False},
        "monitoring": {"alertmanager": {"enabled": False}, "grafana": {"enabled": False}},
    },
}


@each_row("name", SPECS)
@each_row("engine", ["native", "compose"])
def test_the_real_tools_find_nothing_wrong_with_what_is_generated(
    name: str, engine: Any, tmp_path: Path
) -> None:
    files = monitoring_files(spec_of(SPECS[name]), tmp_path, engine)
    write(files.values(), tmp_path)
    passes(
        "promtool", "check", "config", "--lint=all", "--lint-fatal", tmp_path / "prometheus/prometheus.yml"
    )
    rules = sorted(tmp_path.glob("prometheus/rules/*.yml"))
    passes("promtool", "check", "rules", "--lint=all", "--lint-fatal", *rules)
    if "alertmanager/alertmanager.yml" in files:
        passes(
            "amtool", "check-config", "--enable-feature=utf8-strict-mode",
            tmp_path / "alertmanager/alertmanager.yml",
        )  # fmt: skip


@each_row("value", HOSTILE)
def test_hostile_texts_pass_the_real_tools(value: str, tmp_path: Path) -> None:
    spec = spec_of(
        notifications=notified(
            {
                "critical": [
                    {"kind": "slack", "url": "https://hooks.example/x"},
                    {"kind": "email", "to": value},
                    {"kind": "alertmanager", "config": {"pagerduty_configs": [{"routing_key": value}]}},
                ],
                "smtp": {"smarthost": "mail.example:25", "sender": value, "username": value, "password": "p"},
            }
        ),
        monitoring={
            "runbook_url": "https://wiki.example/" + re.sub(r"\s", "", value)[:1000],
        },
    )
    write(monitoring_files(spec, tmp_path).values(), tmp_path)
    passes(
        "promtool", "check", "config", "--lint=all", "--lint-fatal", tmp_path / "prometheus/prometheus.yml"
    )
    passes(
        "amtool", "check-config", "--enable-feature=utf8-strict-mode",
        tmp_path / "alertmanager/alertmanager.yml",
    )  # fmt: skip


def test_every_panel_query_is_valid_promql(tmp_path: Path) -> None:
    queries = [q for d in dashboards().values() for p in d.panels for q in p.queries]
    plain = [q.promql(rate_interval="1m") for q in queries]
    assert not [e for e in plain if "$" in e]
    rules = [{"record": f"panel:query:{n}", "expr": e} for n, e in enumerate(plain)]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    passes("promtool", "check", "rules", "--lint=none", path)


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as response:
        return json.load(response)["data"] if "/api/v1/" in url else json.load(response)


MDSTAT = """\
Personalities : [raid1]
md0 : active raid1 sda1[0]
      1047552 blocks super 1.2 [2/1] [U_]

unused devices: <none>
"""


def proc_of_a_raid(folder: Path) -> Path:
    """/proc as it is here, but for a RAID of which a disk is missing."""
    folder.mkdir()
    for entry in Path("/proc").iterdir():
        if entry.name in {"1", "self"} or not entry.name.isdigit():
            (folder / entry.name).symlink_to(entry)
    (folder / "mdstat").unlink(missing_ok=True)
    (folder / "mdstat").write_text(MDSTAT, encoding="ascii")
    return folder


def test_what_rules_and_panels_read_of_other_exporters_is_really_exported(tmp_path: Path) -> None:
    exprs = [a.expression(jobs=["prometheus"]) for a in alerts().values()]
    exprs += [r.expr for rules in recording_rules().values() for r in rules]
    exprs += [q.expr for d in dashboards().values() for p in d.panels for q in p.queries]
    read = {
        n for e in exprs for n in metric_names(e) if n.startswith(("node_", "prometheus_", "alertmanager_"))
    }
    assert read
    read -= {"node_systemd_unit_state"}  # where systemd runs: test_causes_lab.py
    read -= {"alertmanager_cluster_members"}  # where there are several: test_monitoring_cluster_lab.py
    (tmp_path / "prometheus").mkdir()
    rules = {"groups": [{"name": "one", "interval": "1s", "rules": [{"record": "one", "expr": "vector(1)"}]}]}
    (tmp_path / "prometheus" / "rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    port = servers.free_port()
    node = [
        servers.binary("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}",
        f"--path.procfs={proc_of_a_raid(tmp_path / 'proc')}", "--collector.netdev.address-info",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with (
        servers.running(node, tmp_path / "node", port, lambda: servers.http_ok(url)) as exporter,
        servers.prometheus("rule_files: [rules.yml]", tmp_path / "prometheus") as prometheus,
        servers.alertmanager(
            "{route: {receiver: x}, receivers: [{name: x, webhook_configs: [{url: http://127.0.0.1:9}]}]}",
            tmp_path / "am",
        ) as alertmanager,
    ):

        def exported(*of: servers.Server) -> set[str]:
            pages = [httpx.get(f"{server.url}/metrics", timeout=60, trust_env=False).text for server in of]
            return set(re.findall(r"^(\w+)[{ ]", "\n".join(pages), re.MULTILINE))

        # It counts samples from the first one on, which here is the rule's.
        first = "prometheus_tsdb_head_samples_appended_total"
        servers.wait_for(lambda: first in exported(prometheus), timeout=60, what="a sample")
        assert read - exported(exporter, prometheus, alertmanager) == set()


def test_the_severities_have_receivers_in_alertmanager_even_when_nobody_is_to_be_told(tmp_path: Path) -> None:
    write(monitoring_files(spec_of({"project": "t"}), tmp_path).values(), tmp_path)
    shown = passes(
        "amtool", "config", "routes", "show", f"--config.file={tmp_path}/alertmanager/alertmanager.yml"
    )
    assert [s for s in SEVERITIES if f"receiver: {s}" not in shown] == []
