"""dashboards/*.yaml, and what Grafana is given of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard as SdkDashboard
from monitoring_stack import EVERYTHING, monitoring_files, spec_of
from rows import each_row

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.dashboards import Dashboard, Thresholds, dashboards
from techsapo_ops.catalogue.series import metric_names
from techsapo_ops.services.grafana.dashboards import dashboard_json
from techsapo_ops.services.registry import facts

every_dashboard = each_row("dashboard", dashboards().values(), ids=lambda d: d.name)


def vanished(sent: Any, returned: Any, path: str = "") -> Iterator[str]:
    """What the round trip lost or changed, by path."""
    if isinstance(sent, dict) and isinstance(returned, dict):
        for key, value in sent.items():
            if key not in returned:
                yield f"{path}.{key}"
            else:
                yield from vanished(value, returned[key], f"{path}.{key}")
    elif isinstance(sent, list) and isinstance(returned, list) and len(sent) == len(returned):
        for n, (a, b) in enumerate(zip(sent, returned, strict=True)):
            yield from vanished(a, b, f"{path}[{n}]")
    elif sent != returned:
        yield f"{path}: {sent!r} is not {returned!r}"


def round_trip(value: dict[str, Any]) -> dict[str, Any]:
    register_default_plugins()
    encoded: dict[str, Any] = json.loads(JSONEncoder().encode(SdkDashboard.from_json(value)))
    return encoded


@each_row("dashboard, locale", itertools.product(dashboards().values(), ["ja", "en"]), ids=str)
def test_grafanas_own_model_knows_every_key(dashboard: Dashboard, locale: str) -> None:
    monitoring = {"runbook_url": "https://wiki.example/runbooks"}
    value = json.loads(dashboard_json(spec_of(locale=locale, monitoring=monitoring), dashboard))
    assert list(vanished(value, round_trip(value))) == []


@every_dashboard
def test_panels_fill_the_grid_without_overlap(dashboard: Dashboard) -> None:
    panels = json.loads(dashboard_json(spec_of(), dashboard))["panels"]
    assert [p["id"] for p in panels] == list(range(1, len(panels) + 1))
    cells = [
        (x, y)
        for g in (p["gridPos"] for p in panels)
        for x in range(g["x"], g["x"] + g["w"])
        for y in range(g["y"], g["y"] + g["h"])
    ]
    assert len(cells) == len(set(cells))
    assert all(sum(p.width for p in row.panels) == 24 for row in dashboard.rows)


def panel(title: str, **sections: Any) -> dict[str, Any]:
    main = json.loads(dashboard_json(spec_of(locale="en", **sections), dashboards()["main"]))
    found: dict[str, Any] = next(p for p in main["panels"] if p["title"] == title)
    return found


def test_the_main_dashboard_shows_what_the_guide_lists() -> None:
    rows = {row.title["en"]: [p.title["en"] for p in row.panels] for row in dashboards()["main"].rows}
    assert {"CPU used", "Memory used", "Network"} <= set(rows["System"])
    assert {"Response time", "Throughput", "Error rate"} <= set(rows["Application"])
    assert {"Success rate", "Confidence", "Consensus score"} <= set(rows["Wall-bounce analysis"])


def test_a_panel_shows_the_threshold_that_the_spec_gives_the_alert() -> None:
    def critical(**sections: Any) -> float:
        steps = panel("Memory used", **sections)["fieldConfig"]["defaults"]["thresholds"]["steps"]
        bound: float = next(s["value"] for s in steps if s["color"] == "red")
        return bound

    assert critical() == alerts()["MemoryHigh"].threshold == 90
    assert critical(monitoring={"alerts": {"MemoryHigh": {"threshold": 85}}}) == 85
    low_is_bad = panel("Success rate")["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(s["color"], s["value"]) for s in low_is_bad] == [
        ("red", None),
        ("yellow", 0.95),
        ("green", 0.99),
    ]


@every_dashboard
def test_a_threshold_is_of_its_alert_s_severity_and_on_its_side(dashboard: Dashboard) -> None:
    for panel in dashboard.panels:
        drawn = panel.thresholds or Thresholds()
        for level, bound in (("warning", drawn.warning), ("critical", drawn.critical)):
            if isinstance(bound, str):
                alert = alerts()[bound]
                side = "below" if "< {threshold}" in alert.expr else "above"
                assert (alert.severity, side) == (level, drawn.bad), panel.title


def test_a_panel_links_to_the_runbook_on_the_apps_own_page_or_where_the_spec_publishes_them() -> None:
    links = panel("Memory used", app={"public_url": "https://ops.example.com"})["links"]
    assert [link["url"] for link in links] == ["https://ops.example.com/runbooks/MemoryHigh"]
    links = panel("Memory used", monitoring={"runbook_url": "https://wiki.example/r/"})["links"]
    assert [link["url"] for link in links] == ["https://wiki.example/r/MemoryHigh.md"]


def test_a_dashboard_has_no_query_that_hides_a_dead_panel() -> None:
    exprs = [q.expr for d in dashboards().values() for p in d.panels for q in p.queries]
    assert [e for e in exprs if "vector(" in e] == []


@every_dashboard
def test_exemplars_are_asked_for_where_buckets_are_read_and_nowhere_else(dashboard: Dashboard) -> None:
    for drawn in json.loads(dashboard_json(spec_of(), dashboard))["panels"]:
        for target in drawn.get("targets", []):
            assert target["exemplar"] == ("_bucket{" in target["expr"]), target["expr"]


@every_dashboard
def test_a_panel_that_a_choice_of_the_instance_does_not_change_says_so(dashboard: Dashboard) -> None:
    value = json.loads(dashboard_json(spec_of(locale="en"), dashboard))
    offered = any(v["name"] == "instance" for v in value["templating"]["list"])
    for drawn in value["panels"]:
        if drawn["type"] != "row":
            heeds = any("$instance" in target["expr"] for target in drawn["targets"])
            assert ("whichever instance" in drawn["description"]) == (offered and not heeds)


def test_a_dashboard_about_a_server_is_there_where_the_stack_has_the_server_s_exporter() -> None:
    def shown(data: dict[str, Any]) -> set[str]:
        paths = monitoring_files(spec_of(data))
        return {path.split("/")[-1] for path in paths if path.startswith("grafana/dashboards/")}

    everywhere = {"main.json", "disks.json", "prometheus.json", "nginx.json"}
    off = {"enabled": False}
    few = {"project": "t", "redis": off, "nginx": off, "monitoring": {"exporters": {"blackbox": None}}}
    assert {"mysql.json", "redis.json", "probes.json", *everywhere} <= shown(EVERYTHING)
    assert shown(few) & {"mysql.json", "redis.json", "probes.json", "nginx.json"} == set()
    assert {d.needs for d in dashboards().values()} - {None} <= set(facts())


def test_an_alert_s_dashboard_is_there_wherever_the_alert_is() -> None:
    for alert in alerts().values():
        needs = dashboards()[alert.dashboard].needs
        assert alert.machines or not dashboards()[alert.dashboard].machines
        reads = metric_names(alert.expression())
        expected = {None, "prometheus", alert.exporter}
        if any(name.startswith("node_") for name in reads):
            expected.add("node-exporter")
        if any(name.startswith(("probe_", "techsapo:probes")) for name in reads):
            expected.add("blackbox-exporter")
        for prefix, service in (("redis_", "redis-exporter"), ("mysql_", "mysqld-exporter")):
            if any(name.startswith(prefix) for name in reads):
                expected.add(service)
        assert needs in expected, alert.name
