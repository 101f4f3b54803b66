"""Whom a drill of an alert or a recovery must not touch."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fakes.open_stacks import Seen, open_stack
from monitoring_stack import spec_of, topology_of

from techsapo_ops.backup.description import Kept
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.drills.alerting import drill_alert
from techsapo_ops.operations.drills.report import Report
from techsapo_ops.operations.drills.trials import refuse_outside, settings_of
from techsapo_ops.operations.recover.placing import Placement, Places
from techsapo_ops.stack.stack import Stack

AT = datetime(2026, 11, 27, 3, 40, tzinfo=UTC)
SUNDAY = datetime(2026, 11, 29, 3, 40, tzinfo=UTC)


def begin(took: float) -> Report:
    return Report("20261127T034000Z-x", "restore", "t", "native", "0.2.0", AT, took)


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    spec = spec_of(
        {
            "project": "t",
            "app": {"host": "0.0.0.0", "port": 4000},
            "nginx": {"enabled": False},
            "schedule": {"by": "cron"},
        }
    )
    return replace(open_stack(topology_of(spec, tmp_path), Seen()), pause=lambda _: None)


def test_nobody_is_woken_by_a_drill(stack: Stack) -> None:
    with pytest.raises(OpsError, match="a drill wakes nobody") as refused:
        drill_alert(stack, begin, page=60.0, now=SUNDAY)
    assert refused.value.exit_code == 2


def test_a_scratch_copy_tells_nobody_orders_nothing_and_is_reached_from_this_host_alone(stack: Stack) -> None:
    settings = dict(each.split("=", 1) for each in settings_of(stack, "a1"))
    found = {path: json.loads(value) for path, value in settings.items()}
    off = {
        "schedule": {"by": "none"}, "notifications": None, "certificates": None, "nginx.certificate": None,
        "backup.offsite": None, "app.tracing": None, "logs.syslog": None, "project": "drill-a1",
        "app.host": "127.0.0.1",
    }  # fmt: skip
    assert found.items() >= off.items()
    assert found["app.port"] != 4000


def test_a_scratch_copy_writes_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    def look(target: Path, there: bool) -> Any:
        placement = Placement(cast(Kept, None), tmp_path, target, there=there)
        return SimpleNamespace(places=Places((placement,), {}))

    refuse_outside(look(tmp_path / "into/x", False), tmp_path / "into")
    refuse_outside(look(tmp_path / "etc/x", True), tmp_path / "into")
    with pytest.raises(OpsError, match="would write outside of its folder"):
        refuse_outside(look(tmp_path / "etc/x", False), tmp_path / "into")
