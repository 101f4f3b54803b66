"""`techsapo cron`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.cli.options import DEFAULT_SPEC, EnvironmentOption, FileOption, JsonOption, QuietOption
from techsapo_ops.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable

    from techsapo_ops.cli.wiring import Project
    from techsapo_ops.operations.jobs.timetable import CronTable, Table

CHANGES = 100
SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Let the host's cron or systemd start the jobs, e.g. `techsapo cron install`.",
)
UserOption = Annotated[
    str | None, typer.Option("--user", metavar="NAME", help="Whose crontab; another's needs root.")
]
SystemdOption = Annotated[bool, typer.Option("--systemd", help="Timers of systemd in place of a crontab.")]


@app.command()
def install(
    file: FileOption = DEFAULT_SPEC,
    environment: EnvironmentOption = None,
    user: UserOption = None,
    systemd: SystemdOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the jobs of the spec's `schedule` into the crontab, in a block of their own.

    Again and again is as good as once; the rest of the crontab stays byte for byte. The renewal of
    certificates alone: `techsapo certs install-cron`.

    Examples:

      techsapo cron install

      techsapo cron install --systemd
    """
    from techsapo_ops.cli.jobs_wiring import desk_for
    from techsapo_ops.cli.wiring import open_project, topology_for
    from techsapo_ops.operations.jobs.timetable import announce, nobody_starts_them, scheduled

    out = Output(quiet=quiet)
    project = open_project(file, environment)
    table = _table(project, user, systemd)
    changed = table.install()
    schedule = project.spec.schedule
    announce(schedule, desk_for(project.layout, out.say, out.detail))
    names = ", ".join(job.name for job in scheduled(schedule)) or "no job"
    shown = table.show()
    out.say(f"{shown.where}: {names}" + ("" if changed else " (as before)"))
    wanted = "systemd" if systemd else "cron"
    if schedule.by == "service" and nobody_starts_them(topology_for(project), schedule):
        out.next(
            f"set `schedule.by: {wanted}` and run `techsapo up`, so that a job that does not come alerts"
        )
    elif schedule.by == "service":
        out.say("the stack's own scheduler starts them too; whoever comes second finds a run done")
        out.next(f"set `schedule.by: {wanted}` and run `techsapo up` to leave it out")
    elif schedule.by != wanted:
        out.next(f"set `schedule.by: {wanted}` in the spec")
    else:
        out.next("techsapo jobs")


@app.command()
def remove(
    file: FileOption = DEFAULT_SPEC,
    environment: EnvironmentOption = None,
    user: UserOption = None,
    systemd: SystemdOption = False,
    quiet: QuietOption = False,
) -> None:
    """Take the stack's jobs out of the crontab or of systemd; the rest stays.

    Examples:

      techsapo cron remove
    """
    from techsapo_ops.cli.wiring import open_project

    out = Output(quiet=quiet)
    table = _table(open_project(file, environment), user, systemd)
    where = table.show().where
    out.say(f"{where}: removed" if table.remove() else f"{where}: there was nothing of this stack")


@app.command("list")
def list_entries(
    file: FileOption = DEFAULT_SPEC,
    environment: EnvironmentOption = None,
    user: UserOption = None,
    systemd: SystemdOption = False,
) -> None:
    """Print what is installed, as it stands in the crontab or in the units.

    Examples:

      techsapo cron list
    """
    from techsapo_ops.cli.wiring import open_project

    out = Output()
    shown = _table(open_project(file, environment), user, systemd).show()
    if shown.text:
        out.data(shown.text.rstrip("\n"))
    else:
        out.say(f"{shown.where}: nothing of this stack")
        out.next("techsapo cron install")


@app.command()
def status(
    file: FileOption = DEFAULT_SPEC,
    environment: EnvironmentOption = None,
    user: UserOption = None,
    systemd: SystemdOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say whether what is installed is what the spec says, and whether somebody is there to run it.

    Ends with 0 when all is well, 100 when `techsapo cron install` would change something, 1 when nothing
    runs that would start the jobs.

    Examples:

      techsapo cron status

      techsapo cron status --systemd --json
    """
    from techsapo_ops.cli.wiring import open_project

    out = Output(as_json=as_json)
    shown = _table(open_project(file, environment), user, systemd).show()
    daemon = "systemd" if systemd else "cron"
    runs = _systemd_runs() if systemd else _cron_runs()
    if as_json:
        out.json({"where": shown.where, "state": shown.state, "daemon": daemon, "daemon_runs": runs})
    else:
        out.table(
            ("WHERE", "STATE"), [(shown.where, shown.state), (daemon, "running" if runs else "stopped")]
        )
        if shown.state != "installed":
            out.next("techsapo cron install" + (" --systemd" if systemd else ""))
        elif not runs:
            out.next(f"start {daemon}, or set `schedule.by: service`")
    if shown.state != "installed":
        raise typer.Exit(CHANGES)
    if not runs:
        raise typer.Exit(1)


def _table(project: Project, user: str | None, systemd: bool) -> Table:
    import shutil

    from techsapo_ops.adapters.systemd import Units
    from techsapo_ops.cli.wiring import runner, topology_for
    from techsapo_ops.errors import OpsError
    from techsapo_ops.operations.jobs.timetable import timer_table

    if not systemd:
        return cron_table(project, user)
    if user is not None:
        raise OpsError("--user is for a crontab", "run as that user for its own timers", exit_code=2)
    root = os.geteuid() == 0
    folder = Path("/etc/systemd/system") if root else Path.home() / ".config" / "systemd" / "user"
    units = Units(runner(), shutil.which("systemctl", path=_path()), user=not root)
    argv = _runs(project, "systemd")
    return timer_table(project.spec, topology_for(project), units, folder, argv, _path())


def cron_table(project: Project, user: str | None = None) -> CronTable:
    """The stack's block in the crontab of `user`, by default of whoever this is."""
    import shutil

    from techsapo_ops.adapters.crontab import Crontab
    from techsapo_ops.cli.wiring import runner
    from techsapo_ops.operations.jobs.timetable import CronTable, scheduled

    return CronTable(
        Crontab(runner(), shutil.which("crontab", path=_path()), user),
        project.path,
        scheduled(project.spec.schedule),
        _runs(project, "cron"),
        {"PATH": _path(), "LC_ALL": "C.UTF-8"},
    )


def _runs(project: Project, by: str) -> Callable[[str], tuple[str, ...]]:
    from techsapo_ops.cli.jobs_wiring import job_argv

    def argv(name: str) -> tuple[str, ...]:
        chosen = project.loaded.environment
        words = job_argv(sys.executable, "run", name, project.path, chosen, anywhere=by != "cron")
        return (*words, "--by", by)

    return argv


def _path() -> str:
    """This PATH's absolute folders and the system's own: cron's holds little more than /usr/bin."""
    here = [folder for folder in os.environ.get("PATH", "").split(":") if folder.startswith("/")]
    return ":".join(dict.fromkeys([*here, *SYSTEM_PATH]))


def _cron_runs() -> bool:
    import psutil

    return any(p.info["name"] in {"cron", "crond"} for p in psutil.process_iter(["name"]))


def _systemd_runs() -> bool:
    return Path("/run/systemd/system").is_dir()
