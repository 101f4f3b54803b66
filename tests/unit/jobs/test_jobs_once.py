"""A job runs once on several hosts that all start it, and where the backups are."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from techsapo_ops.adapters import swarm
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Command
from techsapo_ops.adapters.textfile import read_textfile
from techsapo_ops.engines import at_work as at_works
from techsapo_ops.engines.swarm import lease as leases
from techsapo_ops.engines.swarm.machines_note import MachinesNote, note_machines
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs import cluster as clusters
from techsapo_ops.jobs.cluster import Cluster
from techsapo_ops.jobs.job import Job
from techsapo_ops.jobs.runs import Run, Runs
from techsapo_ops.jobs.wrapper import Finished, RunContext
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.service import Machine
from tests.fakes.swarm_volumes import Machines

NOTE = MachinesNote("shop", tuple(Machine(name, f"10.0.0.{n}", name) for n, name in enumerate("abc", 1)))
COSTS = Job("costs", 60.0, at="0 3 * * *")
BACKUP = Job("backup", 60.0, at="0 3 * * *")


@dataclass
class Host:
    """A host with techsapo on it, at three o'clock and a moment."""

    name: str
    machines: Machines
    folder: Path
    work: str = "true"
    now: datetime = datetime(2026, 11, 27, 3, 0, 1, tzinfo=UTC)
    said: list[str] = field(default_factory=list)
    delivered: int = 0
    waited: float = 0.0

    def __post_init__(self) -> None:
        state = self.folder / self.name / ".techsapo"
        self.layout = Layout(state, state / "generated")
        note_machines(state, NOTE.project, NOTE.machines)

    def run(self, job: Job = COSTS, by: str = "cron") -> Finished | str:
        command = Command(("sh", "-c", f"echo {self.name} >>{self.folder / 'ran'}; {self.work}"))
        there = Cluster(self.layout, NOTE, self.machines, self._deliver, self.name)
        context = RunContext(
            Runs(self.layout.jobs), self.layout.textfiles, lambda: self.now, UTC, "root", 7,
            self.said.append, pause=self._pause,
        )  # fmt: skip
        return there.run_once(job, command, context, by=by)

    def _deliver(self) -> None:
        self.delivered += 1

    def _pause(self, seconds: float) -> None:
        self.waited += seconds

    def change(self, text: str) -> None:
        """Another command of this host, that shares what it has done."""
        with at_works.at_work(self.layout, 30.0):
            (self.layout.state / "ledger").mkdir(exist_ok=True)
            (self.layout.state / "ledger/1").write_text(text)

    @property
    def last(self) -> Run | None:
        return Runs(self.layout.jobs).last("costs")


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Machines:
    found = Machines()
    monkeypatch.setattr(at_works, "SubprocessRunner", lambda: found)
    monkeypatch.setattr(clusters, "GRACE", 0.0)
    return found


@pytest.fixture
def a(machines: Machines, tmp_path: Path) -> Host:
    return Host("a", machines, tmp_path)


@pytest.fixture
def b(machines: Machines, tmp_path: Path) -> Host:
    return Host("b", machines, tmp_path)


def ran(folder: Path) -> list[str]:
    return (folder / "ran").read_text().split()


def test_the_second_to_come_says_where_and_when_it_ran_and_has_its_record_its_log_and_its_metrics(
    a: Host, b: Host, tmp_path: Path
) -> None:
    a.work = "echo all is summed up"
    first, second = a.run(), b.run()
    assert (first.run.result, first.run.host, first.recorded) == ("ok", "a", True)
    assert second.startswith("ran on host a at 2026-11-27")
    assert ran(tmp_path) == ["a"]
    assert (b.last.host, b.last.result) == ("a", "ok")
    assert "all is summed up" in Runs(b.layout.jobs).log(b.last).read_text()
    names = {sample.metric for sample in read_textfile(b.layout.textfiles, "costs")}
    assert "techsapo_job_last_success_timestamp_seconds" in names
    assert (a.delivered, b.delivered) == (1, 0)


def test_of_all_that_come_at_once_one_runs_it(machines: Machines, tmp_path: Path) -> None:
    hosts = [Host(name, machines, tmp_path, "sleep .2") for name in "abc"]
    said: dict[str, Finished | str] = {}
    threads = [
        threading.Thread(target=lambda host=host: said.update({host.name: host.run()})) for host in hosts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    (one,) = ran(tmp_path)
    assert isinstance(said.pop(one), Finished)
    assert len(said) == 2
    for words in said.values():
        assert isinstance(words, str)
        assert f"ran on host {one} at " in words or "is working on this stack" in words


def test_a_host_that_was_lost_with_the_job_under_way_is_made_up_for(
    b: Host, machines: Machines, tmp_path: Path
) -> None:
    who = {**leases.own_words(), "host": "a", "boot": "another"}
    swarm.take(Docker(machines.store), "shop.job.costs.lease", "shop.job.costs.lease.4", who)
    found = b.run()
    assert isinstance(found, str)
    assert "on host a (pid" in found
    machines.store.pass_by(leases.LOST_SECONDS + 1)
    assert isinstance(b.run(), Finished)
    assert ran(tmp_path) == ["b"]


def test_what_another_command_shares_meanwhile_is_kept_and_so_is_the_run(
    a: Host, b: Host, tmp_path: Path
) -> None:
    b.change("before")
    a.run()
    a.now = datetime(2026, 11, 28, 3, 0, 1, tzinfo=UTC)
    begun, shared = tmp_path / "begun", tmp_path / "shared"
    os.mkfifo(begun)
    os.mkfifo(shared)
    a.work = f"echo >{begun}; read _ <{shared}"
    running = threading.Thread(target=a.run)
    running.start()
    begun.read_text()
    b.change("meanwhile")
    shared.write_text("go on\n")
    running.join(60)
    b.change("after")
    assert [run.host for run in Runs(b.layout.jobs).of("costs")] == ["a", "a"]
    a.run()
    assert (a.layout.state / "ledger/1").read_text() == "after"
    assert not (a.layout.state / "set-aside").exists()
    assert not (b.layout.state / "set-aside").exists()


def test_without_a_quorum_nobody_knows_whether_it_ran_and_nothing_does(
    a: Host, machines: Machines, tmp_path: Path
) -> None:
    machines.store.away = True
    with pytest.raises(OpsError):
        a.run()
    assert not (tmp_path / "ran").exists()


def test_a_job_of_the_backups_is_left_to_the_host_that_has_them(
    a: Host, b: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "GRACE", 60.0)
    a.run(BACKUP)
    a.now = b.now = datetime(2026, 11, 28, 3, 0, 1, tzinfo=UTC)

    def a_begins(seconds: float) -> None:
        b.waited += seconds
        a.run(BACKUP)

    monkeypatch.setattr(b, "_pause", a_begins)
    found = b.run(BACKUP)
    assert isinstance(found, str)
    assert found.startswith("ran on host a at 2026-11-28")
    assert b.waited > 0
    assert ran(tmp_path) == ["a", "a"]


def test_where_that_host_does_not_begin_or_is_lost_another_one_does(
    a: Host, b: Host, machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a.run(BACKUP)
    b.now = datetime(2026, 11, 28, 3, 0, 1, tzinfo=UTC)
    assert isinstance(b.run(BACKUP), Finished)
    assert any("a has the backups, but did not start" in line for line in b.said)
    a.now = b.now = datetime(2026, 11, 29, 3, 0, 1, tzinfo=UTC)
    monkeypatch.setattr(clusters, "GRACE", 600.0)
    machines.silent.add("b")
    assert isinstance(a.run(BACKUP), Finished)
    assert a.waited == 0
    assert ran(tmp_path) == ["a", "b", "a"]


def test_of_a_host_that_was_cut_off_meanwhile_the_run_is_noted_beside_the_other_ones(
    a: Host, b: Host, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    a.work = "echo of a"
    real = clusters.run_job

    def cut_off(job: Job, command: Command, context: RunContext, **words: Any) -> Finished | None:
        done = real(job, command, context, **words)
        if context.host == "a":
            machines.store.pass_by(leases.LOST_SECONDS + 1)
            assert isinstance(b.run(), Finished), "it has heard of none"
            later = leases.now() + leases.LOST_SECONDS + 1
            monkeypatch.setattr(leases, "now", lambda: later)
        return done

    monkeypatch.setattr(clusters, "run_job", cut_off)
    first = a.run()
    assert isinstance(first, Finished)
    assert first.recorded
    assert any("another host may have run this job at the same time" in words for words in a.said)
    c = Host("c", machines, a.folder)
    assert isinstance(c.run(), str)
    runs = Runs(c.layout.jobs).of("costs")
    assert [(run.id, run.host, run.result) for run in runs] == [(1, "b", "ok"), (2, "a", "ok")]
    assert "another host may have run this job" in runs[1].summary
    assert "of a" in Runs(c.layout.jobs).log(runs[1]).read_text()
