"""The concrete parts of jobs: the ledger, the clock, the zone, and the process that a run is."""

from __future__ import annotations

import os
import pwd
import stat
import sys
from collections.abc import Callable
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.folders import FOLDER
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.layout import STATE_DIRECTORY

if TYPE_CHECKING:
    from techsapo_ops.adapters.process import Command
    from techsapo_ops.schedule.runs import Starter
    from techsapo_ops.schedule.wrapper import Desk
    from techsapo_ops.spec.layout import Layout
    from techsapo_ops.spec.models.data import Schedule


def local_zone() -> tzinfo:
    """The host's time zone. Raises OpsError when it can't be told, e.g. for a TZ that does not exist."""
    import tzlocal

    try:
        return tzlocal.get_localzone()
    except (LookupError, ValueError, OSError) as error:
        raise OpsError(f"the host's time zone can't be told: {error}", "set TZ, e.g. Asia/Tokyo") from None


def here_and_now(zone: tzinfo) -> Callable[[], datetime]:
    """The clock of this host."""
    return lambda: datetime.now(zone)


def desk_for(layout: Layout, say: Callable[[str], None], echo: Callable[[str], None]) -> Desk:
    """What runs of this stack's jobs are made with."""
    from techsapo_ops.cli.wiring import acting_user
    from techsapo_ops.schedule.runs import Runs
    from techsapo_ops.schedule.wrapper import Desk

    zone = local_zone()
    return Desk(
        runs=Runs(layout.jobs),
        textfiles=layout.textfiles,
        now=here_and_now(zone),
        zone=zone,
        user=acting_user(),
        pid=os.getpid(),
        say=say,
        echo=echo,
    )


def job_argv(
    python: str, command: str, name: str, file: Path, environment: str | None, *, anywhere: bool = True
) -> tuple[str, ...]:
    """`techsapo jobs COMMAND NAME` on the spec `file`, whatever PATH is.

    Where it may start in `anywhere`, Python must not import what lies there (-P). Cron starts it in the home
    of its user, and the blocks in crontabs stay as they are.
    """
    chosen = ("--environment", environment) if environment is not None else ()
    safe = ("-P",) if anywhere else ()
    return (
        python,
        *safe,
        "-m",
        "techsapo_ops",
        "jobs",
        command,
        name,
        "--file",
        str(file.resolve()),
        *chosen,
    )


def perform_command(name: str, file: Path, environment: str | None) -> Command:
    """The process that does the work of one try."""
    from techsapo_ops.adapters.process import Command

    argv = job_argv(sys.executable, "perform", name, file, environment)
    return Command(argv, {"PYTHONUNBUFFERED": "1"}, cwd=file.resolve().parent)


def record_refusal(name: str, file: Path, refusal: OpsError, by: Starter) -> None:
    """Write down a run of job `name` that root refused: `refusal` says why. Raises OpsError where it can't be.

    The folder to write into is the one that root does not trust. So a child does it with the rights of the
    folder's owner, or with root's where the state directory, opened without following a link, is root's alone:
    then whoever owns the folder around it could only have moved it. It works inside the opened folder.
    """
    import tzlocal  # noqa: F401 - the child may not be able to read this Python's modules
    from prometheus_client import generate_latest, parser  # noqa: F401

    from techsapo_ops.adapters.process import Command
    from techsapo_ops.schedule import wrapper
    from techsapo_ops.schedule.book import find_job
    from techsapo_ops.spec.layout import Layout
    from techsapo_ops.spec.models.data import Schedule

    state = file.resolve().parent / STATE_DIRECTORY
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = b""
        try:
            os.close(reading)
            enter_as_owner(state, name)
            desk = desk_for(Layout(Path(), Path()), lambda text: print(text, file=sys.stderr), lambda _: None)
            job = find_job(Schedule(), name)
            finished = wrapper.run_job(job, Command(("false",)), desk, by=by, refusal=refusal)
            if finished is None or not finished.recorded:
                said = b"see above"
        except OpsError as error:
            said = str(error).encode()
        except BaseException as error:  # noqa: BLE001 - nothing may escape into the parent's code
            said = repr(error).encode()
        os.write(writing, said[:4000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    if said:
        raise OpsError(f"job {name}: {refusal.message}", f"{refusal.hint}; not recorded: {said.decode()}")


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
        _become(owner)
        return
    for path in (".", "jobs", f"jobs/{job}", "textfile"):
        try:
            facts = os.stat(path, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != 0 or facts.st_mode & 0o022:
            raise OpsError(f"{state / path} is not root's alone, so root does not write into it")


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
    from techsapo_ops.cli.wiring import open_project
    from techsapo_ops.spec.models.data import Schedule

    try:
        return open_project(file, environment).spec.schedule, None
    except OpsError as error:
        return Schedule(), error
