"""The concrete parts of jobs: the ledger, the clock, the zone, and the process that a run is."""

from __future__ import annotations

import os
import pwd
import stat
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.folders import FOLDER, STATE_DIRECTORY
from techsapo_ops.adapters.process import Command
from techsapo_ops.cli.environment import acting_user
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.project import open_project
from techsapo_ops.cli.state_directory import layout_beside
from techsapo_ops.engines.swarm.machines_note import noted_machines
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.schedule.cron import local_zone
from techsapo_ops.schedule.runs import Runs
from techsapo_ops.schedule.status import find_job
from techsapo_ops.schedule.wrapper import RunContext, run_job
from techsapo_ops.spec.models.data import Schedule
from techsapo_ops.stack.layout import Layout

if TYPE_CHECKING:
    from techsapo_ops.adapters.strict_modes import UntrustedError
    from techsapo_ops.cli.options import SpecChoice
    from techsapo_ops.schedule.runs import Starter


def run_context(layout: Layout, say: Callable[[str], None], echo: Callable[[str], None]) -> RunContext:
    """What runs of this stack's jobs are made with."""
    zone = local_zone()
    return RunContext(
        runs=Runs(layout.jobs),
        textfiles=layout.textfiles,
        now=lambda: datetime.now(zone),
        zone=zone,
        user=acting_user(),
        pid=os.getpid(),
        say=say,
        echo=echo,
    )


def tell_machines(place: SpecChoice) -> None:
    """Bring the metrics of a job to the node exporters of all machines that answer; nothing on one host.

    What is in the way is told: those of the next job bring them, too.
    """
    if not noted_machines(layout_beside(place.file).state).machines:
        return
    from techsapo_ops.cli.open_stack import open_stack

    try:
        open_stack(place.open()).engine.deliver()
    except OpsError as error:
        Output().warn(msg("other hosts lack the metrics of this job: {why}", why=error.message))


def job_argv(
    python: str, command: str, name: str, file: Path, environment: str | None, *, anywhere: bool = True
) -> tuple[str, ...]:
    """`techsapo jobs COMMAND NAME` on the spec `file`, whatever PATH is.

    Where it may start in `anywhere`, Python must not import what lies there (-P). Cron starts it in the home
    of its user, and the blocks in crontabs stay as they are.
    """
    chosen = ("--environment", environment) if environment is not None else ()
    safe = ("-P",) if anywhere else ()
    words = ("-m", "techsapo_ops", "jobs", command, name, "--file", str(file.resolve()))
    return (python, *safe, *words, *chosen)


def perform_command(name: str, file: Path, environment: str | None) -> Command:
    """The process that does the work of one try."""
    argv = job_argv(sys.executable, "perform", name, file, environment)
    return Command(argv, {"PYTHONUNBUFFERED": "1"}, cwd=file.resolve().parent)


def record_refusal(name: str, file: Path, refusal: UntrustedError, by: Starter) -> None:
    """Write down a run of job `name` that was refused, and what helps, as a failed one.

    The folder to write into is one that others can change. So a child of root's does it with the rights of
    the state directory's owner, or with root's where that directory, opened without following a link, is
    root's alone: then whoever owns the folder around it could only have moved it. It works inside the opened
    folder.
    Raises OpsError where it can't be written.
    """
    # The hint first: the record's line is cut at a length.
    told = OpsError(
        msg("{hint}: {message}", hint=refusal.hint, message=refusal.message), exit_code=refusal.exit_code
    )

    def record(state: Path, say: Callable[[str], None]) -> bool:
        context = run_context(Layout(state, state), say, lambda _: None)
        finished = run_job(find_job(Schedule(), name), Command(("false",)), context, by=by, refusal=told)
        return finished is not None and finished.recorded

    # A rehearsal imports all that it takes: the child may not be able to read this Python's modules.
    with tempfile.TemporaryDirectory() as place:
        record(Path(place), lambda _: None)
    said = _in_child(file.resolve().parent / STATE_DIRECTORY, name, record)
    if said:
        raise OpsError(
            msg("job {name}: {message}", name=name, message=refusal.message),
            msg("{hint}; not recorded: {said}", hint=refusal.hint, said=said),
        )


def _in_child(state: Path, job: str, record: Callable[[Path, Callable[[str], None]], bool]) -> str:
    """`record` below `state` in a child that entered it as its owner; what went wrong, or nothing."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said: list[str] = []
        try:
            os.close(reading)
            enter_as_owner(state, job)
            record(Path(), said.append)
        except OpsError as error:
            said.append(str(error))
        except BaseException as error:  # noqa: BLE001 - nothing may escape into the parent's code
            said.append(repr(error))
        os.write(writing, "; ".join(said).encode()[:4000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8", errors="replace") as pipe:
        result = pipe.read()
    os.waitpid(child, 0)
    return result


def enter_as_owner(state: Path, job: str) -> None:
    """Make `state` the working directory, with no more rights than what is in it can be trusted with.

    Raises OpsError where it is not there, a link, or what root would write into is not root's alone.
    """
    try:
        descriptor = os.open(state, FOLDER | os.O_NOFOLLOW)
    except OSError as error:
        raise OpsError(f"{state}: {error.strerror}") from None
    os.fchdir(descriptor)
    owner = os.fstat(descriptor).st_uid
    if owner != 0:
        if owner != os.geteuid():
            _become(owner)
        return
    for path in (".", "jobs", f"jobs/{job}", "textfile"):
        try:
            facts = os.stat(path, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != 0 or facts.st_mode & 0o022:
            raise OpsError(
                msg("{state} is not root's alone, so root does not write into it", state=state / path)
            )


def _become(uid: int) -> None:
    try:
        gid = pwd.getpwuid(uid).pw_gid
    except KeyError:
        gid = uid
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def schedule_or_why(file: Path, environment: str | None) -> tuple[Schedule, OpsError | None]:
    """The spec's schedule; where the spec can't be read, the default one and the reason."""
    try:
        return open_project(file, environment).spec.schedule, None
    except OpsError as error:
        return Schedule(), error
