"""Whether an alert's cases notice that one of its numbers is another; by `make mutations`."""

from __future__ import annotations

import os
from pathlib import Path

import alert_cases
import pytest
from alert_mutants import unnoticed
from rows import each_row

from techsapo_ops.catalogue.alerts import alerts

pytestmark = [pytest.mark.lab, pytest.mark.nightly]

TRIED = os.environ.get("ALERTS", "").split() or list(alerts())
"""All of them take more than a minute of a processor."""


@each_row("name", TRIED)
def test_the_cases_of_an_alert_notice_each_number_that_is_moved(name: str, tmp_path: Path) -> None:
    assert unnoticed(name, tmp_path) == list(alert_cases.load_cases()[name].get("unnoticed", {}))


def test_a_number_that_no_case_is_near_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = alert_cases.load_cases()["AuditErrors"]
    silent = [case for case in cases["silent"] if case["name"] != "two errors on each of two instances"]
    assert len(silent) == len(cases["silent"]) - 1
    monkeypatch.setitem(alert_cases.load_cases(), "AuditErrors", {**cases, "silent": silent})
    assert unnoticed("AuditErrors", tmp_path) == ["threshold 2"]
