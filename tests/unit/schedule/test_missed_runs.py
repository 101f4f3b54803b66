"""Runs that did not begin at their time, by what the ledger and the metrics say, whoever starts them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from job_lab import NOON, Bench, handing_back, job
from rows import each_row
from stacks import spec, topology

from techsapo_ops.health.job_runs import jobs_part
from techsapo_ops.operations.jobs.timetable import announce
from techsapo_ops.schedule.status import MISSED_SECONDS, job_statuses
from techsapo_ops.schedule.wrapper import run_job
from techsapo_ops.spec.models.data import Schedule
from techsapo_ops.stack.health import PartStatus

DAILY = Schedule(by="cron", drift="0 2 * * *")
"""At 02:00, fourteen hours after NOON."""
HOSTS = {n: {"address": f"10.0.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate("abc", 1)}
DUE = NOON + timedelta(hours=14)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def missed(bench: Bench, schedule: Schedule, name: str = "drift") -> datetime | None:
    found = job_statuses(schedule, bench.context.runs, bench.context.textfiles, bench.clock.now(), UTC)
    return next(s.missed for s in found if s.job.name == name)


@each_row("by", ["service", "cron"])
def test_a_time_that_passes_without_a_run_is_missed_whoever_starts_it(tmp_path: Path, by: str) -> None:
    bench = Bench(tmp_path)
    schedule = DAILY.model_copy(update={"by": by})
    announce(schedule, bench.context)
    bench.clock.move(hours=14, seconds=MISSED_SECONDS)
    assert missed(bench, schedule) is None
    bench.clock.move(seconds=1)
    assert missed(bench, schedule) == DUE, "it never ran, and was announced"
    run_job(job(at="0 2 * * *"), handing_back(""), bench.context, by="cron")
    assert missed(bench, schedule) is None
    bench.clock.move(days=3)
    assert missed(bench, schedule) == DUE + timedelta(days=1)


def test_a_run_that_is_under_way_since_its_time_is_not_missed(bench: Bench) -> None:
    announce(DAILY, bench.context)
    bench.clock.move(hours=14, seconds=1)
    done = run_job(job(at="0 2 * * *"), handing_back(""), bench.context, by="cron")
    assert done is not None
    bench.context.runs.write(replace(done.run, result="running", seconds=None))
    bench.clock.time = NOON
    announce(DAILY, bench.context)
    bench.clock.move(hours=14)
    bench.clock.move(hours=2)
    assert missed(bench, DAILY) is None


def test_nothing_is_missed_where_nothing_is_asked_for(bench: Bench) -> None:
    bench.clock.move(days=30)
    assert missed(bench, DAILY) is None, "nobody was told of it yet"
    announce(DAILY, bench.context)
    bench.clock.move(days=30)
    assert missed(bench, DAILY.model_copy(update={"by": "none"})) is None
    assert missed(bench, DAILY.model_copy(update={"drift": None})) is None
    assert missed(bench, DAILY) is not None


def test_a_schedule_that_was_changed_asks_for_nothing_in_the_past(bench: Bench) -> None:
    """Cron comes at the next time of the new one, and what was announced is the old one's."""
    weekly = DAILY.model_copy(update={"drift": "0 2 * * 0"})
    announce(weekly, bench.context)
    bench.clock.move(days=2)
    assert missed(bench, DAILY) is None


def test_a_damaged_metric_leaves_the_ledger_to_tell(bench: Bench) -> None:
    run_job(job(at="0 2 * * *"), handing_back(""), bench.context, by="hand")
    (bench.context.textfiles / "drift.prom").write_text("half a li{")
    bench.clock.move(days=2)
    assert missed(bench, DAILY) == DUE


def test_with_cron_missed_runs_decide_health(tmp_path: Path) -> None:
    hint = "`techsapo cron install`"
    where = topology(spec(schedule={"by": "cron", "drift": "0 2 * * *"}), tmp_path)
    bench = Bench(where.layout.state)
    (none,) = jobs_part(where, bench.clock.now())
    assert (none.status, none.hint) == (PartStatus.UNTESTED, hint)
    announce(where.spec.schedule, bench.context)
    run_job(job(at="0 2 * * *"), handing_back(""), bench.context, by="cron")
    (well,) = jobs_part(where, bench.clock.now())
    assert well.status is PartStatus.HEALTHY
    bench.clock.move(days=1)
    (late,) = jobs_part(where, bench.clock.now())
    assert (late.status, late.hint) == (PartStatus.DEGRADED, hint)
    assert "drift was due" in late.detail


@each_row("where", ["without a socket", "on several hosts"])
def test_in_containers_without_a_scheduler_missed_runs_decide_as_well(tmp_path: Path, where: str) -> None:
    """Cron starts them there, whatever `schedule.by` says."""
    several = {"hosts": HOSTS, "mysql": {}} if where == "on several hosts" else {}
    model = spec(schedule={"drift": "0 2 * * *"}, **several)
    made = topology(model, tmp_path, "swarm" if several else "compose")
    bench = Bench(made.layout.state)
    announce(model.schedule, bench.context)
    assert [part.status for part in jobs_part(made, NOON)] == [PartStatus.UNTESTED]
    bench.clock.move(days=1)
    (late,) = jobs_part(made, bench.clock.now())
    assert (late.status, late.hint) == (PartStatus.DEGRADED, "`techsapo jobs`")


def test_the_scheduler_of_the_stack_and_nobody_at_all_are_no_matter_of_missed_runs(tmp_path: Path) -> None:
    assert jobs_part(topology(spec(), tmp_path), NOON) == ()
    assert jobs_part(topology(spec(schedule={"by": "none"}), tmp_path), NOON) == ()
