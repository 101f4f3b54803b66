"""A project's own templates: whether they can be used, and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.spec.problems import Problem, SpecError, problem_at
from techsapo_ops.stack.template_folders import Overrides, find_overrides

if TYPE_CHECKING:
    from techsapo_ops.render.templates import Templates
    from techsapo_ops.spec.findings import Finding
    from techsapo_ops.spec.load import LoadedSpec


def overrides_of(directory: Path, loaded: LoadedSpec) -> Overrides:
    """The folders of the own templates of the spec `loaded`, which is in `directory`."""
    return find_overrides(directory, loaded.spec.template_overrides)


def templates_of(directory: Path, loaded: LoadedSpec) -> Templates:
    """Templates, the project's own first; they raise SpecError when used where their folder can't be."""
    from techsapo_ops.render.templates import Templates

    overrides, unusable = overrides_of(directory, loaded), _unusable(directory, loaded)
    if unusable is not None:
        return Templates(unusable=unusable)
    return Templates(overrides.folder if overrides.folder in overrides.folders else None, old=overrides.old)


def require_overrides(directory: Path, loaded: LoadedSpec) -> None:
    """Raise SpecError where the folder of the project's own templates can't be used."""
    if (unusable := _unusable(directory, loaded)) is not None:
        raise unusable


def template_warnings(directory: Path, loaded: LoadedSpec) -> tuple[Problem, ...]:
    """Templates of the project's own that are where version 0.1 had them, and those that are not used."""
    return tuple(_problem(loaded, found) for found in overrides_of(directory, loaded).warnings())


def require_trusted_folder(directory: Path, loaded: LoadedSpec) -> None:
    """Raise UntrustedError where root must not use the folder of templates that the spec names."""
    if loaded.spec.template_overrides is None:  # those beside the spec were looked at with it
        return
    from techsapo_ops.operations.root_trust import folder_doubts, refusal

    if doubts := folder_doubts(overrides_of(directory, loaded).folder):
        raise refusal(doubts)


def _unusable(directory: Path, loaded: LoadedSpec) -> SpecError | None:
    obstacle = overrides_of(directory, loaded).obstacle
    return SpecError([_problem(loaded, obstacle)], loaded.filename) if obstacle is not None else None


def _problem(loaded: LoadedSpec, finding: Finding) -> Problem:
    found = problem_at(loaded.position(finding.path), finding.path, finding.message, finding.hint)
    return replace(found, filename=loaded.filename)
