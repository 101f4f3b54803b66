"""prometheus.yml and its rules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.notified import notified
from monitoring_stack import EVERYTHING, monitoring_file, monitoring_files, spec_of
from rows import each_row
from stacks import with_alerts

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.dashboards import dashboards
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.services.prometheus.alert_rules import duration_text
from techsapo_ops.spec.models.base import seconds


def config(engine: Any = "native", **sections: Any) -> dict[str, Any]:
    monitoring = {**with_alerts(), **sections.pop("monitoring", EVERYTHING["monitoring"])}
    spec = spec_of(**sections, monitoring=monitoring)
    file = monitoring_file("prometheus/prometheus.yml", spec, engine=engine)
    parsed: dict[str, Any] = read_yaml(file.content)
    return parsed


def alert_groups(**sections: Any) -> list[dict[str, Any]]:
    file = monitoring_file("prometheus/rules/alerts.yml", spec_of(**sections))
    groups: list[dict[str, Any]] = read_yaml(file.content)["groups"]
    return groups


def alert_rules(*names: str, **sections: Any) -> dict[str, dict[str, Any]]:
    """The rules by alert, of `names` alone where some are given."""
    if names:
        monitoring = sections.get("monitoring", EVERYTHING["monitoring"])
        off = with_alerts(*names)["alerts"]
        sections["monitoring"] = {**monitoring, "alerts": {**off, **monitoring.get("alerts", {})}}
    return {r["alert"]: r for group in alert_groups(**sections) for r in group["rules"]}


def targets(engine: Any = "native", **sections: Any) -> dict[str, list[tuple[str, str | None]]]:
    return {
        job["job_name"]: [
            (c["targets"][0], c.get("labels", {}).get("instance")) for c in job["static_configs"]
        ]
        for job in config(engine, **sections)["scrape_configs"]
    }


def test_every_part_that_exports_metrics_is_scraped_under_its_own_name() -> None:
    here, inside = targets(), targets("compose")
    assert here["techsapo-app"] == [(f"127.0.0.1:400{n}", f"app-{n + 1}") for n in range(3)]
    exporters = {name for name in here if name.endswith("-exporter")}
    assert exporters == {f"{name}-exporter" for name in ("node", "redis", "mysqld", "nginx", "blackbox")}
    assert here["gpu"] == [("10.0.0.5:9400", None)]
    assert inside["techsapo-app"][1] == ("app-2:4000", "app-2")
    assert inside["redis-exporter"] == [("redis-exporter:9121", "redis-exporter")]


def test_what_the_stack_goes_without_is_not_scraped() -> None:
    bare = targets(redis={"enabled": False}, mysql=None, app={}, monitoring={"grafana": {"enabled": False}})
    expected = {"techsapo-app", "prometheus", "alertmanager", "node-exporter"}
    assert set(bare) == {*expected, "blackbox-exporter", "techsapo-probes"}
    assert "alerting" not in config(monitoring={"alertmanager": {"enabled": False}})


def test_an_extra_job_keeps_its_path_and_scheme_as_they_were_written() -> None:
    path = '/a"#;{{x}}${y}'
    job = {"name": "gpu", "targets": ["h:1", "i:2"], "path": path, "scheme": "https"}
    found = config(monitoring={"scrape": [job]})["scrape_configs"][-1]
    two = [{"targets": ["h:1"]}, {"targets": ["i:2"]}]
    assert found == {"job_name": "gpu", "metrics_path": path, "scheme": "https", "static_configs": two}


@each_row("names", [["prometheus"], ["techsapo-app"], ["a", "a"]])
def test_a_job_name_that_is_taken_is_refused(names: list[str]) -> None:
    jobs = [{"name": name, "targets": ["h:1"]} for name in names]
    with pytest.raises(OpsError, match=rf"monitoring\.scrape\.{len(names) - 1}\.name"):
        config(monitoring={"scrape": jobs})


def test_a_stack_that_sets_nothing_has_each_alert_of_the_guide_as_the_guide_has_it(repository: Path) -> None:
    table = read_yaml((repository / "tests/cases/guide_alerts.yaml").read_text(encoding="utf-8"))
    rules = alert_rules(*(row["alert"] for row in table), monitoring={}, budget={"daily_usd": 10.0})
    wrong = []
    for row in table:
        rule = rules[row["alert"]]
        found = {
            "compares": re.findall(rf"{re.escape(row.get('compares', ''))}(?![\d.])", rule["expr"]),
            "for": rule.get("for", "0s"),
            "severity": rule["labels"]["severity"],
            "within": row.get("within", "") in rule["expr"],
        }
        wanted = {
            "compares": [row["compares"]] * row.get("times", 1) if "compares" in row else found["compares"],
            "for": row.get("for", found["for"]),
            "severity": row["severity"],
            "within": True,
        }
        wrong += [(row["alert"], row["says"], k, v) for k, v in found.items() if v != wanted[k]]
    assert wrong == []


def test_thresholds_durations_and_switches_of_the_spec_are_taken_over() -> None:
    own = {
        "MemoryHigh": {"threshold": 85, "for": "10m", "keep_firing_for": "20m"},
        "ProviderDown": {"threshold": 5}, "AuthFailuresHigh": {"window": "40s"}, "TargetDown": {"for": "0s"},
        "DailyRequestsHigh": {"enabled": False},
    }  # fmt: skip
    rules = alert_rules(monitoring={"alerts": own})
    assert (rules["MemoryHigh"]["for"], rules["MemoryHigh"]["keep_firing_for"]) == ("10m", "20m")
    assert "keep_firing_for" not in rules["RedisErrors"]
    assert rules["MemoryHigh"]["expr"].count("> 85") == 3
    assert "85% を超えた状態が 10 分続いています" in rules["MemoryHigh"]["annotations"]["description"]
    assert ">= 5" in rules["ProviderDown"]["expr"]
    assert "for" not in rules["TargetDown"]
    assert "[40s]" in rules["AuthFailuresHigh"]["expr"]
    assert rules["AuthFailuresHigh"]["annotations"]["description"].startswith("直近 40 秒の")
    assert "DailyRequestsHigh" not in rules


@each_row("interval, seconds_", [("15s", "> 9"), ("5s", "> 4.5")])
def test_a_database_that_hangs_is_known_by_a_scrape_that_was_given_up(interval: str, seconds_: str) -> None:
    rules = alert_rules("MysqlDown", monitoring={"prometheus": {"scrape_interval": interval}})
    assert rules["MysqlDown"]["expr"].endswith(f'scrape_duration_seconds{{job="mysqld-exporter"}} {seconds_}')


def test_an_alert_says_it_in_the_stacks_language_and_in_the_other_one_as_well() -> None:
    ja, en = alert_rules(locale="ja"), alert_rules(locale="en")
    assert {name: rule["expr"] for name, rule in ja.items()} == {n: rule["expr"] for n, rule in en.items()}
    first, second = ja["MemoryHigh"]["annotations"], en["MemoryHigh"]["annotations"]
    assert (first["summary_en"], second["description_ja"]) == (second["summary"], first["description"])
    assert "summary_ja" not in first
    assert "メモリ使用率" in first["summary"]
    assert "for 5 min." in second["description"]


def test_a_server_is_told_down_where_the_stack_has_it_and_its_exporter() -> None:
    def told(**sections: Any) -> set[str]:
        return set(alert_rules("NginxDown", "RedisDown", "MysqlDown", **sections))

    assert told() == {"NginxDown", "RedisDown", "MysqlDown"}
    assert told(mysql=None, app={}) == {"RedisDown"}
    assert told(redis={"enabled": False}) == {"NginxDown", "MysqlDown"}
    exporters = {"redis": None, "mysqld": None}
    assert told(monitoring={"exporters": exporters}) == {"NginxDown"}
    assert told(monitoring={"alerts": {"NginxDown": {"enabled": False}}}) == {"RedisDown", "MysqlDown"}


@each_row("scrape, nginx, others", [("15s", "30s", "1m"), ("1m", "2m", "2m")])
def test_one_scrape_that_meets_a_restart_tells_nobody_however_seldom_it_is_scraped(
    scrape: str, nginx: str, others: str
) -> None:
    prometheus = {"scrape_interval": scrape}
    names = ("NginxDown", "RedisDown", "AppDown", "TargetDown", "ConfigChanged")
    rules = alert_rules(*names, monitoring={"prometheus": prometheus})
    assert rules["NginxDown"]["for"] == nginx
    assert {rules[name]["for"] for name in ("RedisDown", "AppDown", "TargetDown")} == {others}
    assert "for" not in rules["ConfigChanged"]
    own = {"NginxDown": {"for": "5s"}, "RedisDown": {"for": "0s"}}
    rules = alert_rules(*names, monitoring={"prometheus": prometheus, "alerts": own})
    assert (rules["NginxDown"]["for"], "for" in rules["RedisDown"]) == ("5s", False)


def test_a_label_of_an_alert_never_holds_a_value() -> None:
    for rule in alert_rules().values():
        own = {"drill"} if rule["alert"] == "Drill" else set()
        own |= {"page"} if alerts()[rule["alert"]].page else set()
        assert set(rule["labels"]) == {"severity", "priority", "service"} | own
        assert not [v for v in rule["labels"].values() if "$" in v or "{" in v]


def test_the_runbook_is_linked_where_it_is_published_and_braces_in_its_address_stay_text() -> None:
    def url(base: str | None) -> str:
        rules = alert_rules("AppDown", monitoring={"runbook_url": base} if base else {})
        found: str = rules["AppDown"]["annotations"]["runbook_url"]
        return found

    assert url(None) == "http://localhost:8080/runbooks/AppDown"
    assert url("https://wiki.example/r/") == "https://wiki.example/r/AppDown.md"
    assert url("https://x/{{$value}}") == 'https://x/{{ "{{" }}$value}}/AppDown.md'


def test_every_annotation_is_a_template_of_labels_and_value_alone() -> None:
    for rule in alert_rules().values():
        held = rule["annotations"].pop("acknowledged_by", "")  # who has it asks Prometheus, by the labels
        assert (rule["alert"] == "Watchdog") == (held == "")
        for text in rule["annotations"].values():
            for action in re.findall(r"\{\{(.*?)\}\}", text):
                if action not in (" if eq $labels.job $labels.instance ", " else ", " end "):
                    assert re.fullmatch(r' \$labels\.\w+ | \$value \| printf "%\.\df" ', action), text


def test_the_next_receivers_are_named_nobody_who_has_it_and_told_the_rest() -> None:
    steps = [{"after": "15m", "receivers": [{"kind": "webhook", "url": "https://hooks.example"}]}]
    groups = alert_groups(notifications=notified({"next": steps}))
    (repeated,) = [g["rules"] for g in groups if g["name"] == "techsapo-next-0"]
    told = {r["alert"]: r["annotations"] for g in groups for r in g["rules"] if "next" not in r["labels"]}
    assert repeated
    for rule in repeated:
        left_out = {"acknowledged_by", "summary_en", "description_en"}
        assert set(told[rule["alert"]]) - set(rule["annotations"]) == left_out


def test_thresholds_that_another_part_of_the_spec_names_are_taken_from_there() -> None:
    def ends(**sections: Any) -> dict[str, str]:
        rules = alert_rules("BudgetHigh", "ErrorBudgetBurnFast", **sections)
        return {name: rule["expr"] for name, rule in rules.items()}

    rules = ends(monitoring={"availability_percent": 99.9})
    assert "(100 - 99.9)" in rules["ErrorBudgetBurnFast"]
    assert ends()["BudgetHigh"].endswith("> 80")
    assert "(100 - 99.5)" in ends()["ErrorBudgetBurnFast"]
    own = ends(monitoring={"alerts": {"BudgetHigh": {"threshold": 70}}})
    assert own["BudgetHigh"].endswith("> 70")


def test_every_job_but_the_app_is_missed_where_it_is_not_scraped() -> None:
    expr = alert_rules()["AlertCannotFire"]["expr"]
    jobs = {job["job_name"] for job in config()["scrape_configs"]}
    missed = set(re.findall(r'absent\(up\{job="([^"]+)"\}\)', expr))
    assert missed == jobs - {"techsapo-app", "techsapo-probes"}
    assert "gpu" in jobs


@each_row("text", ["0s", "1m30s", "1d2h", "500ms"])
def test_a_duration_is_written_as_prometheus_writes_it(text: str) -> None:
    assert duration_text(seconds(text)) == text


# What one of Debian's Prometheus 2.53 and Prometheus 3.x refuses or reads otherwise than the other.
ONLY_NEWER = {
    "fallback_scrape_protocol", "metric_name_validation_scheme", "metric_name_escaping_scheme", "otlp",
    "storage",
}  # fmt: skip
ONLY_OLDER_FUNCTIONS = {"holt_winters"}
RULE_GROUP_KEYS = {"name", "interval", "rules"}


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


@each_row("interval", ["1s", "2m"])
def test_nothing_is_made_that_prometheus_3_or_2_53_takes_otherwise(interval: str) -> None:
    monitoring = {**EVERYTHING["monitoring"], "prometheus": {"scrape_interval": interval}}
    files = monitoring_files(spec_of(monitoring=monitoring))
    prometheus = read_yaml(files["prometheus/prometheus.yml"].content)
    assert set(keys(prometheus)) & ONLY_NEWER == set()
    assert "api_version" not in set(keys(prometheus["alerting"]))
    exprs = [q.expr for d in dashboards().values() for p in d.panels for q in p.queries]
    for kind in ("alerts", "recording"):
        for group in read_yaml(files[f"prometheus/rules/{kind}.yml"].content)["groups"]:
            assert set(group) <= RULE_GROUP_KEYS
            exprs += [rule["expr"] for rule in group["rules"]]
    for expr in exprs:
        assert not [f for f in ONLY_OLDER_FUNCTIONS if f in expr]
        assert not re.search(r'le="\d+"', expr), '3.x writes le="1.0"'
        # 3.x leaves a sample on a window's left edge out: two need more than two intervals.
        windows = re.findall(r"\[(\w+)(?::\w*)?\]", expr)
        assert all(seconds(w) >= 2 * seconds(interval) for w in windows), expr
        assert expr.isascii()


def test_windows_of_the_catalogue_follow_the_scrape_interval() -> None:
    monitoring = {**EVERYTHING["monitoring"], "prometheus": {"scrape_interval": "2m"}}
    rules = [rule for name, rule in alert_rules(monitoring=monitoring).items() if alerts()[name].window]
    assert rules
    for rule in rules:
        # Three changes, of which NotificationsFailing wants to see as many, take four samples.
        windows = re.findall(r"\[(\w+)(?::\w*)?\]", rule["expr"])
        assert all(seconds(w) >= 4 * seconds("2m") for w in windows), rule
