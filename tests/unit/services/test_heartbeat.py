"""What the scheduler's heartbeat tells of it, whichever engine runs it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from fakes.open_stacks import Seen, open_stack
from rows import each_row
from stacks import spec, topology

from techsapo_ops.adapters.textfile import Sample, write_textfile
from techsapo_ops.services.probing import ask, forget_sign_of_life, health_of
from techsapo_ops.services.scheduler import heartbeat
from techsapo_ops.services.scheduler.heartbeat import METRIC, SILENT_SECONDS, last_beat
from techsapo_ops.stack.health import HealthPart, PartStatus
from techsapo_ops.stack.topology import Topology
from techsapo_ops.watch.health.check import check
from techsapo_ops.watch.health.report import HealthReport, Status


def beaten(folder: Path, ago: float) -> Path:
    write_textfile(folder, "scheduler", [Sample(METRIC, time.time() - ago)])
    return folder


def part(where: Topology) -> HealthPart:
    (found,) = health_of(where, where.of_kind("scheduler")[0], 1.0)
    return found


@each_row("ago, works", [(0, True), (SILENT_SECONDS - 5, True), (SILENT_SECONDS, False), (-3600, True)])
def test_it_hangs_once_its_last_one_is_three_minutes_old(tmp_path: Path, ago: float, works: bool) -> None:
    assert last_beat(beaten(tmp_path, ago)).ok is works


def test_without_one_or_with_a_damaged_one_it_is_not_known_to_work(tmp_path: Path) -> None:
    assert last_beat(tmp_path).detail == "no heartbeat of the scheduler"
    (tmp_path / "scheduler.prom").write_text("half a li{")
    assert not last_beat(tmp_path).ok


def test_the_stack_is_degraded_and_the_command_that_fixes_it_is_named(tmp_path: Path) -> None:
    where = topology(spec(), tmp_path)
    heartbeat.beat(where.layout.textfiles)
    assert part(where).status is PartStatus.HEALTHY
    beaten(where.layout.textfiles, 200)
    found = part(where)
    assert (found.status, found.hint) == (PartStatus.DOWN, "`techsapo restart scheduler`")
    assert "no heartbeat for 200 s" in found.detail
    assert HealthReport((found,), 0).status is Status.DEGRADED
    heartbeat.forget(where.layout.textfiles)
    heartbeat.forget(where.layout.textfiles)
    assert part(where).detail == "no heartbeat of the scheduler"


def test_health_asks_it_by_its_heartbeat_and_not_for_a_port(tmp_path: Path) -> None:
    where = topology(spec(), tmp_path)
    beaten(where.layout.textfiles, 200)
    report = check(open_stack(where, Seen()), timeout=0.3, now=datetime.now(UTC))
    (found,) = [p for p in report.probes if p.name == "scheduler"]
    assert found.hint == "`techsapo restart scheduler`"


def test_what_a_killed_one_has_left_tells_nothing_of_the_one_that_starts_anew(tmp_path: Path) -> None:
    where = topology(spec(schedule={"by": "service"}), tmp_path)
    (scheduler,) = where.of_kind("scheduler")
    beaten(where.layout.textfiles, 5)
    assert ask(where, scheduler, 1.0).ok
    forget_sign_of_life(scheduler, where.layout)
    assert ask(where, scheduler, 1.0).detail == "no heartbeat of the scheduler"
