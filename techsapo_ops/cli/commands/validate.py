"""`techsapo validate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from techsapo_ops.cli.options import JsonQuietOutput, SpecPlace
from techsapo_ops.cli.output import write
from techsapo_ops.messages import Message, joined, msg, template
from techsapo_ops.spec.load import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from techsapo_ops.cli.project import Project
    from techsapo_ops.spec.load import Problem
    from techsapo_ops.spec.models import Spec


def validate(*, place: SpecPlace, out: JsonQuietOutput) -> None:
    """Check the spec; every error at once, as FILE:LINE:COLUMN.

    Examples:

      techsapo validate

      techsapo validate --file staging.yaml -e production

      techsapo validate --json
    """
    try:
        project = place.open()
        project.own_templates.require_usable()
    except SpecError as error:
        if out.as_json:
            out.json(
                {
                    "valid": False,
                    "file": str(place.file),
                    "environment": place.environment,
                    "problems": _plain(error.problems),
                }
            )
        else:
            for problem in error.problems:
                write(str(problem), stderr=True)
            found = len(error.problems)
            out.say(
                msg("{found} {which}", found=found, which=msg("problem") if found == 1 else msg("problems"))
            )
        raise typer.Exit(error.exit_code) from None
    warnings = project.warnings
    counts, hosts = _counts(project.spec), len(project.spec.hosts)
    if out.as_json:
        out.json(
            {
                "valid": True,
                "file": str(place.file),
                "environment": place.environment,
                "warnings": _plain(warnings),
                "disabled_providers": dict(project.loaded.disabled),
                "counts": {**counts, "hosts": hosts} if hosts else counts,
                "unreached": list(project.spec.unreached),
            }
        )
        return
    for warning in warnings:
        out.warn(str(warning))
    if not out.quiet:
        out.data(
            msg(
                "{file} is valid: {items}",
                file=place.file,
                items=joined(", ", (_phrase(n, what, hosts) for what, n in counts.items() if n)),
            )
        )
    spec = project.spec
    for line in filter(None, (spec.told_nobody, spec.report_to_nobody, _nobody_starts(project))):
        out.say(line)


def _nobody_starts(project: Project) -> str:
    """That nobody starts the jobs, where the spec itself says that they run in containers."""
    spec = project.spec
    if "engine" not in spec.model_fields_set or spec.schedule.by != "service" or spec.schedule.docker_socket:
        return ""  # quick for most: where nothing names the engine, the host decides, which `plan` asks
    from techsapo_ops.cli.environment import runner
    from techsapo_ops.stack.places import named_places

    places = named_places(spec.engine)
    if places is None or not places.isolated:
        return ""
    from techsapo_ops.cli.open_stack import topology_for
    from techsapo_ops.operations.jobs.starters import nobody_starts

    return nobody_starts(topology_for(project), runner())


def _plain(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    return [
        {"line": p.line, "column": p.column, "path": p.path, "message": p.message, "hint": p.hint}
        for p in problems
    ]


_COUNTED = {
    "app_instances": (template("{count} app instance"), template("{count} app instances")),
    "providers": (template("{count} provider"), template("{count} providers")),
    "simulated_providers": (
        template("{count} simulated provider"),
        template("{count} simulated providers"),
    ),
    "receivers": (template("{count} receiver"), template("{count} receivers")),
    "certificates": (template("{count} certificate"), template("{count} certificates")),
}
_ON_EACH = (
    template("{count} app instance on each of {hosts} hosts"),
    template("{count} app instances on each of {hosts} hosts"),
)


def _counts(spec: Spec) -> dict[str, int]:
    enabled = [p.kind for p in spec.providers.values() if p.enabled]
    real = sum(kind != "simulated" for kind in enabled)
    notifications = spec.notifications
    return {
        "app_instances": len(spec.app.resolved_instances),
        "providers": real,
        "simulated_providers": len(enabled) - real,
        "receivers": sum(len(listed) for name, listed in notifications.lists() if name != "watchdog"),
        "certificates": len(spec.certificates),
    }


def _phrase(number: int, what: str, hosts: int) -> str:
    one, several = _ON_EACH if hosts and what == "app_instances" else _COUNTED[what]
    return Message(one if number == 1 else several, {"count": number, "hosts": hosts})
