"""`techsapo validate`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from techsapo_ops.cli.options import JsonQuietOutput, SpecPlace
from techsapo_ops.cli.output import document, write
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.load import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from techsapo_ops.cli.project import Project
    from techsapo_ops.spec.load import Problem
    from techsapo_ops.spec.models import Spec


def validate(*, place: SpecPlace, out: JsonQuietOutput) -> None:
    """Check the spec, and show every error at once, as FILE:LINE:COLUMN.

    Everything that would keep the app from starting is an error, too. Examples are a provider whose price is
    unknown, and a missing API key that environment production needs. Logs, Prometheus and Loki of
    `investigate.services` are queried briefly; a source that can't be read is a warning.

    Examples:

      techsapo validate

      techsapo validate --file staging.yaml -e production

      techsapo validate --json
    """
    try:
        project = place.open()
        _require_files(project)
        _require_start(project)
    except SpecError as error:
        if out.as_json:
            out.json(
                {
                    "valid": False,
                    "file": str(place.file),
                    "environment": place.overlay(),
                    "problems": _plain(error.problems),
                }
            )
        else:
            for problem in error.problems:
                write(str(problem), stderr=True)
            count = len(error.problems)
            out.say(
                msg("{count} {which}", count=count, which=msg("problem") if count == 1 else msg("problems"))
            )
        raise typer.Exit(error.exit_code) from None
    warnings = (*project.warnings, *_unused(project), *_unread(project))
    if out.as_json:
        out.json(
            {
                "valid": True,
                "file": str(place.file),
                "environment": project.loaded.environment,
                "warnings": _plain(warnings),
                "disabled_providers": dict(project.loaded.disabled),
                "unreached": list(project.spec.unreached),
            }
        )
        return
    for warning in warnings:
        out.warn(str(warning))
    if not out.quiet:
        out.data(msg("{file} is valid", file=place.file))
    spec = project.spec
    for line in filter(None, (spec.nobody_notified, spec.report_to_nobody, _nobody_starts(project))):
        out.say(line)


def _require_files(project: Project) -> None:
    """Raise SpecError where what the spec names, templates and rules of one's own, can't be used."""
    if (unusable := project.unusable) is not None:
        raise unusable
    if project.spec.monitoring.rules:
        from techsapo_ops.cli.project import require_own_rules

        require_own_rules(project, None)


def _require_start(project: Project) -> None:
    """Raise SpecError where the app could not start with this spec, and the keys and files that are here."""
    if _is_plain(project):
        return
    from techsapo_ops.apply.prechecks import app_start_problems
    from techsapo_ops.spec.problems import problem_at

    loaded = project.loaded
    problems = app_start_problems(project.spec, project.layout, loaded.disabled)
    if problems:
        raise SpecError(
            (
                problem_at(loaded.position(at), at, p.message, p.hint)
                for p in problems
                for at in (tuple(p.path.split(".")),)
            ),
            loaded.filename,
        )


def _is_plain(project: Project) -> bool:
    """Whether it asks for nothing that may be missing: nothing of the app is imported then."""
    from techsapo_ops.spec.front_door import resolved_auth

    spec = project.spec
    keyed = resolved_auth(spec, project.loaded.environment).refuse_without_keys
    simulated = any(p.enabled for p in spec.providers.values()) and not _has_real_providers(spec)
    return simulated and not keyed and spec.wallbounce.calibration is None


def _has_real_providers(spec: Spec) -> bool:
    return any(p.enabled and not p.simulated for p in spec.providers.values())


def _unused(project: Project) -> Iterator[Problem]:
    """The enabled providers that the app would leave out, though it starts: by the list that it goes by."""
    if not _has_real_providers(project.spec):
        return
    from techsapo_ops.spec.problems import problem_at
    from techsapo_ops.wallbounce.providers.registry import UNUSED_SIMULATION, look_up

    loaded = project.loaded
    for name, reason in look_up(project.spec, {}).unavailable.items():
        if project.spec.providers[name].enabled and reason != UNUSED_SIMULATION:
            path = ("providers", name)
            problem = problem_at(loaded.position(path), path, msg("is not used: {reason}", reason=reason))
            yield replace(problem, filename=loaded.filename)


def _unread(project: Project) -> Iterator[Problem]:
    """The sources of the team's own services that can't be read now, tried all at once."""
    investigate = project.spec.investigate
    if investigate is None or not investigate.services:
        return
    from techsapo_ops.adapters.http import Unreachable
    from techsapo_ops.adapters.questions import at_once
    from techsapo_ops.cli.environment import runner
    from techsapo_ops.incidents.gather import reason
    from techsapo_ops.incidents.readers.services import SECONDS, accesses
    from techsapo_ops.spec.problems import problem_at

    asked = {
        ("investigate", "services", *place): ask
        for place, ask in accesses(investigate.services, project.directory, runner())
    }
    answers = at_once({repr(path): ask for path, ask in asked.items()}, SECONDS)
    for path, answer in zip(asked, answers.values(), strict=True):
        if isinstance(answer, Exception):
            why = msg("can't be read now: {reason}", reason=reason(answer))
            hint = ""  # that of one that is unreachable is about the stack's own services
            if isinstance(answer, OpsError) and not isinstance(answer, Unreachable):
                hint = answer.hint
            problem = problem_at(project.loaded.position(path), path, why, hint)
            yield replace(problem, filename=project.loaded.filename)


def _nobody_starts(project: Project) -> str:
    """That nobody starts the jobs, where the spec itself says that they run in containers."""
    spec = project.spec
    if "engine" not in spec.model_fields_set or spec.schedule.by != "service":
        return ""  # quick for most: where nothing names the engine, the host decides, which `plan` asks
    from techsapo_ops.cli.environment import runner
    from techsapo_ops.stack.places import named_places

    places = named_places(spec.engine)
    if places is None or not places.isolated:
        return ""
    from techsapo_ops.cli.open_stack import topology_for
    from techsapo_ops.jobs.starters import nobody_starts

    return nobody_starts(topology_for(project), runner())


def _plain(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    return [document(problem, "filename") for problem in problems]
