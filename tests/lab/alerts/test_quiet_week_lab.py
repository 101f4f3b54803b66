"""A week with a question an hour, backups, two deploys and a reboot wakes nobody: `promtool test rules` over
all rules that a stack has, on series of that very stack.

Rules are not looked at every minute, which would take minutes: what has to last and what looks back over
hours are seen as well in larger steps. What tells of a minute is looked at around whatever happens
(`EVENTS`) each minute, and every five through one day, which has all that comes each day.
"""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import servers
from alert_stack import Stack
from monitoring_stack import monitoring_files, spec_of
from monitoring_tools import RARELY_COLLECTING
from orchestrator import QUICK
from quiet_host import front, host, jobs_left
from quiet_week import DAY, DAYS, EVENTS, LENGTH, Lived, Scraped, between, counts, week
from rows import each_row

from techsapo_ops.catalogue.jobs import jobs
from techsapo_ops.catalogue.series import metric_names
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import seconds

pytestmark = pytest.mark.lab

FREE = {name: {**p, "price": {"input": 0, "output": 0}} for name, p in QUICK.items()}
NOT_HERE = {
    "redis_errors_total": "Redis counts a kind of error from the first one on",
    "techsapo_backup_offsite_password_tried_timestamp_seconds": "nothing goes off-site",
    "techsapo_drill_alert_until_timestamp_seconds": "nobody lets the alert of a drill fire",
    "techsapo_memory_limit_bytes": "the apps have no limit of their own",
    "techsapo_provider_model_retires_timestamp_seconds": "nobody says when these models end",
    "techsapo_provider_refusing": "no provider refuses its key",
}
"""Series that rules read and this stack may not have, with the reason."""
FIRED = 'sum by (alertname) (count_over_time(ALERTS{{alertstate="firing",alertname!="Watchdog"}}[{}m]))'
"""How often what fired in so many minutes; promtool loads no more than 10,000 samples of a series."""
BEFORE, AFTER = 30, 60
"""Minutes around an event; a rule of those looks back over half an hour."""
EACH_DAY = (DAY, 2 * DAY)
"""A day with its questions, its backup, trial and prune; of `EVENTS` it has a question that fails."""
ALIVE = 'group by (alertname) (ALERTS{alertstate="firing",alertname="Watchdog"})'


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Spec, list[Scraped]]:
    """The spec of a real stack at its defaults, and what rules read of it, with what one question adds."""
    with ExitStack() as everything:
        stack = Stack(tmp_path_factory.mktemp("quiet"), {}, everything)
        for number in (1, 2, 3):
            stack.start(number, providers=FREE, redis={"port": stack.around.ports["redis"]})
        servers.wait_for(lambda: len(stack.query('up{job="techsapo-app"} == 1')) == 3, timeout=60)
        data = read_yaml((stack.directory / "techsapo.yaml").read_text(encoding="utf-8"))
        # What is shortened for the lab is long again, and the front is probed, as in a new stack.
        # A week has a sample a minute: in steps of 15 s ServiceRestarting reads more than promtool loads.
        data["monitoring"]["prometheus"]["scrape_interval"] = "1m"
        data["monitoring"]["exporters"]["blackbox"] = servers.free_port()
        spec = spec_of(data)
        names = sorted(read_by(all_rules(spec)))
        before = values(stack, names)
        assert stack.ask(1, "この週の質問") == 200
        servers.wait_for(lambda: values(stack, ["techsapo_wallbounce_requests_total"]) != before)
        total = 'sum(techsapo_wallbounce_requests_total{status="success"})'
        servers.wait_for(lambda: float(stack.query(total)[0]["value"][1]) >= 1)
        after = values(stack, names)
    steps = {
        _of_any(key): after[key] - before.get(key, 0.0)
        for key in after
        if _instance(key) == "app-1" and counts(key[0])
    }
    return spec, [
        Scraped(
            key[0], dict(key[1]), before.get(key, 0.0) if counts(key[0]) else after[key],
            steps.get(_all_of(_of_any(key)), 0.0),
        )
        for key in after
    ]  # fmt: skip


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
        for group in read_yaml(file.content)["groups"]
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


def _all_of(key: Key) -> Key:
    """Of a bucket, that which holds all: how long an answer took here is not what it takes in the week."""
    return key[0], frozenset((k, "+Inf" if k == "le" else v) for k, v in key[1])


DAYS_LONG = re.compile(r"\[\d+d\b")
LONG = re.compile(r"\[(?:[3-9]h|[1-9]\dh|\d+d)\b")
"""A range of three hours or more, in an expression."""


def how_often(alert: dict[str, Any], needed: list[dict[str, Any]]) -> str:
    """In which steps to look at an alert, with the recordings that it needs.

    What has to last for five minutes or a quarter of an hour is looked at so often. What looks back for hours
    reads the same samples again and again, and a week of it each minute would take an hour.
    """
    lasting = seconds(alert.get("for", "0s"))
    if lasting >= 900 and any(DAYS_LONG.search(r["expr"]) for r in needed):
        return "30m"
    if lasting >= 900 or any(LONG.search(r["expr"]) for r in needed):
        return "15m"
    return "5m" if lasting >= 300 else "1m"


def looked_at(spec: Spec, often: str) -> list[dict[str, Any]]:
    """The alert rules that are to be looked at so often, after the recordings that they read."""
    recordings = {r["record"]: r for r in all_rules(spec) if "record" in r}
    found: list[dict[str, Any]] = []
    for alert in (r for r in all_rules(spec) if "alert" in r):
        needed = needed_by(alert, recordings)
        if how_often(alert, needed) == often:
            found += [r for n, r in enumerate(needed) if r not in found and r not in needed[:n]]
    return found


def needed_by(rule: dict[str, Any], recordings: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The recordings that a rule reads, those that they read before them, and the rule itself."""
    read = [recordings[name] for name in sorted(metric_names(rule["expr"])) if name in recordings]
    return [*(r for one in read for r in needed_by(one, recordings)), rule]


@pytest.fixture(scope="module")
def lived(scraped: tuple[Spec, list[Scraped]]) -> tuple[Spec, Lived]:
    """That spec, and a week of its stack on a host of the week's own."""
    spec, found = scraped
    here = [s for s in found if s.name.startswith("node_")]
    node = {k: v for s in here if s.name == "node_time_seconds" for k, v in s.labels.items()}
    own = host(node)
    mine, theirs = ({s.name: set(s.labels) for s in one} for one in (own, here))
    theirs.pop("node_filesystem_device_error", None)  # where a disk has one, its labels say which
    assert theirs.items() <= mine.items()
    limits = {name: facts.timeout for name, facts in jobs().items()}
    series = [*(s for s in found if s not in here), *own, *jobs_left(limits, node), *front()]
    missing = read_by(all_rules(spec)) - {s.name for s in series}
    assert missing - set(NOT_HERE) == set(), (
        "no series of theirs: this week says nothing of rules that read them"
    )
    return spec, week(series)


def passes(rules: list[dict[str, Any]], every: str, tests: list[dict[str, Any]], folder: Path) -> None:
    """Let promtool run `tests` over `rules`. JSON is YAML, and written in no time."""
    groups = {"groups": [{"name": "all", "rules": rules}]}
    (folder / "rules.yml").write_text(json.dumps(groups), encoding="utf-8")
    test = {"rule_files": ["rules.yml"], "evaluation_interval": every, "tests": tests}
    (folder / "week.yml").write_text(json.dumps(test), encoding="utf-8")
    done = subprocess.run(
        [servers.binary("promtool"), "test", "rules", "week.yml"],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        env=RARELY_COLLECTING,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def part(lived: Lived, rules: list[dict[str, Any]], begin: int, end: int, step: int = 1) -> dict[str, Any]:
    """A test of promtool that has what these rules read in each `step`th of these minutes of the week."""
    read = read_by(rules)
    written = between([(s, values) for s, values in lived if s.name in read], begin, end, step)
    return {
        "name": f"minutes {begin} to {end}",
        "interval": f"{step}m",
        "input_series": [{"series": series, "values": values} for series, values in written],
        "promql_expr_test": [],
    }


def silent(minutes: int, at: int) -> dict[str, Any]:
    """Nothing has fired in so many minutes until `at`."""
    return {"expr": FIRED.format(minutes), "eval_time": f"{at}m", "exp_samples": []}


# What looks back over days alone has samples enough in every fifth minute.
@each_row("often, every, step", [("1m", "30m", 1), ("5m", "5m", 1), ("15m", "15m", 1), ("30m", "30m", 5)])
def test_a_quiet_week_wakes_nobody(
    often: str, every: str, step: int, lived: tuple[Spec, Lived], tmp_path: Path
) -> None:
    spec, series = lived
    rules = looked_at(spec, often)
    test = part(series, rules, 0, LENGTH, step)
    test["promql_expr_test"] += [silent(DAY, day * DAY - 1) for day in range(1, DAYS + 1)]
    if often == "1m":
        alive = {"labels": '{alertname="Watchdog"}', "value": 1}
        test["promql_expr_test"].append(
            {"expr": ALIVE, "eval_time": f"{LENGTH - 30}m", "exp_samples": [alive]}
        )
    passes(rules, every, [test], tmp_path)


def test_the_minutes_around_whatever_happens_in_a_quiet_week_wake_nobody(
    lived: tuple[Spec, Lived], tmp_path: Path
) -> None:
    spec, series = lived
    rules = looked_at(spec, "1m")
    tests = []
    for at in EVENTS:
        begin, end = at - BEFORE, at + AFTER
        tests.append(part(series, rules, begin, end))
        tests[-1]["promql_expr_test"].append(silent(end - begin, end - begin - 1))
    passes(rules, "1m", tests, tmp_path)


def test_a_day_wakes_nobody_whenever_one_looks(lived: tuple[Spec, Lived], tmp_path: Path) -> None:
    spec, series = lived
    rules = looked_at(spec, "1m")
    test = part(series, rules, *EACH_DAY)
    test["promql_expr_test"].append(silent(DAY, DAY - 1))
    passes(rules, "5m", [test], tmp_path)
