"""`techsapo doctor`."""

from __future__ import annotations

import os
import shlex
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.adapters.apt import Apt
from techsapo_ops.adapters.strict_modes import UntrustedError
from techsapo_ops.adapters.units import Units
from techsapo_ops.cli.environment import runner
from techsapo_ops.cli.open_stack import host_report, open_stack
from techsapo_ops.cli.options import FullOutput, SpecPlace, say_remembered
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.place import DEFAULT_SPEC
from techsapo_ops.cli.project import Project, open_files, open_project
from techsapo_ops.cli.trusted_project import require_trust
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.starters import look_at_starters
from techsapo_ops.messages import msg
from techsapo_ops.spec.load import load
from techsapo_ops.stack.health import HostFinding, Level
from techsapo_ops.watch.alerts.delivery import look_at_notifications
from techsapo_ops.watch.backups import look_at_backups
from techsapo_ops.watch.doctor.checks import (
    Waiting,
    finding,
    look,
    look_at_card,
    look_at_exposure,
    look_at_models,
    look_at_services,
    look_at_templates,
)
from techsapo_ops.watch.doctor.diagnosis import distrusted, examine, repair

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack
    from techsapo_ops.stack.topology import Topology
    from techsapo_ops.watch.doctor.diagnosis import Diagnosis, Repair


def doctor(
    *,
    place: SpecPlace,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="Install the missing packages, as root; no service is started or stopped."
        ),
    ] = False,
    versions: Annotated[
        bool,
        typer.Option("--versions", help="Print only the versions of techsapo, this host and the servers."),
    ] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="FILE",
            help="Write a .tar.gz for support; secrets are masked.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --bundle: do not ask.")] = False,
    out: FullOutput,
) -> None:
    """Check what this host lacks for the stack, which ports are taken, and by which process.

    The exit code is 0 when nothing needed is missing, else 1. Without a techsapo.yaml, the needs of the
    default stack are checked.

    --bundle collects versions, states, generated files, notes and the last logs, even with a broken spec. The
    contents are listed first. Read the file before you send it: host names, personal names and client
    addresses are not masked.

    Examples:

      techsapo doctor

      sudo techsapo doctor --fix

      techsapo doctor --json

      techsapo doctor --bundle for-support.tar.gz
    """
    if versions:
        from techsapo_ops.cli.watch.support_bundle import show_versions

        return show_versions(place, out)
    if bundle is not None:
        from techsapo_ops.cli.watch.support_bundle import write_bundle

        return write_bundle(bundle, place, out, yes=yes)
    try:
        project = _project(place.file, place.environment)
        say_remembered(project)
        stack = open_stack(project)
    except UntrustedError as error:
        refused = distrusted(error)
        if out.as_json:
            out.json(_value(refused, None))
        else:
            _print(refused, out)
        raise typer.Exit(1) from None
    waiting = look(stack, time.time())
    diagnosis = _examined(project, stack, waiting)
    done: Repair | None = None
    if fix and (diagnosis.packages or diagnosis.wants_user):
        if not diagnosis.root:
            if not out.as_json:
                _print(diagnosis, out)
            raise OpsError(
                msg("--fix installs packages, which needs root"),
                msg("run: {as_root}", as_root=_as_root(place.file, place.environment)),
            )
        # What was done to the host is said also where no more than what failed is asked for.
        done = _repair(diagnosis, stack.topology, Output(quiet=out.as_json, verbose=out.verbose))
        diagnosis = _examined(project, open_stack(project), waiting)
    if out.as_json:
        out.json({**_value(diagnosis, done), "updates": waiting})
    else:
        _print(diagnosis, out)
        _say_next(diagnosis, out, _as_root(place.file, place.environment), _next(stack, waiting))
    raise typer.Exit(0 if diagnosis.complete else 1)


def _project(file: Path, environment: str | None) -> Project:
    """The project of the spec, or of a default spec where there is none yet."""
    if file != DEFAULT_SPEC or file.is_file():
        return open_project(file, environment)
    require_trust(file)
    return Project(file.absolute(), load("project: techsapo\n", {}, lambda path: path, filename=str(file)))


def _examined(project: Project, stack: Stack, waiting: Waiting) -> Diagnosis:
    today = datetime.now(UTC).date()
    also = (
        *look_at_templates(project.overrides),
        *look_at_exposure(stack.topology),
        *(
            HostFinding("secrets", str(open_file.path), Level.WARNING, open_file.message, open_file.hint)
            for open_file in (open_files(project.path, project.spec) if project.path.is_file() else ())
        ),
        *look_at_models(project.spec, today),
        *look_at_services(stack.topology),
        *look_at_backups(stack),
        *look_at_card(stack),
        *look_at_notifications(stack.topology),
        *look_at_starters(stack.topology, stack.runner),
        finding(waiting),
    )
    return examine(stack, host_report(project, stack.topology), also)


def _repair(diagnosis: Diagnosis, topology: Topology, out: Output) -> Repair:
    run = runner()
    done = repair(diagnosis, Apt(run, Units(run, topology.host.binaries.get("systemctl"))), run, out.say)
    if done.user_added:
        out.say(msg("added system user techsapo"))
    if done.installed.packages:
        out.say(msg("installed {packages}", packages=", ".join(done.installed.packages)))
    if done.installed.disabled:
        out.say(
            msg(
                "disabled at boot, because the stack runs its own instances: {disabled}",
                disabled=", ".join(done.installed.disabled),
            )
        )
    if done.installed.left_running:
        out.detail(
            msg("services left running: {left_running}", left_running=", ".join(done.installed.left_running))
        )
    return done


def _say_next(diagnosis: Diagnosis, out: Output, fix: str, then: str) -> None:
    if diagnosis.packages and not diagnosis.apt:
        out.say(
            msg(
                "install these packages with your system's package manager (Debian names): {packages}",
                packages=" ".join(diagnosis.packages),
            )
        )
    elif diagnosis.packages or diagnosis.wants_user:
        out.next(fix)
    elif diagnosis.complete and then:
        out.next(then)


def _next(stack: Stack, waiting: Waiting) -> str:
    """What to do where nothing is missing: begin, or the first of what waits; empty where nothing does."""
    try:
        running = stack.engine.observe().running
    except OpsError:  # Docker does not answer, for example: a finding says so already
        return ""
    if not running:
        return "techsapo up"
    return waiting.commands[0] if waiting.commands else ""


def _as_root(file: Path, environment: str | None) -> str:
    words = [str(Path(sys.argv[0]).absolute()), "doctor", "--fix", "--file", str(file.absolute())]
    if environment:
        words += ["--environment", environment]
    return shlex.join(words if _is_root() else ["sudo", *words])


def _is_root() -> bool:
    return os.geteuid() == 0


def _print(diagnosis: Diagnosis, out: Output) -> None:
    """All findings and a line that counts them; with --quiet those that ask for something."""
    shown = [f for f in diagnosis.findings if not out.quiet or f.level in {"missing", "warning"}]
    rows = [(f.name, f.level.value, f.detail, f.remedy) for f in shown]
    if rows:
        out.table(("what", "state", "detail", "what to do"), rows)
    missing = sum(f.level == "missing" for f in diagnosis.findings)
    warnings = sum(f.level == "warning" for f in diagnosis.findings)
    words = (
        msg("{missing} missing or blocking", missing=missing) if missing else msg("nothing needed is missing")
    )
    out.data(words + (msg(", {warnings} to check", warnings=warnings) if warnings else ""))


def _value(diagnosis: Diagnosis, done: Repair | None) -> dict[str, Any]:
    value: dict[str, Any] = {
        "complete": diagnosis.complete,
        "packages": list(diagnosis.packages),
        "findings": diagnosis.findings,
    }
    if done is not None:
        value["fixed"] = done
    return value
