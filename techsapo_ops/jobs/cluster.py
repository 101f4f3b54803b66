"""Runs a job once on several hosts, whichever of them start it, and where its data is.

Cron runs on each host that has techsapo. Who comes first takes the job's own lease in the Swarm's store and
runs it; who comes second finds it under way, or in the ledger, which travels with the state directory. A
host that is lost while it runs a job has no end in the ledger, and another one makes up for it.

While it runs, its ledger is this host's own: what travels is written by who is at work on the stack alone.
"""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.fleet import REACH_SECONDS, Fleet
from techsapo_ops.adapters.folders import opened
from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.adapters.textfile import textfile_path
from techsapo_ops.catalogue.jobs import jobs
from techsapo_ops.engines.at_work import at_work, refresh
from techsapo_ops.engines.swarm import lease
from techsapo_ops.engines.swarm.machines_note import MachinesNote, fleet_of
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.job import Job
from techsapo_ops.jobs.runs import Run, Runs, Starter
from techsapo_ops.jobs.wrapper import Finished, RunContext, due, run_job
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import Layout

GRACE = 120.0
"""Seconds for which a job of the backups is left to the host that has them."""
_LOOK_EVERY = 5.0
_SHARE_SECONDS = 600.0
"""For which the end of a run waits for another command that is at work."""
_BACKUP = "backup"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The hosts of a stack as jobs see them. `deliver` brings metrics to where each host's are read."""

    layout: Layout
    note: MachinesNote
    runner: Runner
    deliver: Callable[[], None]
    host: str = field(default_factory=socket.gethostname)

    def newest(self, say: Callable[[str], None]) -> None:
        """Bring the ledger to what the hosts have. Raises OpsError where no quorum of them answers."""
        refresh(self.layout, self.note, self.runner, say)

    @property
    def fleet(self) -> Fleet:
        """The hosts' Docker."""
        return fleet_of(self.note.machines, self.runner)

    def run_once(
        self,
        job: Job,
        command: Command,
        context: RunContext,
        *,
        by: Starter,
        wait: float = 0.0,
        refusal: OpsError | None = None,
    ) -> Finished | str:
        """Run `command` as `job` where no other host does; how it ended, or in words who ran it, and when.

        By hand it runs also where it is not due. A run of a host that was cut off for longer than its lease
        lasts goes on, for no job is safe to end anywhere; it is said and noted that another may have run it,
        too. Raises OpsError where another run is under way, or no quorum
        of the hosts answers.
        """
        shared, unattended = Runs(self.layout.jobs), by != "hand"
        there = replace(context, runs=shared)
        if unattended and refusal is None:
            self.newest(context.say)
            if words := _left_to_another(self, job, there):
                return words
        fleet, name = self.fleet, f"{self.note.project}.job.{job.name}"
        try:
            with lease.held(lambda: fleet.manager, name, wait, context.say) as held:
                held.elsewhere = fleet.forget_manager
                self.newest(context.say)
                if unattended and refusal is None and not due(job, shared.last(job.name), there):
                    return _ran(shared.last(job.name))
                own = _own(self, job, context)
                done = run_job(job, command, own, by=by, wait=wait, refusal=refusal)
                if done is None:  # its own ledger says so, of a run that was never shared
                    return _ran(own.runs.last(job.name))
                if words := _not_alone(held):
                    own.say(words)
                    run = replace(done.run, summary="; ".join(filter(None, (done.run.summary, words))))
                    done = replace(done, run=run)
                    return replace(done, recorded=_share(self, job, own, beside=run) and done.recorded)
                return replace(done, recorded=_share(self, job, own) and done.recorded)
        except lease.AtWork as another:
            if unattended:
                return another.message
            raise


def _left_to_another(cluster: Cluster, job: Job, there: RunContext) -> str:
    """Leave a job about backups to the host that has them, for a while; what to say where it ran there."""
    if not jobs()[job.name].at_backups:
        return ""
    made = there.runs.last_success(_BACKUP)
    known = {machine.name for machine in cluster.note.machines}
    if made is None or made.host in {"", cluster.host} or made.host not in known:
        return ""
    if cluster.fleet.members[made.host].answers(REACH_SECONDS) is None:
        return ""
    until = time.monotonic() + GRACE
    while due(job, there.runs.last(job.name), there):
        if lease.taken(cluster.fleet.manager, f"{cluster.note.project}.job.{job.name}"):
            return msg("the job is running on host {host}, which has the backups", host=made.host)
        if time.monotonic() >= until:
            there.say(
                msg("host {host} has the backups, but did not start the job within {seconds:.0f} s; the job "
                    "runs on this host instead",
                    host=made.host, seconds=GRACE)
            )  # fmt: skip
            return ""
        there.pause(_LOOK_EVERY)
        cluster.newest(there.say)
    return _ran(there.runs.last(job.name))


def _ran(last: Run | None) -> str:
    if last is None:
        return msg("the job is not due")
    return msg(
        "ran on host {host} at {time}", host=last.host or "?",
        time=f"{last.started.astimezone():%Y-%m-%d %H:%M:%S %z}",
    )  # fmt: skip


def _own(cluster: Cluster, job: Job, context: RunContext) -> RunContext:
    """`context` with a ledger and metrics of this host's own, as the shared ones are now."""
    top = cluster.layout.run / f"job-{job.name}"
    own = replace(context, runs=Runs(top / "jobs"), textfiles=top / "textfile", host=cluster.host)
    try:
        for folder in (own.runs.folder / job.name, own.textfiles):
            with opened(folder, make=0o700):
                pass
        _copy(cluster.layout.jobs / job.name, own.runs.folder / job.name)
        metrics = textfile_path(cluster.layout.textfiles, job.name)
        if metrics.exists():
            shutil.copyfile(metrics, own.textfiles / metrics.name)
    except OSError as error:
        raise OpsError(
            msg("cannot write {path}: {strerror}", path=top, strerror=error.strerror),
            msg("check who owns the folder"),
        ) from None
    return own


def _not_alone(held: lease.Lease) -> str:
    """In words that another host may have run the job as well; nothing where none can have."""
    try:
        held.check()
    except OpsError:
        return msg("another host may have run this job at the same time: {why}", why=held.lost)
    return ""


def _share(cluster: Cluster, job: Job, own: RunContext, *, beside: Run | None = None) -> bool:
    """Let all hosts have what a run has written; False where they can't, which is said.

    With `beside`, a run that another host's may have gone on beside, it alone: with a number of its own.
    """
    try:
        with at_work(cluster.layout, _SHARE_SECONDS, own.say):
            here, there = own.runs.folder / job.name, cluster.layout.jobs / job.name
            with opened(there, make=0o777):
                pass
            if beside is not None:
                shared = Runs(cluster.layout.jobs)
                moved = replace(beside, id=shared.next_id(job.name))
                if (log := own.runs.log(beside)).exists():
                    write_atomic(shared.log(moved), log.read_bytes(), 0o644)
                shared.write(moved)
                return True
            _copy(here, there)
            recorded = {path.stem for path in here.glob("*.json")}
            for path in (*there.glob("*.json"), *there.glob("*.log")):
                if path.stem not in recorded:
                    path.unlink(missing_ok=True)
            for path in own.textfiles.glob("*.prom"):
                with opened(cluster.layout.textfiles, make=0o777):
                    pass
                write_atomic(cluster.layout.textfiles / path.name, path.read_bytes(), 0o644)
            cluster.deliver()
    except (OpsError, OSError) as error:
        own.say(msg("the record of this run can't be shared with the other hosts: {error}", error=error))
        return False
    return True


def _copy(here: Path, there: Path) -> None:
    """Records and logs of runs; a record last, so that what is listed has its log."""
    for path in (*sorted(here.glob("*.log")), *sorted(here.glob("*.json"))):
        write_atomic(there / path.name, path.read_bytes(), 0o644)
