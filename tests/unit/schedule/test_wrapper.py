from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from job_lab import NOON, Bench, handing_back, job, python
from rows import each_row

from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.adapters.textfile import Sample, write_textfile
from techsapo_ops.errors import OpsError
from techsapo_ops.schedule.runs import Run
from techsapo_ops.schedule.wrapper import due, run_job


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_run_is_written_down_with_its_time_its_end_and_what_it_said(bench: Bench) -> None:
    done = run_job(job(), handing_back("3 files"), bench.context, by="hand")
    assert done is not None
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
    done = run_job(job(), handing_back("", code=3, error="no such bucket"), bench.context, by="hand")
    assert done is not None
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
    done = run_job(job(retries=3), command, bench.context, by="hand")
    assert done is not None
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
    done = run_job(job(timeout=1.5), python(HANGS), bench.context, by="hand")
    assert done is not None
    assert (done.run.result, done.run.exit_code) == ("timeout", 124)
    assert done.run.error == "did not end within 1.5 s and was ended"
    assert not psutil.pid_exists(int(next(line for line in done.tail if line.isdigit())))
    assert any("which the job had left running" in line for line in done.tail)
    assert set(psutil.Process().children(recursive=True)) <= before


def test_what_a_job_leaves_behind_is_ended_too(bench: Bench) -> None:
    code = "import subprocess; print(subprocess.Popen(['sleep', '300'], start_new_session=True).pid)"
    done = run_job(job(), python(code), bench.context, by="hand")
    assert done is not None
    assert done.run.ok
    assert "ended sleep, which the job had left running" in done.tail
    assert not psutil.pid_exists(int(done.tail[0]))


def test_a_second_copy_is_refused_and_told_who_is_at_work(bench: Bench) -> None:
    lock = bench.context.runs.lock("drift")
    with exclusive(lock), pytest.raises(OpsError, match=r"\(pid \d+, since .*\) is at work on job drift"):
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
    done = run_job(job(), handing_back(""), bench.context, by="hand", wait=10)
    holder.join()
    assert done is not None
    assert done.run.ok


def test_a_record_without_an_end_is_a_run_that_was_killed(bench: Bench) -> None:
    done = run_job(job(), handing_back(""), bench.context, by="hand")
    assert done is not None

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
    done = run_job(job(), handing_back("good"), bench.context, by="hand")
    assert done is not None

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
    [
        (None, True),
        (-15, True),  # one time passed since
        (-9, False),
        (-24 * 9, True),  # many passed: one run makes up for them
        (+48, True),  # the clock was set back
    ],
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
    done = run_job(job(), handing_back(""), bench.context, by="cron", refusal=refusal)
    assert done is not None
    assert (done.run.result, done.run.tries) == ("failed", 0)
    assert done.tail[0] == "not run: techsapo.yaml:3:1 app: unknown key"
    assert bench.metrics["last_exit_code"] == 1
