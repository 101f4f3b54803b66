"""`techsapo cron`."""

from __future__ import annotations

import psutil

from techsapo_ops.cli.jobs.runs import cron_table, install_cron
from techsapo_ops.cli.open_stack import topology_for
from techsapo_ops.cli.options import QuietOutput, SpecPlace
from techsapo_ops.cli.typer_base import CommandGroup
from techsapo_ops.jobs.timetable import scheduled
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.scheduler.kind import nobody_starts_jobs

app = CommandGroup()


@app.command()
def install(*, place: SpecPlace, out: QuietOutput) -> None:
    """Write the jobs of the spec's `schedule` into the crontab, in a block of their own.

    Running the command again changes nothing, and the rest of the crontab is not touched. To install only the
    renewal of certificates, use `techsapo certs install-cron`. With several hosts, run `techsapo cron
    install` on each host that has techsapo: each job still runs only once.

    Examples:

      techsapo cron install
    """
    project = place.open()
    schedule = project.spec.schedule
    changed = install_cron(project, out)
    names = joined(", ", (job.name for job in scheduled(schedule))) or msg("no job")
    out.say(msg("jobs in the crontab: {names}", names=names) + ("" if changed else msg(" (as before)")))
    if not any(p.info["name"] in {"cron", "crond"} for p in psutil.process_iter(["name"])):
        out.warn(msg("cron is not running on this host: start cron, or set `schedule.by: service`"))
    if nobody_starts_jobs(topology_for(project)):
        out.say(
            msg("set `schedule.by: cron` and run `techsapo up`: an alert then fires if a job does not run")
        )
    elif schedule.by == "service":
        out.say(
            msg(
                "the stack's own scheduler also starts these jobs; if cron and the scheduler both start a "
                "job, it still runs only once"
            )
        )
        out.say(
            msg("to run the stack without its own scheduler, set `schedule.by: cron` and run `techsapo up`")
        )
    elif schedule.by != "cron":
        out.say(msg("set `schedule.by: cron` in the spec"))
    else:
        out.next("techsapo jobs")


@app.command()
def remove(*, place: SpecPlace, out: QuietOutput) -> None:
    """Remove the stack's jobs from the crontab; all other jobs stay.

    Examples:

      techsapo cron remove
    """
    table = cron_table(place.open())
    out.say(
        msg("removed the stack's jobs from the crontab")
        if table.remove()
        else msg("the crontab has no jobs of this stack")
    )
