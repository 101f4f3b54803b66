"""Which jobs can be run, and whether anybody starts those of a stack in containers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from rows import each_row
from stacks import host, spec, topology

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.apply.outcome import notes
from techsapo_ops.catalogue.jobs import JobFacts, jobs
from techsapo_ops.jobs.job import configured, load
from techsapo_ops.jobs.runs import Run, Runs
from techsapo_ops.jobs.starters import NOBODY, look_at_starters, nobody_starts
from techsapo_ops.jobs.timetable import Line, crontab_block
from techsapo_ops.stack.topology import Topology


class Host:
    """A host whose crontab says this; None: this user may have none."""

    def __init__(self, crontab: bytes | None = b"") -> None:
        self.crontab = crontab
        self.asked = 0

    def run(self, command: Command, *, timeout: float | None = None) -> Completed:
        self.asked += 1
        if self.crontab is None:
            return Completed(command, 1, b"", b"you are not allowed to use this program\n")
        return Completed(command, 0, self.crontab, b"")


def in_containers(tmp_path: Path, engine: str = "compose", **schedule: object) -> Topology:
    return topology(spec(schedule=schedule), tmp_path, engine, host())


def test_containers_say_in_one_line_that_nothing_is_backed_up(tmp_path: Path) -> None:
    made = in_containers(tmp_path)
    assert nobody_starts(made, Host()) == NOBODY
    assert "\n" not in NOBODY
    assert "nothing is backed up" in NOBODY
    assert "`techsapo cron install`" in NOBODY
    assert NOBODY in notes(made, Host())


@each_row(
    "engine, schedule",
    [
        ("native", {}),
        ("compose", {"by": "cron"}),
        ("compose", {"by": "none"}),
    ],
)
def test_nothing_is_said_and_no_crontab_read_where_somebody_starts_them_or_nobody_is_to(
    engine: str, schedule: dict[str, object], tmp_path: Path
) -> None:
    there = Host()
    assert nobody_starts(in_containers(tmp_path, engine, **schedule), there) == ""
    assert there.asked == 0


def test_nothing_is_said_where_this_users_crontab_has_the_stacks_block(tmp_path: Path) -> None:
    made = in_containers(tmp_path)
    block = crontab_block(made.layout.spec_file, [Line("drift", "*/30 * * * *", ("techsapo",))], {})
    there = Host(b"MAILTO=root\n" + block)
    assert nobody_starts(made, there) == ""
    assert NOBODY not in notes(made, there)
    assert list(look_at_starters(made, there)) == []


@each_row(
    "by, age, said",
    [("cron", 1, ""), ("service", 1, ""), ("cron", 3, NOBODY), ("hand", 0, NOBODY)],
)
def test_a_run_of_late_that_nobody_started_by_hand_shows_that_somebody_does(
    by: str, age: int, said: str, tmp_path: Path
) -> None:
    made = in_containers(tmp_path)
    started = datetime.now(UTC) - timedelta(days=age)
    Runs(made.layout.jobs).write(Run(1, "drift", started, by, "ops", 1, "0.2.0", "ok"))
    assert nobody_starts(made, Host()) == said


@each_row("facts", jobs().values(), ids=lambda f: f.name)
def test_every_job_that_is_offered_can_be_run(facts: JobFacts) -> None:
    assert callable(load(facts.operation))


def test_the_spec_changes_the_time_limit() -> None:
    job = configured(jobs()["costs"], "0 1 * * *", "1m")
    assert (job.timeout, job.waits, job.at) == (60, (30, 60), "0 1 * * *")
