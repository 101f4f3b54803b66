"""What alerts need so that they can fire."""

from __future__ import annotations

from typing import Any

from monitoring_stack import monitoring_file, spec_of
from rows import each_row

from techsapo_ops.catalogue.alerts import Alert, alerts
from techsapo_ops.catalogue.jobs import jobs
from techsapo_ops.catalogue.series import alert_series, job_metrics, series_needed, series_read
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.services.prometheus.recording import MISSING_SERIES

BY_PROMETHEUS = {"ALERTS", "scrape_duration_seconds", "up"}
"""What no scrape brings."""


def expression(alert: Alert) -> str:
    return alert.expression(machines=3 if alert.machines else 0, floating="192.0.2.1", jobs=("prometheus",))


def rules_of(kind: str, **sections: Any) -> list[dict[str, Any]]:
    file = monitoring_file(f"prometheus/rules/{kind}.yml", spec_of(**sections))
    return [rule for group in read_yaml(file.content)["groups"] for rule in group["rules"]]


def missing(**sections: Any) -> dict[str, dict[str, str]]:
    """By series, the rule that says that it is missing."""
    rules = rules_of("recording", **sections)
    return {r["labels"]["missing"]: r for r in rules if r["record"] == MISSING_SERIES}


def test_of_each_series_that_an_alert_reads_it_is_known_who_brings_it() -> None:
    for alert in alerts().values():
        for series in series_read(expression(alert)) - BY_PROMETHEUS:
            assert alert_series().scrape_job(series) is not None, f"{alert.name} reads {series}"


def test_no_series_is_excused_that_no_alert_reads() -> None:
    read = {series for alert in alerts().values() for series in series_read(expression(alert))}
    read |= {s for a in alerts(hosts=3).values() for s in series_read(a.expression(machines=3, floating="x"))}
    known = alert_series()
    assert known.with_an_event - read == set()
    assert set(known.of_jobs) - read == set()
    assert set(known.of_jobs) <= set(job_metrics())
    assert set(known.of_jobs.values()) <= set(jobs())


def test_what_a_job_leaves_is_not_expected_before_it_ran() -> None:
    known = alert_series()
    read = {series for alert in alerts().values() for series in series_read(expression(alert))}
    assert (read & set(job_metrics())) - set(known.of_jobs) - known.with_an_event == set()


def test_a_series_that_is_read_by_way_of_a_recording_rule_is_needed_too() -> None:
    assert "node_memory_MemTotal_bytes" in series_needed("techsapo:memory_used:ratio > 0.9")


def test_prometheus_says_of_each_such_series_that_a_target_which_answers_lacks_it() -> None:
    rules = missing()
    killed, opened = rules["node_vmstat_oom_kill"], rules["redis_connected_clients"]
    assert killed["expr"] == 'up{job="node-exporter"} == 1 unless on (job, instance) node_vmstat_oom_kill'
    assert killed["labels"]["alerts"] == "OutOfMemoryKill"
    assert opened["expr"].startswith('redis_up{job="redis-exporter"} == 1'), "RedisDown tells of the rest"
    assert "techsapo_http_requests_total" not in rules
    assert 'name="verify"' in rules["techsapo_backup_last_verification_success"]["expr"]


def test_what_nothing_brings_here_is_not_missed_and_its_alerts_are_left_out() -> None:
    off = {"exporters": {"node": None}}
    assert not [series for series in missing(monitoring=off) if series.startswith("node_")]
    names = {rule["alert"] for rule in rules_of("alerts", monitoring=off)}
    assert names.isdisjoint({"DiskAlmostFull", "JobFailed", "BackupOld", "CertificateAlmostExpired"})
    assert {"MemoryHigh", "AppDown", "ServiceRestarting"} <= names, "the app tells of them too"


@each_row("off", [(), ("MemoryHigh", "BudgetHigh")])
def test_prometheus_knows_how_many_rules_there_should_be(off: tuple[str, ...]) -> None:
    monitoring = {"alerts": {name: {"enabled": False} for name in off}}
    rules = [r for r in rules_of("alerts", monitoring=monitoring) if "next" not in r["labels"]]
    (silent,) = (rule for rule in rules if rule["alert"] == "AlertCannotFire")
    assert f"< {len(rules)}," in silent["expr"]


def test_what_a_job_leaves_is_not_missed_before_the_jobs_first_run() -> None:
    ended = 'techsapo_job_last_success_timestamp_seconds{name="backup"}'
    series = "techsapo_backup_shrunk"
    assert missing()[series]["expr"] == f"max by (job) ({ended}) > 0 unless on () {series}"
    assert "techsapo_data_missing" not in missing(), "a stack may have no data yet"
