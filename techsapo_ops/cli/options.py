"""Options that mean the same in every command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from techsapo_ops.adapters.folders import STATE_DIRECTORY
from techsapo_ops.cli.arguments import completes
from techsapo_ops.cli.next_command import remember_place
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.place import (
    DEFAULT_SPEC,
    ENVIRONMENT_VARIABLE,
    FILE_VARIABLE,
    find,
    lacking,
)
from techsapo_ops.cli.typer_base import Bundle, get_current_context
from techsapo_ops.messages import msg
from techsapo_ops.spec import NO_ENVIRONMENT

if TYPE_CHECKING:
    from techsapo_ops.cli.project import Project

CHANGES_PENDING = 100
"""Exit code of a command that changed nothing, and saw that something would change, or has."""

EngineOption = Annotated[
    Literal["native", "compose"] | None,
    typer.Option("--engine", help="Use this engine in place of the spec's."),
]
ServicesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SERVICE]…",
        help="Limit the command to these services and the services they need.",
        autocompletion=completes("services"),
    ),
]
NamedServicesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SERVICE]…", help="Names or kinds of services.", autocompletion=completes("services")
    ),
]
BackupArgument = Annotated[
    str,
    typer.Argument(
        metavar="[ID]",
        help="Id of the backup, the beginning of its id, or latest.",
        autocompletion=completes("backups"),
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; do nothing.")]
WaitOption = Annotated[
    float,
    typer.Option(
        "--wait", metavar="SECONDS", help="How long to wait for another techsapo command to finish."
    ),
]
GateOption = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=1, help="How long a service may take to become ready."),
]
OverwriteOption = Annotated[bool, typer.Option("--force", help="Overwrite generated files edited by hand.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print only failures.")]


class SpecChoice:
    """The spec that a command is about, and the overlay to apply to it."""

    __slots__ = ("_is_named", "_location", "environment")

    def __init__(self, file: Path | None = None, environment: str | None = None) -> None:
        self._location = find(file)
        # The one of this folder another command takes by itself, as long as no variable names one.
        self._is_named = bool(os.environ.get(FILE_VARIABLE)) or file not in {None, DEFAULT_SPEC}
        self.environment = given_environment(environment)
        # They are for this command. What it starts gets options, and an app that it starts has a spec
        # of its own.
        for variable in (FILE_VARIABLE, ENVIRONMENT_VARIABLE):
            os.environ.pop(variable, None)
        if self._location.announce and self.file.is_file():
            _say(msg("spec: {path}", path=self.file))
        remember_place(self)

    @property
    def file(self) -> Path:
        """Where the spec is, or would be."""
        return self._location.path

    def open(self) -> Project:
        """Load it. Raises OpsError, see cli.project.open_project."""
        from techsapo_ops.cli.project import (
            open_project,
        )  # `ps`, which needs no spec, imports this module too

        project = open_project(self.spec_file(), self.environment)
        say_remembered(project)
        return project

    def say_environment(self) -> None:
        """Say which environment was applied, where that decides and the spec itself is not opened."""
        if self.environment is None and (name := self.overlay()) is not None:
            _say_applied(name)

    def overlay(self) -> str | None:
        """The overlay that is applied to the spec: the one that was named, else the applied one."""
        from techsapo_ops.apply.ledger_entry import environment_of

        return environment_of(self.file.resolve().parent / STATE_DIRECTORY, self.environment)

    def chosen(self) -> dict[str, str]:
        """What another command has to be given to be about the same: options and their values.

        The environment only where it is not the one that was applied, which a command without -e has.
        """
        chosen = {"--file": str(self.file)} if self._is_named else {}
        if self.environment is not None:
            from techsapo_ops.apply.ledger_entry import applied_environment

            state = self.file.resolve().parent / STATE_DIRECTORY
            if (applied_environment(state) or NO_ENVIRONMENT) != self.environment:
                chosen["--environment"] = self.environment
        return chosen

    def spec_file(self) -> Path:
        """Where the spec is. Raises OpsError where there is none."""
        if not self.file.is_file():
            raise lacking(self._location)
        return self.file

    def stack_file(self) -> Path:
        """Where the spec is, or was, of a stack that has been brought up: what is beside it is enough.

        Raises OpsError where there is neither a spec nor a stack.
        """
        if not self.file.is_file() and not (self.file.resolve().parent / STATE_DIRECTORY).is_dir():
            raise lacking(self._location)
        return self.file


def given_environment(option: str | None) -> str | None:
    """The environment that -e or TECHSAPO_ENVIRONMENT names; None where neither does."""
    return option or os.environ.get(ENVIRONMENT_VARIABLE) or None


def say_remembered(project: Project) -> None:
    """Say which environment was applied, where that decides because none was named."""
    if project.remembered and (name := project.loaded.environment) is not None:
        _say_applied(name)


def _say_applied(name: str) -> None:
    _say(msg("environment: {name}, from the last apply (-e none turns it off)", name=name))


def _say(text: str) -> None:
    """Say what the user might think otherwise: which spec, which environment."""
    context = get_current_context(silent=True)
    if context is None or context.resilient_parsing:  # a shell completes: say nothing
        return
    if any(context.params.get(name) for name in ("quiet", "as_json")):
        return
    Output().say(text)


_file = (
    Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-F",
            help="The spec; default: TECHSAPO_FILE, else techsapo.yaml here or in a parent folder.",
            show_default=False,
        ),
    ],
    None,
)
EnvironmentOption = Annotated[
    str | None,
    typer.Option(
        "--environment",
        "-e",
        help="Overlay from `environments`, or none; default: TECHSAPO_ENVIRONMENT, else the overlay of the "
        "last apply.",
    ),
]
_environment = (EnvironmentOption, None)
_json = (Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else.")], False)
_quiet = (QuietOption, False)
_verbose = (Annotated[bool, typer.Option("--verbose", "-v", help="Print more details.")], False)

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
