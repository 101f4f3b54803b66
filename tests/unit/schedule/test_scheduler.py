from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from pathlib import Path

from job_lab import NOON, Bench, Clock, handing_back, job
from rows import each_row

from techsapo_ops.schedule.scheduler import JobScheduler, overdue, record_killed
from techsapo_ops.schedule.wrapper import run_job


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
        made = JobScheduler(
            {"drift": job(at="0 2 * * *")},
            UTC,
            self.argv,
            lambda name, code: self.ended.append((name, code)),
            self.clock.now,
        )
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
    from dataclasses import replace

    bench = Bench(tmp_path)
    done = run_job(job(), handing_back(""), bench.context, by="service")
    assert done is not None
    assert overdue({"drift": job(), "never": job()}, bench.context) == []
    bench.context.runs.write(replace(done.run, id=2, result="running", exit_code=None, seconds=None))
    assert record_killed(job(), bench.context)
    assert bench.metrics["last_exit_code"] == 137
    assert overdue({"drift": job()}, bench.context) == ["drift"]
    assert not record_killed(job(), bench.context)
