"""Options that mean the same in every command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from techsapo_ops.cli.bundles import Bundle
from techsapo_ops.cli.output import Output

if TYPE_CHECKING:
    from techsapo_ops.cli.project import Project

DEFAULT_SPEC = Path("techsapo.yaml")

EngineOption = Annotated[
    Literal["native", "compose"] | None, typer.Option("--engine", help="Overrides the spec's engine.")
]
ServicesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[SERVICE]…", help="Only these and what they need.")
]
BackupArgument = Annotated[str, typer.Argument(metavar="[ID]", help="An id, its beginning, or latest.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; do nothing.")]
WaitOption = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", help="Wait so long for another techsapo to finish.")
]
GateOption = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=1, help="How long a service may take to be ready."),
]
OverwriteOption = Annotated[bool, typer.Option("--force", help="Overwrite generated files edited by hand.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what failed.")]


@dataclass(frozen=True, slots=True)
class SpecChoice:
    """The spec that a command is about, and the overlay to apply to it."""

    file: Path
    environment: str | None = None

    def open(self) -> Project:
        """Load it. Raises OpsError, see cli.project.open_project."""
        from techsapo_ops.cli.project import (
            open_project,
        )  # `ps`, which needs no spec, imports this module too

        return open_project(self.file, self.environment)


_file = (Annotated[Path, typer.Option("--file", "-f", help="The spec.", show_default=True)], DEFAULT_SPEC)
EnvironmentOption = Annotated[
    str | None, typer.Option("--environment", "-e", help="Overlay to apply, from `environments`.")
]
_environment = (EnvironmentOption, None)
_json = (Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else.")], False)
_quiet = (QuietOption, False)
_verbose = (Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")], False)

SpecFile = Annotated[SpecChoice, Bundle({"file": _file})]
"""--file, for what finds the stack beside the spec and does not read it."""
SpecPlace = Annotated[SpecChoice, Bundle({"file": _file, "environment": _environment})]
"""--file and --environment."""
JsonOutput = Annotated[Output, Bundle({"as_json": _json})]
"""--json."""
QuietOutput = Annotated[Output, Bundle({"quiet": _quiet})]
"""--quiet."""
JsonQuietOutput = Annotated[Output, Bundle({"as_json": _json, "quiet": _quiet})]
"""--json and --quiet."""
FullOutput = Annotated[Output, Bundle({"as_json": _json, "quiet": _quiet, "verbose": _verbose})]
"""--json, --quiet and --verbose."""
