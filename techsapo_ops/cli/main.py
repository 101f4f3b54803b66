"""The command table, and how errors end."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, NoReturn

import typer

from techsapo_ops import __version__
from techsapo_ops.cli.language import LangOption
from techsapo_ops.cli.lazy import LazyEntry, lazy_group
from techsapo_ops.cli.process import fix_search_path, spare
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_SPEC, _STACK, _DATA, _ASK = "Spec and configuration", "Stack", "Data", "Orchestrator"

COMMANDS: dict[str, LazyEntry] = {
    "init": LazyEntry("spec.init", "init", "Write a commented techsapo.yaml to start from.", _SPEC),
    "validate": LazyEntry(
        "spec.validate", "validate", "Check the spec, and show every error at once.", _SPEC
    ),
    "config": LazyEntry(
        "spec.config", "app", "Show the spec, its fields and secrets, and the files made from it.", _SPEC
    ),
    "up": LazyEntry("apply.up", "up", "Start the stack, or bring it up to date.", _STACK),
    "down": LazyEntry("apply.running", "down", "Stop the stack.", _STACK),
    "plan": LazyEntry("apply.plan", "plan", "Show what `up` would change, and why.", _STACK),
    "changes": LazyEntry(
        "apply.changes", "app", "Show what was applied, and what has changed since.", _STACK
    ),
    "rollback": LazyEntry("apply.changes", "rollback", "Go back to an earlier apply.", _STACK),
    "status": LazyEntry(
        "watch.status",
        "status",
        "Show health, alerts, backups, costs and jobs on one screen.",
        _STACK,
        usage_exit=3,
    ),
    "ps": LazyEntry("watch.ps", "ps", "List the services and their state.", _STACK),
    "event": LazyEntry("incidents.event", "event", "Note something that was done, such as a deploy.", _STACK),
    "logs": LazyEntry("watch.logs", "logs", "Show or follow the services' logs.", _STACK),
    "restart": LazyEntry(
        "apply.running", "restart", "Restart services one at a time, waiting until each is ready.", _STACK
    ),
    "stop": LazyEntry(
        "apply.running", "stop", "Stop single services; they stay stopped, also after `up`.", _STACK
    ),
    "start": LazyEntry("apply.running", "start", "Start the services that `stop` has stopped.", _STACK),
    "exec": LazyEntry(
        "apply.running", "run", "Run a service's client, logged in, or a shell.", _STACK, passes_on=True
    ),
    "hosts": LazyEntry("hosts.hosts", "app", "Check, add, drain, replace and remove hosts.", _STACK),
    "maintenance": LazyEntry("apply.maintenance", "app", "Turn maintenance mode on or off.", _STACK),
    "monit": LazyEntry("watch.monit", "monit", "Live table: CPU, memory, restarts, requests.", _STACK),
    "health": LazyEntry("watch.health", "health", "Probe every part at once.", _STACK, usage_exit=3),
    "why": LazyEntry("incidents.why", "why", "Show why an alert fires: evidence, then a verdict.", _STACK),
    "alerts": LazyEntry("watch.alerts", "app", "List, explain, acknowledge and silence alerts.", _STACK),
    "jobs": LazyEntry("jobs.jobs", "app", "Show and run the scheduled jobs, and see how they went.", _STACK),
    "cron": LazyEntry("jobs.cron", "app", "Let the host's cron start the jobs.", _STACK),
    "certs": LazyEntry("certs.certs", "app", "Issue, renew, deploy and watch certificates.", _STACK),
    "audit": LazyEntry(
        "apply.audit", "app", "Show who did what to the stack, and verify the record.", _STACK
    ),
    "doctor": LazyEntry("watch.doctor", "doctor", "Check what this host lacks; --fix installs it.", _STACK),
    "backup": LazyEntry(
        "backup.backup", "app", "Back up data and configuration; list, verify, prune.", _DATA
    ),
    "restore": LazyEntry(
        "backup.restore", "restore", "Restore a backup, or the database at a point in time.", _DATA
    ),
    "recover": LazyEntry(
        "backup.recover", "app", "Bring the whole service back on an empty host, from off-site.", _DATA
    ),
    "drill": LazyEntry(
        "drills.drill", "app", "Rehearse failures, time them, and compare with the objectives.", _DATA
    ),
    "providers": LazyEntry(
        "app.providers", "app", "List the providers and their models, or test the providers.", _ASK
    ),
    "serve": LazyEntry("app.serve", "serve", "Run the orchestrator API in the foreground.", _ASK),
    "ask": LazyEntry("app.ask", "ask", "Ask the running orchestrator a question, or about a log.", _ASK),
    "eval": LazyEntry(
        "app.evaluate",
        "evaluate",
        "Ask questions whose right answers are known, and show how many are answered right.",
        _ASK,
    ),
    "feedback": LazyEntry("app.feedback", "feedback", "Say whether an answer was right.", _ASK),
    "mcp": LazyEntry("app.mcp", "mcp", "Give an AI client read-only tools, by MCP on stdio.", _ASK),
    "answers": LazyEntry(
        "app.answers",
        "app",
        "Show the cost of answers, reset a budget, calibrate confidence, forget answers.",
        _ASK,
    ),
    "keys": LazyEntry("app.keys", "app", "Create, list, rotate and revoke API keys.", _ASK),
}

DAILY = frozenset(
    """
    init validate plan up down status health why logs restart rollback doctor alerts backup restore ask
    """.split()  # noqa: SIM905 - names, not forty lines
)
"""What `techsapo --help` lists; --all adds the others."""
LOOKING = frozenset(
    """
    validate config plan changes status ps logs monit health why alerts jobs cron audit doctor drill providers
    answers certs keys
    """.split()  # noqa: SIM905
)
"""Commands that change nothing by themselves: only they are suggested for a mistyped name."""
MOVED = {
    "explain": "config explain",
    "schema": "config schema",
    "generate": "config generate",
    "templates": "config templates",
    "secrets": "config secrets",
    "history": "changes list",
    "diff": "changes diff",
    "drift": "changes drift",
    "reload": "restart --reload",
    "switchover": "hosts switchover",
    "runbook": "alerts runbook",
    "schedule": "jobs schedule",
    "version": "doctor --versions",
    "support": "doctor --bundle FILE",
    "open": "status",
    "backup create": "backup",
    "cron list": "jobs",
    "cron status": "cron install",
    "hosts adopt": "status",
    "analyze-logs": "ask --log",
    "costs": "answers costs",
    "budget": "answers reset-budget",
    "wallbounce": "answers calibrate",
}
"""Commands of another spelling by the present one, which the old one is answered with."""

GONE = {
    "trust": msg(
        "as root, add the user whom you trust to /etc/techsapo/trusted-users; `techsapo doctor` shows "
        "which files are not trusted yet"
    ),
    "ask --stream": msg("leave out --stream: the answer is printed once it is complete"),
    "ask --insecure-skip-tls-verify": msg("pass the CA of the server's certificate with --ca-file"),
    "audit verify --head": msg("leave out --head: the record is always compared with the local backups"),
    "drill failover-app --rate": msg("leave out --rate: the drill always sends ten requests a second"),
    "drill failover-host --rate": msg("leave out --rate: the drill always sends ten requests a second"),
}
"""Commands and options that went, and what to do instead."""

app = typer.Typer(
    cls=lazy_group(COMMANDS, daily=DAILY, looking=LOOKING, moved=MOVED, gone=GONE),
    no_args_is_help=True,
    suggest_commands=False,
    epilog="`techsapo --help --all` lists every command.",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from techsapo_ops.cli.output import write

        write(f"techsapo {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="With --help: list every command.")] = False,
    lang: LangOption = None,
) -> None:
    """Runs TechSapo, the multi-LLM answering service, from one YAML spec."""


def main() -> None:
    """Entry point of `techsapo`; an OpsError becomes two lines on stderr and its exit code."""
    fix_search_path()
    spare()
    try:
        try:
            app(prog_name="techsapo")
        finally:
            sys.stdout.flush()  # at the interpreter's end it is too late to say that the disk is full
    except OpsError as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except PermissionError as error:
        # Whatever it is that this user may not use, that is said and no fault of the program's.
        where = error.filename or msg("something that this command needs")
        refused = OpsError(msg("cannot use {where}: {why}", where=where, why=error.strerror or error))
        refused.__cause__ = error
        _fail(refused)
    except Exception as error:  # noqa: BLE001 - shown as Python would show it
        if not isinstance(error, OSError) or error.errno not in {errno.ENOSPC, errno.EPIPE}:
            _crash(error)
        # What is left in the buffer can't be written either: the interpreter would stumble over it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:
            sys.exit(1)
        where = error.filename or msg("the output")
        _fail(
            OpsError(
                msg("cannot write {where}: no space left on device", where=where),
                msg("`df -h` shows which file system is full"),
            )
        )


def _crash(error: Exception) -> NoReturn:
    """Show where it went wrong, as Python does; its words may come from elsewhere."""
    import traceback

    from techsapo_ops.cli.output import write

    write("".join(traceback.format_exception(error)).rstrip(), stderr=True)
    sys.exit(1)


def _fail(error: OpsError) -> NoReturn:
    from techsapo_ops.cli.output import print_error

    print_error(error)
    sys.exit(error.exit_code)
