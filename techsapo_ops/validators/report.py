"""What validation found, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ValidationProblem:
    """A tool refused a file. `path` is relative to the output folder; `output` is what the tool said."""

    tool: str
    path: str
    output: str


@dataclass(frozen=True, slots=True)
class MissingTool:
    """A tool that is not here, what brings it, and the files that nothing else checks."""

    tool: str
    remedy: str
    unchecked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """Outcome of one validation; `checked` counts the checks that ran."""

    problems: tuple[ValidationProblem, ...] = ()
    missing: tuple[MissingTool, ...] = ()
    checked: int = 0

    @property
    def ok(self) -> bool:
        """Whether no tool refused a file."""
        return not self.problems
