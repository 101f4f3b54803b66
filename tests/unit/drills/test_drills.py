"""What a drill is not begun with, whom it must not touch, and what it leaves and reports."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from fakes.open_stacks import Seen, open_stack
from monitoring_stack import spec_of, topology_of
from rows import each_row

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.adapters.prometheus import Firing, Sample
from techsapo_ops.backup.recover.journal import Asked, Recovering, RecoveryJournal
from techsapo_ops.backup.recover.placing import Placement, Places
from techsapo_ops.drills.alerting import drill_alert
from techsapo_ops.drills.failover import hindrance, reasons
from techsapo_ops.drills.faults import busiest
from techsapo_ops.drills.outcome import Attempt, Outcome, Request
from techsapo_ops.drills.report import Phase, Report, clean, scratch
from techsapo_ops.drills.trials import refuse_outside, settings_of
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.maintenance import Maintenance, note
from techsapo_ops.stack.observed import ObservedService, State
from techsapo_ops.stack.stack import Stack

NOW = datetime(2026, 11, 27, tzinfo=UTC)


def firing(name: str, severity: str = "critical", state: str = "firing", **labels: str) -> Firing:
    return Firing({"alertname": name, "severity": severity, **labels}, {}, state, NOW)


@dataclass
class Server:
    """A Prometheus in memory: what fires, and how many of users' requests failed of how many."""

    fires: Sequence[Firing] = ()
    failed: float = 0
    asked: float = 100
    away: bool = False

    def alerts(self) -> Sequence[Firing]:
        if self.away:
            raise Unreachable("http://prometheus", "connection refused")
        return self.fires

    def query(self, expression: str) -> Sequence[Sample]:
        value = self.failed if 'status=~"5.."' in expression else self.asked
        return (Sample({}, value, 0.0),)


@each_row(
    "server, words",
    [
        (Server(fires=(firing("RedisDown"),)), "critical alert RedisDown"),
        (Server(failed=6.0), "6% of users' requests fail"),
        (Server(away=True), "connection refused"),
    ],
)
def test_what_prometheus_says_keeps_a_drill_from_its_begin(stack: Stack, server: Server, words: str) -> None:
    (why,) = reasons(stack, server)
    assert words in why


def test_what_was_cut_short_and_maintenance_keep_a_drill_from_its_begin(stack: Stack) -> None:
    layout = stack.layout
    assert hindrance(stack) == ""
    layout.state.mkdir(parents=True, exist_ok=True)
    path = note(layout)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(Maintenance("", NOW, None, "me").to_json()))
    assert hindrance(stack).startswith("maintenance since")
    path.unlink()
    RecoveryJournal(layout.state).begin(Recovering(Asked("/away"), "1" * 64, "x"))
    (why,) = reasons(stack, None)
    assert why.startswith("this stack is being recovered")


@each_row(
    "quiet",
    [
        firing("Watchdog"),
        firing("Drill", drill="true"),
        firing("DiskFilling", severity="warning"),
        firing("AppDown", state="pending"),
    ],
)
def test_what_wakes_nobody_keeps_no_drill_from_its_begin(stack: Stack, quiet: Firing) -> None:
    assert list(reasons(stack, Server(fires=(quiet,)))) == []


def test_nobody_is_woken_by_a_drill(stack: Stack) -> None:
    with pytest.raises(OpsError, match="a drill must not wake anyone") as refused:
        drill_alert(stack, pytest.fail, page=60.0, now=datetime(2026, 11, 29, 3, 40, tzinfo=UTC))  # a Sunday
    assert refused.value.exit_code == 2


def test_a_scratch_copy_tells_nobody_orders_nothing_and_is_reached_from_this_host_alone(
    tmp_path: Path,
) -> None:
    spec = spec_of({"project": "t", "app": {"host": "0.0.0.0", "port": 4000}, "schedule": {"by": "cron"}})
    settings = dict(each.split("=", 1) for each in settings_of(open_stack(topology_of(spec, tmp_path)), "a1"))
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
        return SimpleNamespace(places=Places((Placement(None, tmp_path, target, there=there),), {}))

    refuse_outside(look(tmp_path / "into/x", False), tmp_path / "into")
    refuse_outside(look(tmp_path / "etc/x", True), tmp_path / "into")
    with pytest.raises(OpsError, match="would write outside its folder"):
        refuse_outside(look(tmp_path / "etc/x", False), tmp_path / "into")


def layout(tmp_path: Path) -> Layout:
    state = tmp_path / ".techsapo"
    state.mkdir()
    return Layout(state, state / "generated")


def test_only_the_very_process_that_was_chosen_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        instances = [{"port": 4000, "weight": 2}, {"port": 4001, "weight": 3}]
        spec = spec_of({"project": "t", "app": {"instances": instances}})
        seen = [ObservedService(f"app-{n}", "app", State.RUNNING, pid=process.pid) for n in (1, 2)]
        found = busiest(open_stack(topology_of(spec, tmp_path), Seen(*seen)))
        with monkeypatch.context() as changed:
            changed.setattr(psutil.Process, "create_time", lambda _: 1.0)
            with pytest.raises(OpsError, match="restarted on its own"):
                found.kill()
        assert process.poll() is None
        assert not found.ended()
        found.kill()
        assert process.wait(60) == -signal.SIGKILL
    assert found.ended()
    with pytest.raises(OpsError, match="exited or restarted"):
        found.kill()


def test_a_scratch_folder_is_gone_whatever_ends_its_block(tmp_path: Path) -> None:
    where, runner = layout(tmp_path), SubprocessRunner()
    with suppress(KeyboardInterrupt), scratch(where, runner, "a") as folder:
        (folder / "stack").mkdir()
        raise KeyboardInterrupt
    assert list(where.state.iterdir()) == []


def test_the_next_drill_removes_what_a_killed_one_left_and_follows_no_link(tmp_path: Path) -> None:
    where, runner = layout(tmp_path), SubprocessRunner()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (where.state / "drill-link").symlink_to(elsewhere)
    (where.state / "drill-left" / "stack").mkdir(parents=True)
    (where.state / "drill-left" / "stack" / "kept").symlink_to(elsewhere)
    (where.state / "drills").mkdir()
    said = "removed the folder drill-left, which an interrupted drill had left"
    assert list(clean(where, runner)) == [said]
    assert sorted(p.name for p in where.state.iterdir()) == ["drill-link", "drills"]
    assert (elsewhere / "kept").exists()


AT = datetime(2026, 11, 27, 3, 40, tzinfo=UTC)
GOOD = Report(
    "20261127T034000Z-failover-app", "failover-app", "shop", "native", "0.2.0", AT, 12.5,
    (Phase("detection", 0.1), Phase("failover", 0.4, 30.0), Phase("recovery", 1.5, 3600.0)),
    counts={"sent": 240.0, "lost_writes": 0.0},
)  # fmt: skip


@each_row(
    "changed, missed",
    [
        ({"phases": (Phase("failover", 30.1, 30.0),)}, ("failover",)),
        ({"phases": (Phase("failover", None, 30.0),)}, ("failover",)),
        ({"problems": ("redis differs",)}, ("redis differs",)),
        ({"phases": (Phase("detection", None),)}, ()),
    ],
)
def test_what_is_late_lost_or_stopped_is_missed(changed: dict[str, object], missed: tuple[str, ...]) -> None:
    report = replace(GOOD, **changed)
    assert (report.missed, report.ok) == (missed, not missed)
    assert Report.from_json(json.dumps(report.to_json()).encode()) == report


def tried(
    began: float, ended: float, status: int = 200, instance: str = "app-2", execution: str = ""
) -> Attempt:
    return Attempt(began, ended, status, "" if status == 200 else "HTTP 502", instance, execution)


def outcome(*requests: tuple[str, list[Attempt]]) -> Outcome:
    made = [Request(name, tries[0].began, tries, done=True) for name, tries in requests]
    return Outcome(10.0, tuple(made))


def test_an_id_that_was_carried_out_twice_is_doubled_and_one_without_any_answer_has_failed() -> None:
    found = outcome(
        ("a", [tried(1, 2, execution="x"), tried(2, 3, execution="y")]),
        ("b", [tried(1, 2, 0), tried(2, 3, 0)]),
    )
    assert found.doubled == ("a",)
    assert dict(found.failed) == {"HTTP 502": 1}


def test_answers_are_back_for_good_after_the_last_try_that_failed() -> None:
    found = outcome(
        ("a", [tried(1, 2, 502), tried(3, 4)]),
        ("b", [tried(2, 2.5)]),
        ("c", [tried(5, 6, 502), tried(6.5, 7)]),
    )
    assert found.settled_after(1.5) == 5.5
    assert found.settled_after(1.5, until=5) == 1.0
    assert outcome(("a", [tried(1, 2)])).settled_after(3) is None
