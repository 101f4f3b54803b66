from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from job_lab import Bench, handing_back, job
from rows import each_row

from techsapo_ops.schedule.scheduler import JobScheduler, overdue, record_killed
from techsapo_ops.schedule.wrapper import run_job


@dataclass
class Watch:
    """Counts the runs that a scheduler starts."""

    command: str = "pass"
    ended: list[tuple[str, int]] = field(default_factory=list)
    wall: float = 0.0
    steady: float = 0.0
    one: threading.Event = field(default_factory=threading.Event)

    def note(self, name: str, code: int) -> None:
        self.ended.append((name, code))
        self.one.set()

    @contextmanager
    def scheduler(self) -> Iterator[JobScheduler]:
        """One whose job is half a day away, whatever the time of the test."""
        hour = (datetime.now(UTC) + timedelta(hours=12)).hour
        made = JobScheduler(
            {"drift": job(at=f"0 {hour} * * *")},
            UTC,
            lambda _: (sys.executable, "-I", "-c", self.command),
            self.note,
            wall=lambda: self.wall,
            steady=lambda: self.steady,
        )
        try:
            yield made
        finally:
            made.stop()


def test_an_overdue_job_starts_at_once_and_the_others_at_their_time() -> None:
    watch = Watch("raise SystemExit(3)")
    with watch.scheduler() as scheduler:
        scheduler.start(["drift"])
        assert watch.one.wait(10)
        assert watch.ended == [("drift", 3)]
        coming = scheduler.next_runs()["drift"]
        assert coming is not None
        assert timedelta() < coming - datetime.now(UTC) <= timedelta(days=1)


def test_a_run_that_is_under_way_at_the_end_is_told_to_end() -> None:
    watch = Watch("import time; print('up', flush=True); time.sleep(60)")
    with watch.scheduler() as scheduler:
        scheduler.start(["drift"])
        deadline = time.monotonic() + 10
        while not scheduler._running and time.monotonic() < deadline:
            time.sleep(0.01)
        scheduler.stop()
    assert watch.ended == [("drift", -15)]


@each_row("jump, runs", [(0.0, 0), (2.0, 0), (-86400.0, 0), (7200.0, 1)])
def test_a_clock_that_is_set_makes_the_scheduler_plan_anew(jump: float, runs: int) -> None:
    watch = Watch()
    with watch.scheduler() as scheduler:
        scheduler.start()
        watch.wall, watch.steady = 15 + jump, 15
        assert scheduler.look() == (abs(jump) > 5)
        assert watch.one.wait(5) if runs else not watch.one.wait(0.2)
        assert not scheduler.look(), "one jump is noticed once"


def test_one_whose_planning_thread_hangs_keeps_no_time() -> None:
    watch = Watch()
    with watch.scheduler() as scheduler:
        scheduler.start()
        assert scheduler.keeps_time()
        planned = scheduler._scheduler.get_jobs()[0]
        passed = datetime.now(UTC) - timedelta(seconds=61)
        # As where its thread is gone: nobody starts what is due, or sets the next time.
        scheduler._scheduler._jobstores["default"].update_job(with_time(planned, passed))
        assert not scheduler.keeps_time()


def with_time(planned: Any, at: datetime) -> Any:
    planned.next_run_time = at
    return planned


def test_a_changed_schedule_takes_the_place_of_the_old_one() -> None:
    with Watch().scheduler() as scheduler:
        scheduler.start()
        scheduler.change({"costs": job(at="0 3 * * *"), "off": job(at=None)})
        assert set(scheduler.next_runs()) == {"costs"}


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
