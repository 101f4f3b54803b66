"""What each alert's cases say, tried by promtool, and by a real Alertmanager for the receivers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import servers
import yaml
from alert_cases import JOBS_OFF, case_files, load_cases, with_its_recordings
from machines_spec import machine_rules, machines_files
from monitoring_stack import EVERYTHING, monitoring_files, spec_of, write
from monitoring_tools import alert_rules, passes, rules_of, tool
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml

pytestmark = pytest.mark.lab

_ROUTE = 'job="techsapo-app",instance="app-1",method="POST",route="/api/v1/generate"'
HTTP = f'techsapo_http_requests_total{{{{{_ROUTE},status="{{status}}"}}}}'
STREAMS = f"techsapo_http_failed_streams_total{{{_ROUTE}}}"


def test_every_alert_fires_and_stays_silent_as_its_cases_say(tmp_path: Path) -> None:
    files = monitoring_files(spec_of(schedule=JOBS_OFF))
    rules, recordings = alert_rules(files), rules_of(files, "recording")
    rules |= machine_rules(locale="ja")
    known = {rule["record"] for rule in recordings}
    of_machines = read_yaml(machines_files()["prometheus/rules/recording.yml"])["groups"]
    recordings += [r for group in of_machines for r in group["rules"] if r["record"] not in known]
    tests = []
    for name, cases in load_cases().items():
        rules[name]["annotations"].pop("acknowledged_by", None)  # a query each time: it has its own lab
        tests += case_files(with_its_recordings(rules[name], recordings), cases, tmp_path)
    passes("promtool", "test", "rules", *tests)


@each_row("failed", [HTTP.format(status="502"), STREAMS])
def test_an_outage_under_load_is_told_by_what_names_it_and_not_by_the_error_budget(
    failed: str, tmp_path: Path
) -> None:
    """From 20 min on all fail, one a second: as whole answers, and as streams."""
    files = monitoring_files(spec_of())
    rules, recordings = alert_rules(files), rules_of(files, "recording")
    names = ["AnalysesFailing", "ErrorBudgetBurnFast"]
    sums = 'techsapo_wallbounce_requests_total{{job="techsapo-app",instance="app-1",status="{}"}}'
    good, bad = "0+15x80 1200+0x80", "0+0x80 15+15x79"
    test = {
        "interval": "15s",
        "input_series": [
            {"series": sums.format("success"), "values": good},
            {"series": sums.format("error"), "values": bad},
            {"series": HTTP.format(status="200"), "values": good if failed != STREAMS else "0+15x160"},
            {"series": failed, "values": bad},
        ],
        "promql_expr_test": [
            {"expr": f"count(max_over_time(ALERTS{{alertname='{name}',alertstate='firing'}}[1h]))",
             "eval_time": "40m", "exp_samples": [{"labels": "{}", "value": 1}] if fires else []}
            for name, fires in [("ErrorBudgetBurnFast", False), ("AnalysesFailing", True)]
        ],
    }  # fmt: skip
    of_these = [with_its_recordings(rules[name], recordings)["groups"] for name in names]
    recorded = {rule["record"]: rule for groups in of_these for rule in groups[0]["rules"]}
    groups = [
        {"name": "recording", "rules": [r for r in recordings if r["record"] in recorded]},
        {"name": "alert", "rules": [rules[name] for name in names]},
    ]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": groups}), encoding="utf-8")
    file = tmp_path / "test.yml"
    file.write_text(
        json.dumps(
            {
                "rule_files": ["rules.yml"],
                "group_eval_order": ["recording", "alert"],
                "evaluation_interval": "15s",
                "tests": [test],
            }
        ),
        encoding="utf-8",
    )
    passes("promtool", "test", "rules", file)


def test_the_languages_differ_in_the_texts_of_rules_alone() -> None:
    japanese, english = (
        [
            rule | {"annotations": None}
            for name in ("alerts", "recording")
            for rule in rules_of(monitoring_files(spec_of(locale=locale)), name)
        ]
        for locale in ("ja", "en")
    )
    assert japanese == english


def test_a_case_that_expects_the_wrong_thing_fails(tmp_path: Path) -> None:
    files = monitoring_files(spec_of())
    cases = load_cases()["RedisErrors"]
    silent = {**cases, "fires": [{**case, "alerts": []} for case in cases["fires"]]}
    rules = with_its_recordings(alert_rules(files)["RedisErrors"], rules_of(files, "recording"))
    assert tool("promtool", "test", "rules", *case_files(rules, silent, tmp_path)).returncode != 0


@each_row("hours", [None, {}])
def test_every_alert_is_routed_to_the_receiver_that_its_case_names(hours: Any, tmp_path: Path) -> None:
    spec = spec_of(notifications={**EVERYTHING["notifications"], "business_hours": hours})
    files = monitoring_files(spec, tmp_path)
    write(files.values(), tmp_path)
    config = read_yaml(files["alertmanager/alertmanager.yml"].content)
    # Nobody is told here: which receivers an alert is for does not depend on what they are.
    config["receivers"] = [{"name": receiver["name"]} for receiver in config["receivers"]]
    rules = alert_rules(files) | machine_rules()
    labels = {name: {"alertname": name, **rule["labels"]} for name, rule in rules.items()}
    labels["SomebodyElses"] = {"alertname": "SomebodyElses"}
    with servers.alertmanager(yaml.safe_dump(config), tmp_path / "alertmanager") as server:
        url = f"{server.url}/api/v2/alerts"
        httpx.post(
            url, json=[{"labels": each} for each in labels.values()], trust_env=False, timeout=60
        ).raise_for_status()

        def routed() -> dict[str, str]:
            found = httpx.get(url, trust_env=False, timeout=60).json()
            return {a["labels"]["alertname"]: ",".join(r["name"] for r in a["receivers"]) for a in found}

        servers.wait_for(lambda: set(routed()) == set(labels), timeout=60, what="all alerts")
        receivers = routed()
    wanted = {name: cases["route"] for name, cases in load_cases().items()} | {"SomebodyElses": "warning"}
    assert receivers == {name: wanted[name] for name in labels}
