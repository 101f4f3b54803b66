"""A project's own templates: whether they can be used, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.spec.problems import Problem, SpecError, problem_at
from techsapo_ops.stack.template_folders import Overrides, find_overrides

if TYPE_CHECKING:
    from techsapo_ops.render.templates import Templates
    from techsapo_ops.spec.findings import Finding
    from techsapo_ops.spec.load import LoadedSpec


@dataclass(frozen=True, slots=True)
class OwnTemplates:
    """Those of the spec `loaded`, which is in `directory`."""

    directory: Path
    loaded: LoadedSpec

    @property
    def overrides(self) -> Overrides:
        """The folder with them."""
        return find_overrides(self.directory, self.loaded.spec.template_overrides)

    def templates(self) -> Templates:
        """Templates, these first; they raise SpecError when used where their folder can't be."""
        from techsapo_ops.render.templates import Templates

        overrides = self.overrides
        if (unusable := self._unusable(overrides)) is not None:
            return Templates(unusable=unusable)
        return Templates(overrides.folder if overrides.is_there else None)

    def require_usable(self) -> None:
        """Raise SpecError where their folder can't be used."""
        if (unusable := self._unusable(self.overrides)) is not None:
            raise unusable

    def warnings(self) -> tuple[Problem, ...]:
        """Those that are not used."""
        return tuple(self._problem(found) for found in self.overrides.warnings())

    def _unusable(self, overrides: Overrides) -> SpecError | None:
        obstacle = overrides.obstacle
        return SpecError([self._problem(obstacle)], self.loaded.filename) if obstacle is not None else None

    def _problem(self, finding: Finding) -> Problem:
        position = self.loaded.position(finding.path)
        found = problem_at(position, finding.path, finding.message, finding.hint)
        return replace(found, filename=self.loaded.filename)
