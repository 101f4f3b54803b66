"""Jobs through the command line, and under the real cron."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import servers
from crond import Cron, cron
from projects import Project, only_redis
from rows import each_row

from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.adapters.units import Crontab
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.timetable import jobs_in

pytestmark = pytest.mark.lab

FOLDER = "プロ %h 1"
"""Blanks, Japanese, and what cron takes for the end of a command."""


@pytest.fixture
def made(tmp_path: Path) -> Project:
    directory = tmp_path / FOLDER
    directory.mkdir()
    return project_in(directory)


def project_in(directory: Path) -> Project:
    return Project(directory, only_redis(schedule={"by": "cron", "drift": None, "costs": "* * * * *"}))


def runs(project: Project, job: str) -> list[dict[str, Any]]:
    answer = json.loads(project.run("jobs", "history", job, "--json").stdout)
    found: list[dict[str, Any]] = answer["runs"]
    return found


@contextmanager
def a_drift_that_takes_long(project: Project) -> Iterator[subprocess.Popen[str]]:
    """`jobs run drift` waits for an apply that is under way: the lock that an apply holds is held here."""
    with exclusive(project.state / "lock"):
        process = project.popen("jobs", "run", "drift")
        try:
            servers.wait_for(lambda: len(inside(process)) == 1, what="the job's process")
            yield process
        finally:
            process.kill()
            process.communicate()


def inside(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [p for p in psutil.Process(process.pid).children() if "perform" in p.cmdline()]


@dataclass
class UnderCron:
    """A project whose jobs are in the crontab of a cron of its own."""

    cron: Cron
    project: Project

    def techsapo(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "techsapo_ops", *words)

    def run(self, *argv: str, content: str | None = None) -> subprocess.CompletedProcess[str]:
        enter = self.cron.enter(self.project.directory)
        return subprocess.run(
            [*enter, *argv], input=content, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture(scope="module")
def under_cron(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnderCron]:
    directory = tmp_path_factory.mktemp("cron") / FOLDER
    directory.mkdir()
    with cron() as daemon:
        yield UnderCron(daemon, project_in(directory))


def test_the_crontab_keeps_what_else_is_in_it_and_installing_again_changes_nothing(
    under_cron: UnderCron,
) -> None:
    under_cron.run("crontab", "-", content="# mine\n\nMAILTO=\n")
    assert "`certs` job in the crontab: " in under_cron.techsapo("certs", "install-cron").stderr
    assert jobs_in(under_cron.run("crontab", "-l").stdout.encode()) == {"certs"}
    assert under_cron.techsapo("cron", "install").returncode == 0
    whole = under_cron.run("crontab", "-l").stdout
    assert jobs_in(whole.encode()) >= {"certs", "costs"}
    again = under_cron.techsapo("certs", "install-cron").stderr
    assert "`certs` job in the crontab: 17 3,15 * * * (as before)" in again
    assert under_cron.run("crontab", "-l").stdout == whole
    again = under_cron.techsapo("cron", "install")
    assert (again.returncode, "as before" in again.stderr) == (0, True)
    listed = under_cron.run("crontab", "-l").stdout
    assert listed.startswith("# mine\n\nMAILTO=\n# >>> techsapo jobs of ")


def test_a_run_that_is_killed_shows_as_killed_and_leaves_nothing(made: Project) -> None:
    with a_drift_that_takes_long(made) as process:
        [child] = inside(process)
        second = made.run("jobs", "run", "drift", code=1)
        assert "`techsapo jobs run` (pid " in second.stderr
        assert "is working on job drift" in second.stderr
        assert runs(made, "drift")[0]["result"] == "running"
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        child.wait(60)
        [run] = runs(made, "drift")
        assert (run["result"], run["exit_code"]) == ("killed", 137)
    made.run("jobs", "run", "drift", code=1)  # nothing was applied yet, and it says so
    assert [(r["id"], r["result"]) for r in runs(made, "drift")] == [(2, "failed"), (1, "killed")]


@each_row("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_its_job_and_is_written_down(tmp_path: Path, number: signal.Signals) -> None:
    made = project_in(tmp_path)
    with a_drift_that_takes_long(made) as process:
        [child] = inside(process)
        process.send_signal(number)
        assert process.wait(60) == 130
        assert not child.is_running()
    assert runs(made, "drift")[0]["result"] == "interrupted"


def test_a_hung_job_ends_at_the_time_limit_of_the_spec(made: Project) -> None:
    made.write(schedule={"timeouts": {"drift": "1s"}})
    with a_drift_that_takes_long(made) as process:
        assert process.wait(60) == 1
        said = process.stderr.read() if process.stderr is not None else ""
        assert "job drift: timeout: the job did not finish within 1 s and was stopped" in said
    assert (made.state / "textfile" / "drift.prom").read_text(encoding="utf-8").count(" 124.0\n") == 1


def test_on_a_full_disk_the_job_runs_and_says_that_it_could_not_be_recorded(made: Project) -> None:
    folder = made.state / "jobs"
    (folder / "costs").mkdir(parents=True)
    script = (
        'mount -t tmpfs -o size=64k,mode=755 none "$1" && mkdir "$1/costs" && touch "$1/costs/lock" && '
        'dd if=/dev/zero of="$1/full" 2>/dev/null; exec "$2" -m techsapo_ops jobs run costs'
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(folder), sys.executable],
        cwd=made.directory, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "the run can't be recorded" in done.stderr
    assert "No space left on device" in done.stderr
    assert "$0.000000 for 0 requests" in done.stderr
    assert "succeeded, but its run could not be recorded" in done.stderr
    assert "Traceback" not in done.stderr


def crontab_that(says: str, tmp_path: Path) -> Crontab:
    program = tmp_path / "crontab"
    program.write_text(f"#!/bin/sh\n{says}\n", encoding="utf-8")
    program.chmod(0o755)
    return Crontab(SubprocessRunner(), str(program))


def test_a_crontab_that_cannot_be_read_is_never_replaced(tmp_path: Path) -> None:
    wrote = tmp_path / "wrote"
    crontab = crontab_that(
        f'[ "$1" = -l ] && {{ echo "you are not allowed" >&2; exit 1; }}; : > {wrote}', tmp_path
    )
    with pytest.raises(OpsError, match="you are not allowed"):
        crontab.read()
    with pytest.raises(OpsError, match="you are not allowed"):
        crontab.write(b"")
    assert not wrote.exists()


def test_a_crontab_that_cron_refuses_is_told_with_its_words(tmp_path: Path) -> None:
    refusing = '[ "$1" = -l ] && exit 0; echo \'"-":1: bad minute\' >&2; exit 1'
    with pytest.raises(OpsError, match="bad minute"):
        crontab_that(refusing, tmp_path).write(b"x\n")


@pytest.mark.nightly
def test_the_real_cron_runs_a_job_of_every_minute_once_a_minute(under_cron: UnderCron) -> None:
    under_cron.run("crontab", "-", content="# mine\n\nMAILTO=\n")
    assert under_cron.techsapo("cron", "install").returncode == 0
    made = under_cron.project
    folder = made.state / "jobs" / "costs"

    def this_minutes_ended() -> bool:
        """Cron's run of this minute has ended, and the minute lasts a while yet."""
        now = datetime.now(UTC)
        found = [json.loads(p.read_text(encoding="utf-8")) for p in folder.glob("0*.json")]
        return now.second < 50 and any(
            run["result"] != "running"
            and datetime.fromisoformat(run["started"]).astimezone(UTC).minute == now.minute
            for run in found
        )

    servers.wait_for(this_minutes_ended, timeout=75, what="cron's run of this minute")
    found = runs(made, "costs")
    assert {(run["by"], run["result"]) for run in found} == {("cron", "ok")}
    minutes = [run["started"][:16] for run in found]
    assert len(minutes) == len(set(minutes))
    # The stack's own scheduler, started in the same minute, finds it done.
    known = len(found)
    assert under_cron.techsapo("jobs", "run", "costs", "--by", "service").returncode == 0
    assert len(runs(made, "costs")) == known
    assert under_cron.techsapo("cron", "remove").returncode == 0
    assert under_cron.run("crontab", "-l").stdout == "# mine\n\nMAILTO=\n"
