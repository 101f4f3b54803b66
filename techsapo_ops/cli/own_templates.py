"""A project's own templates: whether they can be used, and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from techsapo_ops.spec.problems import Problem, SpecError, problem_at

if TYPE_CHECKING:
    from techsapo_ops.cli.wiring import Project
    from techsapo_ops.render.templates import Templates
    from techsapo_ops.spec.findings import Finding


def templates_of(project: Project) -> Templates:
    """Templates, the project's own first; they raise SpecError when used where their folder can't be."""
    from techsapo_ops.render.templates import Templates

    overrides, unusable = project.overrides, _unusable(project)
    if unusable is not None:
        return Templates(unusable=unusable)
    return Templates(overrides.folder if overrides.folder in overrides.folders else None, old=overrides.old)


def require_overrides(project: Project) -> None:
    """Raise SpecError where the folder of the project's own templates can't be used."""
    if (unusable := _unusable(project)) is not None:
        raise unusable


def _unusable(project: Project) -> SpecError | None:
    obstacle = project.overrides.obstacle
    return SpecError([_problem(project, obstacle)], project.loaded.filename) if obstacle is not None else None


def template_warnings(project: Project) -> tuple[Problem, ...]:
    """Templates of the project's own that are where version 0.1 had them, and those that are not used."""
    return tuple(_problem(project, found) for found in project.overrides.warnings())


def require_trusted_folder(project: Project) -> None:
    """Raise UntrustedError where root must not use the folder of templates that the spec names."""
    from techsapo_ops.adapters.trust import folder_doubts, refusal

    if doubts := folder_doubts(project.overrides.folder):
        raise refusal(doubts)


def _problem(project: Project, finding: Finding) -> Problem:
    mark = project.loaded.position(finding.path)
    found = problem_at(mark, finding.path, finding.message, finding.hint)
    return replace(found, filename=project.loaded.filename)
