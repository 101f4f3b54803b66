"""Cases of tests/cases/alerts as promtool's rule tests."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.spec.models.upkeep import Schedule

JOBS_OFF: dict[str, Any] = {name: None for name in Schedule().times() if name != "drift"}
"""A schedule with the job drift alone: the rules then expect that one, whichever jobs there are."""
_SAME = re.compile(r"\{\{ if eq \$labels\.(\w+) \$labels\.(\w+) \}\}(.*?)\{\{ else \}\}(.*?)\{\{ end \}\}")
_HOSTS = re.compile(r"\{\{ range \$n, \$each := query .*?\{\{ else \}\}(.*?)\{\{ end \}\}")
_IN_A_NAME = "{{ with $labels.host }}-{{ . }}{{ end }}"
_HOST = '{{ or $labels.host "HOST" }}'
CASES = Path(__file__).parents[1] / "cases" / "alerts"


@cache
def load_cases() -> dict[str, dict[str, Any]]:
    """Each alert's cases, by alert name."""
    return {p.stem: read_yaml(p.read_text(encoding="utf-8")) for p in sorted(CASES.glob("*.yml"))}


def promtool_tests(
    cases: dict[str, Any], rule: dict[str, Any], rule_files: list[str]
) -> list[dict[str, Any]]:
    """One alert's cases as files for `promtool test rules`; `rule` is the generated alert rule.

    `at` of a case is when to look, or a list of that; a silent one that says `throughout` may not have fired
    at any time before it. The expected annotations are the rule's own, with its `{{ $labels.x }}` and
    `{{ $value … }}` filled in from the case. `evaluation` is how often rules are evaluated, 15 s if neither
    the case nor the file says it: what lasts for days would take thousands of evaluations.
    """
    tests: dict[str, list[dict[str, Any]]] = {}
    for case in [*cases["fires"], *cases.get("silent", [])]:
        expected = [_expected(rule, alert) for alert in case.get("alerts", [])]
        times = [case["at"]] if isinstance(case["at"], str) else case["at"]
        test = {
            "name": case["name"],
            "interval": case.get("interval", "1m"),
            "input_series": [{"series": s, "values": str(v)} for s, v in case["series"]],
            "alert_rule_test": [
                {"eval_time": at, "alertname": rule["alert"], "exp_alerts": expected} for at in times
            ],
        }
        if case.get("throughout"):
            fired = f'ALERTS{{alertname="{rule["alert"]}",alertstate="firing"}}[{times[-1]}]'
            test["promql_expr_test"] = [
                {"expr": f"count_over_time({fired})", "eval_time": times[-1], "exp_samples": []}
            ]
        tests.setdefault(case.get("evaluation", cases.get("evaluation", "15s")), []).append(test)
    return [
        {
            "rule_files": rule_files,
            # Else in no order at all: an alert would read recordings that are an interval old, or too old.
            "group_eval_order": ["recording", "alert"],
            "evaluation_interval": every,
            "tests": of_those,
        }
        for every, of_those in tests.items()
    ]


def _expected(rule: dict[str, Any], alert: dict[str, Any]) -> dict[str, Any]:
    labels = alert.get("labels", {})

    def fill(text: str) -> str:
        text = _SAME.sub(lambda m: m[3] if labels.get(m[1]) == labels.get(m[2]) else m[4], text)
        text = text.replace("{{ $externalLabels.replica }}", "")  # promtool's Prometheus has none
        text = _HOSTS.sub(lambda m: alert.get("hosts", m[1]), text)
        text = text.replace(_IN_A_NAME, f"-{labels['host']}" if "host" in labels else "")
        text = text.replace(_HOST, labels.get("host", "HOST"))
        text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda m: labels.get(m[1], ""), text)
        return re.sub(r"\{\{ \$value \|[^}]*\}\}", lambda _: alert["value"], text)

    return {
        "exp_labels": {**labels, **rule["labels"]},
        "exp_annotations": {name: fill(text) for name, text in rule["annotations"].items()},
    }


def with_its_recordings(rule: dict[str, Any], recordings: list[dict[str, Any]]) -> dict[str, Any]:
    """An alert's rule with the recording rules that it names; all of them would take ten times as long."""
    named = [r for r in recordings if r["record"] in rule["expr"]]
    below = [r for r in recordings if any(r["record"] in other["expr"] for other in named)]
    recorded = [*below, *(r for r in named if r not in below)]
    groups = [{"name": "recording", "rules": recorded}] if recorded else []
    return {"groups": [*groups, {"name": "alert", "rules": [rule]}]}


def case_files(rules: dict[str, Any], cases: dict[str, Any], folder: Path) -> list[Path]:
    """An alert's cases as files for `promtool test rules`, with its rules beside them. JSON is YAML, and
    written in no time.
    """
    rule = rules["groups"][-1]["rules"][0]
    name = rule["alert"]
    (folder / f"{name}.yml").write_text(json.dumps(rules), encoding="utf-8")
    found = []
    for number, test in enumerate(promtool_tests(cases, rule, [f"{name}.yml"])):
        found.append(folder / f"{name}.test-{number}.yml")
        found[-1].write_text(json.dumps(test), encoding="utf-8")
    return found
