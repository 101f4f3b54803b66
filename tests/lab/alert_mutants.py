"""An alert's rule with one of its numbers moved a step, and which of these its cases do not notice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from alert_cases import JOBS_OFF, case_files, load_cases, with_its_recordings
from machines_spec import machine_rules
from monitoring_stack import EVERYTHING, monitoring_files, spec_of
from monitoring_tools import alert_rules, rules_of, tool

from techsapo_ops.catalogue.alerts import Alert, alerts, promql_number
from techsapo_ops.services.prometheus.alert_rules import duration_text, threshold_of
from techsapo_ops.spec.models.base import seconds


def step(number: float) -> float:
    """How far a threshold is moved: by 1; where that is much or little, a tenth of the way to 0 or 100."""
    return 1 if 1 <= number <= 99 else min(abs(number), abs(100 - number)) / 10


def moves(alert: Alert) -> Iterator[dict[str, Any]]:
    """Changes to `alert` as the spec's monitoring.alerts says them; each makes another alert of it.

    A case file's `steps` say by how much a number is moved where less can't be told from what it is.
    """
    steps = load_cases()[alert.name].get("steps", {})
    threshold = threshold_of(spec_of(), alert)
    if threshold is not None:
        by = steps.get("threshold", step(threshold))
        yield from ({"threshold": round(threshold + way * by, 6)} for way in (-1, 1))
    if alert.minimum is not None and alert.minimum > 1:
        yield from ({"minimum": alert.minimum + way * steps.get("minimum", 1)} for way in (-1, 1))
    lengths = {"for": alert.for_, "keep_firing_for": alert.keep_firing_for, "window": alert.window}
    for name, text in lengths.items():
        if length := seconds(text or "0s"):
            yield from ({name: duration_text(times * length)} for times in (0.5, 2))
    if not seconds(alert.for_):
        yield {"for": "1m"}


@cache
def _moved(number: int) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Every alert's rule with its change `number`, as it is where it has fewer, and the recording rules."""
    changes = {
        name: change
        for name, alert in alerts().items()
        for change in islice(moves(alert), number, number + 1)
    }
    monitoring = {**EVERYTHING["monitoring"], "alerts": changes}
    files = monitoring_files(spec_of(schedule=JOBS_OFF, monitoring=monitoring))
    rules = alert_rules(files) | machine_rules(monitoring={"alerts": changes})
    return rules, rules_of(files, "recording")


def unnoticed(name: str, folder: Path) -> list[str]:
    """The changes to the alert `name` with which all of its cases pass; in `folder` they are written down."""
    cases, tests = load_cases()[name], dict[str, list[Path]]()
    for number, change in enumerate(moves(alerts()[name])):
        rules, recordings = _moved(number)
        rules[name]["annotations"].pop("acknowledged_by", None)  # a query each time: it has its own lab
        below = folder / str(number)
        below.mkdir()
        ((key, value),) = change.items()
        words = f"{key} {value if isinstance(value, str) else promql_number(value)}"
        tests[words] = case_files(with_its_recordings(rules[name], recordings), cases, below)
    told = tool("promtool", "test", "rules", *(path for paths in tests.values() for path in paths)).stdout
    passed = set(re.findall(r"Unit Testing: +(\S+)\s+SUCCESS", told))
    return [words for words, paths in tests.items() if all(str(path) in passed for path in paths)]
