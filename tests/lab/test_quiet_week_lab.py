"""A week with a question an hour, backups, two deploys and a reboot wakes nobody: `promtool test rules` over
all rules that a stack has, on series of that very stack.
"""

from __future__ import annotations

import re
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import quiet_week
import servers
import yaml
from alert_stack import Stack
from monitoring_stack import monitoring_files, spec_of
from orchestrator import QUICK
from promql_names import metric_names
from quiet_week import DAY, DAYS, LENGTH, Scraped, host_and_front, jobs_left, week

from techsapo_ops.catalogue.jobs import jobs
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import seconds

pytestmark = pytest.mark.lab

FREE = {name: {**p, "price": {"input": 0, "output": 0}} for name, p in QUICK.items()}
NOT_HERE = {
    "node_md_disks": "no RAID",
    "node_md_disks_required": "no RAID",
    "redis_errors_total": "Redis counts a kind of error from the first one on",
    "techsapo_memory_limit_bytes": "the apps have no limit of their own",
    "techsapo_provider_model_retires_timestamp_seconds": "nobody says when these models end",
    "techsapo_provider_refusing": "no provider refuses its key",
}
"""Series that rules read and this stack may not have, with the reason."""
FIRED = 'sum by (alertname) (count_over_time(ALERTS{alertstate="firing",alertname!="Watchdog"}[1d]))'
"""How often what fired on a day; promtool loads no more than 10,000 samples of a series."""
ALIVE = 'group by (alertname) (ALERTS{alertstate="firing",alertname="Watchdog"})'


def test_promtools_notation_gives_back_the_values_of_a_series(tmp_path: Path) -> None:
    values = [1.0, 1.0, 1.0, None, None, "stale", 0.0, 0.0, 0.0, 2.0, 4.0, 6.0, 7.5, -3.0]
    assert quiet_week.notation(values) == "1x2 _x2 stale 0+0x2 2+2x2 7.5 -3"


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Spec, list[Scraped]]:
    """The spec of a real stack at its defaults, and what rules read of it, with what one question adds."""
    with ExitStack() as everything:
        stack = Stack(tmp_path_factory.mktemp("quiet"), {}, everything)
        for number in (1, 2, 3):
            stack.start(number, providers=FREE, redis={"port": stack.around.ports["redis"]})
        servers.wait_for(lambda: len(stack.query('up{job="techsapo-app"} == 1')) == 3, timeout=60)
        data = yaml.safe_load((stack.directory / "techsapo.yaml").read_text(encoding="utf-8"))
        # What is shortened for the lab is long again, and the front is probed, as in a new stack.
        for shortened in ("scrape_interval", "evaluation_interval"):
            del data["monitoring"]["prometheus"][shortened]
        data["monitoring"]["exporters"]["blackbox"] = {"enabled": True}
        spec = spec_of(data)
        names = sorted(read_by(all_rules(spec)))
        before = values(stack, names)
        assert stack.ask(1, "この週の質問") == 200
        servers.wait_for(lambda: values(stack, ["techsapo_wallbounce_requests_total"]) != before)
        total = 'sum(techsapo_wallbounce_requests_total{status="success"})'
        servers.wait_for(lambda: float(stack.query(total)[0]["value"][1]) >= 1)
        after = values(stack, names)
    steps = {_of_any(key): after[key] - before.get(key, 0.0) for key in after if _instance(key) == "app-1"}
    return (
        spec,
        [Scraped(key[0], dict(key[1]), before.get(key, 0.0), steps.get(_of_any(key), 0.0)) for key in after],
    )


Key = tuple[str, frozenset[tuple[str, str]]]


def read_by(rules: list[dict[str, Any]]) -> set[str]:
    """Names of the series that rules read, and that neither they nor Prometheus's own work on them make."""
    return {n for r in rules for n in metric_names(r["expr"])} - {"ALERTS", *(r.get("record") for r in rules)}


def all_rules(spec: Spec) -> list[dict[str, Any]]:
    files = monitoring_files(spec)
    return [
        rule
        for path, file in files.items()
        if path.startswith("prometheus/rules/")
        for group in yaml.safe_load(file.content)["groups"]
        for rule in group["rules"]
    ]


def values(stack: Stack, names: list[str]) -> dict[Key, float]:
    """What Prometheus has of these names now."""
    found = stack.query('{__name__=~"' + "|".join(names) + '"}')
    return {_key(one["metric"]): float(one["value"][1]) for one in found}


def _key(metric: dict[str, str]) -> Key:
    return metric["__name__"], frozenset((k, v) for k, v in metric.items() if k != "__name__")


def _instance(key: Key) -> str:
    return dict(key[1]).get("instance", "")


def _of_any(key: Key) -> Key:
    """The same of whichever instance."""
    return key[0], frozenset(pair for pair in key[1] if pair[0] != "instance")


LONG = re.compile(r"\[(?:[3-9]h|[1-9]\dh|\d+d)\b")
"""A range of three hours or more, in an expression."""


def parts(spec: Spec) -> dict[str, list[dict[str, Any]]]:
    """All alert rules with the recordings that they read, by how often they are looked at.

    What has to last for five minutes is looked at so often. What looks back for hours reads the same samples
    again and again, and a week of it each minute would take an hour.
    """
    recordings = {r["record"]: r for r in all_rules(spec) if "record" in r}
    often: dict[str, list[dict[str, Any]]] = {"1m": [], "5m": [], "15m": []}
    for alert in (r for r in all_rules(spec) if "alert" in r):
        needed = needed_by(alert, recordings)
        lasting = seconds(alert.get("for", "0s")) >= 300
        every = "15m" if any(LONG.search(r["expr"]) for r in needed) else "5m" if lasting else "1m"
        rules = often[every]
        for rule in needed:
            if rule not in rules:
                rules.append(rule)
    return often


def needed_by(rule: dict[str, Any], recordings: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The recordings that a rule reads, those that they read before them, and the rule itself."""
    read = [recordings[name] for name in sorted(metric_names(rule["expr"])) if name in recordings]
    return [*(r for one in read for r in needed_by(one, recordings)), rule]


@pytest.mark.parametrize("every", ["1m", "5m", "15m"])
def test_a_quiet_week_wakes_nobody(every: str, scraped: tuple[Spec, list[Scraped]], tmp_path: Path) -> None:
    spec, found = scraped
    node = {k: v for s in found if s.name == "node_time_seconds" for k, v in s.labels.items()}
    limits = {name: facts.timeout for name, facts in jobs().items()}
    series = [*found, *jobs_left(limits, node), *host_and_front(node)]
    missing = read_by(all_rules(spec)) - {s.name for s in series}
    assert missing - set(NOT_HERE) == set(), (
        "no series of theirs: this week says nothing of rules that read them"
    )
    rules = parts(spec)[every]
    read = read_by(rules)
    groups = {"groups": [{"name": "all", "rules": rules}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(groups, allow_unicode=True), encoding="utf-8")
    expected: list[dict[str, Any]] = [
        {"expr": FIRED, "eval_time": f"{day * DAY - 1}m", "exp_samples": []} for day in range(1, DAYS + 1)
    ]
    if every == "1m":
        alive = {"labels": '{alertname="Watchdog"}', "value": 1}
        expected.append({"expr": ALIVE, "eval_time": f"{LENGTH - 1}m", "exp_samples": [alive]})
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": every,
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": s, "values": v} for s, v in week(s for s in series if s.name in read)
                ],
                "promql_expr_test": expected,
            }
        ],
    }
    (tmp_path / "week.yml").write_text(yaml.safe_dump(test, allow_unicode=True), encoding="utf-8")
    done = subprocess.run(
        [servers.binary("promtool"), "test", "rules", "week.yml"],
        cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
