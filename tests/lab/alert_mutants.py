"""An alert's rule with one of its numbers moved a step, and which of these its cases do not notice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from alert_cases import JOBS_OFF, case_files, load_cases, with_its_recordings
from monitoring_stack import EVERYTHING, monitoring_files, spec_of
from monitoring_tools import alert_rules, rules_of, tool

from techsapo_ops.catalogue.alerts import Alert, alerts
from techsapo_ops.services.prometheus.alert_rules import duration_text, threshold_of
from techsapo_ops.spec.models.base import seconds


def step(number: float) -> float:
    """How far a threshold is moved: by 1, and where that is much or little, by a tenth of the way to 0 or 100."""
    return 1 if 1 <= number <= 99 else min(abs(number), abs(100 - number)) / 10


def moves(alert: Alert) -> Iterator[dict[str, Any]]:
    """Changes to `alert`, in the words of the spec's monitoring.alerts, each of which makes another alert of it."""
    threshold = threshold_of(spec_of(), alert)
    if threshold is not None:
        yield from ({"threshold": round(threshold + way * step(threshold), 6)} for way in (-1, 1))
    if alert.minimum is not None and alert.minimum > 1:
        yield from ({"minimum": alert.minimum + way} for way in (-1, 1))
    lengths = {"for": alert.for_, "keep_firing_for": alert.keep_firing_for, "window": alert.window}
    for name, text in lengths.items():
        if length := seconds(text or "0s"):
            yield from ({name: duration_text(times * length)} for times in (0.5, 2))
    if not seconds(alert.for_):
        yield {"for": "1m"}


@cache
def _moved(number: int) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Every alert's rule with its change `number`, and the recording rules; alerts that have fewer are as they are."""
    changes = {
        name: change for name, alert in alerts().items() for change in islice(moves(alert), number, number + 1)
    }
    monitoring = {**EVERYTHING["monitoring"], "alerts": changes}
    files = monitoring_files(spec_of(schedule=JOBS_OFF, monitoring=monitoring))
    return alert_rules(files), rules_of(files, "recording")


def unnoticed(name: str, folder: Path) -> list[str]:
    """The changes to the alert `name` with which all of its cases pass; in `folder` they are written down."""
    cases, tests = load_cases()[name], {}
    for number, change in enumerate(moves(alerts()[name])):
        rules, recordings = _moved(number)
        rule = {**rules[name], "annotations": {"summary": rules[name]["annotations"]["summary"]}}
        text = " ".join(f"{key} {value:g}" if key != "for" and not isinstance(value, str) else f"{key} {value}" for key, value in change.items())
        (folder / str(number)).mkdir()
        tests[text] = case_files(with_its_recordings(rule, recordings), cases, folder / str(number))
    if not tests:
        return []
    told = tool("promtool", "test", "rules", *(path for paths in tests.values() for path in paths)).stdout
    passed = set(re.findall(r"Unit Testing: +(\S+)\s+SUCCESS", told))
    return [text for text, paths in tests.items() if all(str(path) in passed for path in paths)]
