"""What alerts of any stack say where it is on several hosts, tried by promtool."""

from __future__ import annotations

from pathlib import Path

import pytest
from alert_cases import CASES, JOBS_OFF, case_files, with_its_recordings
from machines_spec import machines_files, machines_topology
from monitoring_tools import passes

from techsapo_ops.catalogue.yaml_text import read_yaml

pytestmark = pytest.mark.lab


def test_alerts_of_any_stack_fire_and_stay_silent_on_several_hosts_as_their_cases_say(tmp_path: Path) -> None:
    files = machines_files(machines_topology(schedule={**JOBS_OFF, "by": "cron"}))
    rules, recordings = (
        [
            rule
            for group in read_yaml(files[f"prometheus/rules/{name}.yml"])["groups"]
            for rule in group["rules"]
        ]
        for name in ("alerts", "recording")
    )
    of_name = {rule["alert"]: rule for rule in rules}
    tests = []
    for path in sorted(CASES.with_name("alerts_on_machines").glob("*.yml")):
        of_name[path.stem]["annotations"].pop(
            "acknowledged_by", None
        )  # a query each time: it has its own lab
        cases = read_yaml(path.read_text(encoding="utf-8"))
        tests += case_files(with_its_recordings(of_name[path.stem], recordings), cases, tmp_path)
    passes("promtool", "test", "rules", *tests)
