"""metrics.yaml and rules.yaml."""

from __future__ import annotations

import re
from typing import get_args

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.dangers import Reason
from techsapo_ops.catalogue.dashboards import dashboards
from techsapo_ops.catalogue.series import (
    JOB_EXPECTED,
    SCHEDULER_EXPECTED,
    Metric,
    job_metrics,
    metric_names,
    metrics,
    recording_rules,
)
from techsapo_ops.serve.http.problems import Code
from techsapo_ops.services.prometheus.recording import MISSING_SERIES
from techsapo_ops.stores.keys import Refusal

GUIDE = {
    "techsapo_wallbounce_success_rate",
    "techsapo_wallbounce_avg_confidence_5m",
    "techsapo_llm_success_rate_by_provider",
    "techsapo_wallbounce_consensus_score",
    "techsapo_http_p95_response_time",
    "techsapo_active_connections",
    "techsapo_memory_usage_percent",
    "techsapo_cpu_usage_percent",
    "techsapo_wallbounce_cost_usd",
    "techsapo_provider_cost_usd",
    "techsapo_budget_utilization_percent",
}
PROMETHEUS_MAKES = {"up", "ALERTS", "scrape_duration_seconds"}
EXPORTERS = re.compile(
    r"(node|redis|mysql|nginx|prometheus|alertmanager|grafana|probe|blackbox_exporter)_\w+"
    r"|process_(start_time_seconds|resident_memory_bytes)"
)


def recorded() -> dict[str, str]:
    return {r.record: r.expr for rules in recording_rules().values() for r in rules}


def every_expression() -> dict[str, str]:
    """Each expression of the catalogue, by a name for it."""
    found = {f"alert {a.name}": a.expression(jobs=["prometheus"]) for a in alerts().values()}
    found |= {f"rule {name}": expr for name, expr in recorded().items()}
    for dashboard in dashboards().values():
        for panel in dashboard.panels:
            for query in panel.queries:
                found[f"panel {panel.title['en']} {query.legend['en']}"] = query.expr
    return found


def test_the_guides_names_are_there_as_it_writes_them_and_carry_no_type() -> None:
    assert {name for name, m in metrics().items() if m.kind == "untyped"} == GUIDE


def test_a_problem_an_anomaly_and_a_refusal_are_each_listed_in_the_catalogue() -> None:
    listed = {
        "techsapo_errors_total": ("code", get_args(Code)),
        "techsapo_anomaly_requests_total": ("reason", get_args(Reason)),
        "techsapo_auth_failures_total": ("reason", get_args(Refusal)),
    }
    for name, (label, values) in listed.items():
        assert set(metrics()[name].values[label]) == set(values), name


def test_label_sets_that_are_known_beforehand_are_all_combinations_of_closed_values() -> None:
    metric = Metric("m", "counter", "", ("provider", "status"), values={"status": ("success", "error")})
    assert list(metric.known_children(provider="a")) == [
        {"provider": "a", "status": "success"},
        {"provider": "a", "status": "error"},
    ]
    assert list(metric.known_children()) == []


def test_every_expression_reads_series_that_somebody_has() -> None:
    known = (*metrics().values(), *job_metrics().values())
    have = {series for m in known for series in m.series} | set(recorded())
    have |= PROMETHEUS_MAKES | {JOB_EXPECTED, SCHEDULER_EXPECTED, MISSING_SERIES}
    unknown = {
        where: names
        for where, expr in every_expression().items()
        if (names := {n for n in metric_names(expr) - have if not EXPORTERS.fullmatch(n)})
    }
    assert unknown == {}


def test_counters_are_never_read_without_a_rate() -> None:
    counters = {m.name for m in metrics().values() if m.kind == "counter"}
    for where, expr in every_expression().items():
        for name in metric_names(expr) & counters:
            assert re.search(rf"(rate|increase)\({name}\b", expr), f"{where} reads the bare counter {name}"


def test_rules_and_alerts_read_no_ratio_or_percentile_that_an_instance_made_itself() -> None:
    own = GUIDE - {
        "techsapo_memory_usage_percent",
        "techsapo_cpu_usage_percent",
        "techsapo_active_connections",
    }
    assert {w: metric_names(e) & own for w, e in every_expression().items() if metric_names(e) & own} == {}
