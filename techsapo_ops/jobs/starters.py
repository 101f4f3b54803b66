"""Whether anybody starts the jobs; most stacks do themselves, so it imports no more than that takes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.scheduler.kind import nobody_starts_jobs
from techsapo_ops.spec import PRODUCTION

if TYPE_CHECKING:
    from techsapo_ops.adapters.process import Runner
    from techsapo_ops.stack.health import HostFinding
    from techsapo_ops.stack.topology import Topology

NOBODY = msg(
    "nothing starts the jobs, so nothing is backed up: set `schedule.by` to `cron` and run `techsapo cron "
    "install`; with several hosts, run this command on at least two (docs/jobs.md)"
)
_LONGEST_PAUSE = timedelta(days=2)
"""Every stack has jobs that come daily: whoever started none for so long, does not any more."""


def nobody_starts(topology: Topology, runner: Runner) -> str:
    """In one line that nobody starts the stack's jobs, and what to do; empty where somebody does.

    Somebody does where this user's crontab has the stack's block, or the ledger has a run of late that
    nobody started by hand: another user's crontab.
    """
    if not nobody_starts_jobs(topology) or _ran_of_late(topology) or _in_crontab(topology, runner):
        return ""
    return NOBODY


def look_at_starters(topology: Topology, runner: Runner) -> Iterator[HostFinding]:
    """The same as a finding; in production it is a warning."""
    if line := nobody_starts(topology, runner):
        from techsapo_ops.stack.health import HostFinding, Level

        level = Level.WARNING if topology.layout.environment == PRODUCTION else Level.NOTE
        what, _, remedy = line.partition(": ")
        yield HostFinding("jobs", "schedule", level, what, remedy)


def _ran_of_late(topology: Topology) -> bool:
    from techsapo_ops.jobs.runs import Runs

    runs, since = Runs(topology.layout.jobs), datetime.now(UTC) - _LONGEST_PAUSE
    times = topology.spec.schedule.times()
    try:
        return any(run.by != "hand" and run.started > since for name in times for run in runs.of(name))
    except OpsError:  # who may not read them can't tell
        return True


def _in_crontab(topology: Topology, runner: Runner) -> bool:
    from techsapo_ops.adapters.units import Crontab
    from techsapo_ops.jobs.timetable import find_block

    crontab = Crontab(runner, topology.host.binaries.get("crontab"))
    try:
        return bool(find_block(crontab.read(), topology.layout.spec_file))
    except OpsError:  # none that this user may read, so none in which it is
        return False
