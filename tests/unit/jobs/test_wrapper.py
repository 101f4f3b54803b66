"""Runs of jobs: what is written down of each, when one is due or missed, and who starts it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from job_lab import NOON, Bench, Clock, handing_back, job, python
from rows import each_row
from stacks import spec, topology

from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.adapters.textfile import Sample, write_textfile
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.runs import MISSED_SECONDS, Run, job_statuses
from techsapo_ops.jobs.scheduler import JobScheduler, overdue, record_killed
from techsapo_ops.jobs.timetable import announce
from techsapo_ops.jobs.wrapper import Finished, due, run_job
from techsapo_ops.spec.models.upkeep import Schedule
from techsapo_ops.stack.health import PartStatus
from techsapo_ops.watch.health.check import jobs_part


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def ran(*given: Any, **options: Any) -> Finished:
    done = run_job(*given, **options)
    assert done is not None
    return done


def test_a_run_is_written_down_with_its_time_its_end_and_what_it_said(bench: Bench) -> None:
    done = ran(job(), handing_back("3 files"), bench.context, by="hand")
    assert done.recorded
    [run] = bench.context.runs.of("drift")
    assert (run.id, run.result, run.exit_code, run.tries, run.summary) == (1, "ok", 0, 1, "3 files")
    assert (run.started, run.user, run.by) == (NOON, "ops", "hand")
    assert run == done.run
    log = bench.context.runs.log(run).read_text(encoding="utf-8").splitlines()
    assert log[0] == "2026-01-15 12:00:00 at work"
    assert log[-1].endswith("s: 3 files")
    metrics = bench.metrics
    assert metrics["last_run_timestamp_seconds"] == NOON.timestamp()
    assert metrics["last_success_timestamp_seconds"] >= NOON.timestamp()
    assert metrics["last_exit_code"] == 0
    assert metrics["duration_seconds"] == run.seconds
    assert metrics["next_run_timestamp_seconds"] == (NOON + timedelta(hours=14)).timestamp()


def test_a_failed_run_keeps_the_last_success_and_the_jobs_own_metrics(bench: Bench) -> None:
    run_job(job(), handing_back("fine"), bench.context, by="hand")
    success = bench.metrics["last_success_timestamp_seconds"]
    write_textfile(bench.context.textfiles, "drift", [Sample("techsapo_drift_findings", 2, {"kind": "file"})])
    bench.clock.move(hours=1)
    done = ran(job(), handing_back("", code=3, error="no such bucket"), bench.context, by="hand")
    assert (done.run.result, done.run.exit_code, done.run.error) == ("failed", 3, "no such bucket")
    assert bench.metrics["last_success_timestamp_seconds"] == success
    assert bench.metrics["last_exit_code"] == 3
    assert bench.metrics["techsapo_drift_findings"] == 2


def test_a_failed_run_is_tried_again_after_waits_that_double(bench: Bench) -> None:
    marker = bench.folder / "tries"
    code = (
        f"import pathlib, sys; p = pathlib.Path({str(marker)!r}); n = len(p.read_text()) if p.exists() else 0"
    )
    command = python(code + "; p.write_text('x' * (n + 1)); sys.exit(0 if n == 2 else 1)")
    done = ran(job(retries=3), command, bench.context, by="hand")
    assert (done.run.result, done.run.tries, bench.pauses) == ("ok", 3, [10, 20])


HANGS = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-I", "-c", '''
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("escaped", flush=True)
time.sleep(300)
'''], start_new_session=True)
print(child.pid, flush=True)
time.sleep(300)
"""


def test_a_hung_job_ends_at_its_time_limit_with_what_it_started_even_in_another_session(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("techsapo_ops.adapters.supervised.TERM_SECONDS", 0.5)
    before = set(psutil.Process().children(recursive=True))  # servers of other tests may outlive them
    done = ran(job(timeout=1.5), python(HANGS), bench.context, by="hand")
    assert (done.run.result, done.run.exit_code) == ("timeout", 124)
    assert done.run.error == "the job did not finish within 1.5 s and was stopped"
    assert not psutil.pid_exists(int(next(line for line in done.tail if line.isdigit())))
    assert any("which the job had left running" in line for line in done.tail)
    assert set(psutil.Process().children(recursive=True)) <= before


def test_what_a_job_leaves_behind_is_ended_too(bench: Bench) -> None:
    code = "import subprocess; print(subprocess.Popen(['sleep', '300'], start_new_session=True).pid)"
    done = ran(job(), python(code), bench.context, by="hand")
    assert done.run.ok
    assert "stopped the process sleep, which the job had left running" in done.tail
    assert not psutil.pid_exists(int(done.tail[0]))


def test_a_second_copy_is_refused_and_told_who_is_at_work(bench: Bench) -> None:
    lock = bench.context.runs.lock("drift")
    with exclusive(lock), pytest.raises(OpsError, match=r"\(pid \d+, since .*\) is working on job drift"):
        run_job(job(), handing_back(""), bench.context, by="hand")
    assert bench.context.runs.of("drift") == ()


def test_a_second_copy_that_waits_runs_afterwards(bench: Bench) -> None:
    started = threading.Event()

    def hold() -> None:
        with exclusive(bench.context.runs.lock("drift")):
            started.set()
            time.sleep(0.1)

    holder = threading.Thread(target=hold)
    holder.start()
    started.wait()
    done = ran(job(), handing_back(""), bench.context, by="hand", wait=10)
    holder.join()
    assert done.run.ok


def test_a_record_without_an_end_is_a_run_that_was_killed(bench: Bench) -> None:
    done = ran(job(), handing_back(""), bench.context, by="hand")

    runs = bench.context.runs
    runs.write(replace(done.run, id=2, result="running", exit_code=None, seconds=None))
    with exclusive(runs.lock("drift")):
        assert [r.result for r in runs.of("drift")] == ["ok", "running"]
    assert [r.result for r in runs.of("drift")] == ["ok", "killed"]
    run_job(job(), handing_back(""), bench.context, by="hand")
    assert [(r.id, r.result, r.exit_code) for r in runs.of("drift")] == [
        (1, "ok", 0), (2, "killed", 137), (3, "ok", 0),
    ]  # fmt: skip


def test_of_many_runs_the_last_hundred_stay_and_the_last_success(bench: Bench) -> None:
    done = ran(job(), handing_back("good"), bench.context, by="hand")

    runs = bench.context.runs
    for number in range(2, 120):
        runs.write(replace(done.run, id=number, result="failed"))
    run_job(job(), handing_back("", code=1), bench.context, by="hand")
    kept = [run.id for run in runs.of("drift")]
    assert kept == [1, *range(21, 121)]


def test_a_damaged_record_is_passed_over_and_its_number_not_given_again(bench: Bench) -> None:
    run_job(job(), handing_back(""), bench.context, by="hand")
    (bench.context.runs.folder / "drift" / "000002.json").write_text("{", encoding="utf-8")
    run_job(job(), handing_back(""), bench.context, by="hand")
    assert [run.id for run in bench.context.runs.of("drift")] == [1, 3]


@each_row(
    "last, expected",
    # One time passed since, none, many, for which one run makes up; or the clock was set back.
    [(None, True), (-15, True), (-9, False), (-24 * 9, True), (+48, True)],
)
def test_a_scheduled_run_is_due_once_a_time_has_passed(last: int | None, expected: bool) -> None:
    run = None
    if last is not None:
        run = Run(1, "drift", NOON + timedelta(hours=last), "cron", "ops", 1, "0", "ok", 0, 1.0)
    assert due(job(), run, Bench(Path()).context) == expected


def test_cron_and_the_stacks_scheduler_together_run_a_job_once(bench: Bench) -> None:
    bench.clock.move(hours=14, seconds=1)
    assert run_job(job(), handing_back(""), bench.context, by="service") is not None
    bench.clock.move(seconds=2)
    assert run_job(job(), handing_back(""), bench.context, by="cron") is None
    bench.clock.move(hours=24)
    assert run_job(job(), handing_back(""), bench.context, by="cron") is not None
    assert [run.by for run in bench.context.runs.of("drift")] == ["service", "cron"]


def test_a_run_counts_on_after_the_clock_was_set_back(bench: Bench) -> None:
    run_job(job(), handing_back(""), bench.context, by="hand")
    bench.clock.move(days=-30)
    assert run_job(job(), handing_back(""), bench.context, by="cron") is not None
    assert [run.id for run in bench.context.runs.of("drift")] == [1, 2]
    last = bench.context.runs.last("drift")
    assert last is not None
    assert last.started == NOON - timedelta(days=30)


def test_a_spec_that_is_wrong_is_a_failed_run_that_says_where(bench: Bench) -> None:
    refusal = OpsError("techsapo.yaml:3:1 app: unknown key\ntechsapo.yaml:4:1 x: unknown key")
    done = ran(job(), handing_back(""), bench.context, by="cron", refusal=refusal)
    assert (done.run.result, done.run.tries) == ("failed", 0)
    assert done.tail[0] == "the job was not run: techsapo.yaml:3:1 app: unknown key"
    assert bench.metrics["last_exit_code"] == 1


@dataclass
class Watch:
    """Counts the runs that a scheduler starts: of a job that is due at two, fourteen hours after NOON."""

    command: str = "pass"
    clock: Clock = field(default_factory=Clock)
    started: int = 0
    ended: list[tuple[str, int]] = field(default_factory=list)

    def argv(self, _: str) -> tuple[str, ...]:
        self.started += 1
        return (sys.executable, "-I", "-c", self.command)

    @contextmanager
    def scheduler(self) -> Iterator[JobScheduler]:
        told = lambda name, code: self.ended.append((name, code))  # noqa: E731 - named for what it is
        made = JobScheduler({"drift": job(at="0 2 * * *")}, UTC, self.argv, told, self.clock.now)
        try:
            yield made
        finally:
            made.stop()


def run_of(scheduler: JobScheduler) -> subprocess.Popen[bytes]:
    return scheduler._running["drift"]


def test_a_job_is_started_at_its_time_once_and_its_end_is_told() -> None:
    watch = Watch("raise SystemExit(3)")
    with watch.scheduler() as scheduler:
        watch.clock.move(hours=13, minutes=59)
        scheduler.look()
        assert watch.started == 0
        watch.clock.move(minutes=1)
        scheduler.look()
        assert watch.started == 1
        assert scheduler.next_runs["drift"] == NOON + timedelta(hours=38)
        run_of(scheduler).wait(10)
        watch.clock.move(seconds=15)
        scheduler.look()
        assert (watch.started, watch.ended) == (1, [("drift", 3)])


def test_a_job_that_is_under_way_is_not_started_a_second_time_and_its_time_is_passed_over() -> None:
    watch = Watch("import time; time.sleep(60)")
    with watch.scheduler() as scheduler:
        scheduler.start("drift")
        watch.clock.move(hours=14)
        scheduler.look()
        assert watch.started == 1
        assert scheduler.next_runs["drift"] == NOON + timedelta(hours=38)


def test_a_run_that_is_under_way_at_the_end_is_told_to_end() -> None:
    watch = Watch("import time; time.sleep(60)")
    with watch.scheduler() as scheduler:
        scheduler.start("drift")
    assert watch.ended == [("drift", -15)]


@each_row(
    "jump, runs, at", [(timedelta(days=3), 1, 86), (timedelta(hours=2), 0, 14), (-timedelta(days=1), 0, -10)]
)
def test_a_clock_that_is_set_makes_one_run_of_what_it_passed_over(
    jump: timedelta, runs: int, at: int
) -> None:
    watch = Watch()
    with watch.scheduler() as scheduler:
        watch.clock.time += jump
        assert scheduler.look() == (jump < timedelta())
        assert watch.started == runs
        assert scheduler.next_runs["drift"] == NOON + timedelta(hours=at)
        assert not scheduler.look(), "one jump is noticed once"


def test_a_changed_schedule_takes_the_place_of_the_old_one() -> None:
    with Watch().scheduler() as scheduler:
        scheduler.change({"costs": job(at="0 3 * * *"), "off": job(at=None)})
        assert set(scheduler.next_runs) == {"costs"}


def test_a_run_that_was_killed_is_found_told_and_made_up_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    done = ran(job(), handing_back(""), bench.context, by="service")
    assert overdue({"drift": job(), "never": job()}, bench.context) == []
    bench.context.runs.write(replace(done.run, id=2, result="running", exit_code=None, seconds=None))
    assert record_killed(job(), bench.context)
    assert bench.metrics["last_exit_code"] == 137
    assert overdue({"drift": job()}, bench.context) == ["drift"]
    assert not record_killed(job(), bench.context)


DAILY = Schedule(by="cron", drift="0 2 * * *")
"""At 02:00, fourteen hours after NOON."""
HOSTS = {n: {"address": f"10.0.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate("abc", 1)}
DUE = NOON + timedelta(hours=14)


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
    done = ran(job(at="0 2 * * *"), handing_back(""), bench.context, by="cron")
    bench.context.runs.write(replace(done.run, result="running", seconds=None))
    bench.clock.time = NOON
    announce(DAILY, bench.context)
    bench.clock.move(hours=16)
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
