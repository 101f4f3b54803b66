"""Options that mean the same in every command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_SPEC = Path("techsapo.yaml")

FileOption = Annotated[Path, typer.Option("--file", "-f", help="The spec.", show_default=True)]
EnvironmentOption = Annotated[
    str | None, typer.Option("--environment", "-e", help="Overlay to apply, from `environments`.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what failed.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; do nothing.")]
WaitOption = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", help="Wait so long for another techsapo to finish.")
]
