"""`techsapo alerts runbook`."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from techsapo_ops.catalogue.pages import Runbook, runbooks
from techsapo_ops.cli.completes import completes
from techsapo_ops.cli.language import spoken_language
from techsapo_ops.cli.options import QuietOutput, SpecChoice, SpecPlace
from techsapo_ops.cli.output import Output, console
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import unknown

if TYPE_CHECKING:
    from techsapo_ops.cli.project import Project

_LINK = re.compile(r"\[([^\]]+)\]\(\w+\.md\)")


def runbook(
    name: Annotated[str, typer.Argument(help="The alert.", autocompletion=completes("alerts"))],
    language: Annotated[
        Literal["en", "ja"] | None,
        typer.Option("--lang", help="Language.", show_default="the spec's, without one the terminal's"),
    ] = None,
    *,
    place: SpecPlace,
    out: QuietOutput,
) -> None:
    """Show what an alert means, how to check and how to fix it.

    It needs no stack and no spec; with one, commands have its ports and logins. In a pipe it is the
    Markdown itself.

    Examples:

      techsapo alerts runbook AppDown

      techsapo alerts runbook DiskFilling --lang en > DiskFilling.md
    """
    page = runbooks().get(name)
    if page is None:
        raise unknown(msg("runbook"), name, runbooks())
    project = _project(place, out, language)
    locale = language or (project.spec.locale if project is not None else spoken_language())
    if project is not None:
        page = _of_stack(page, project)
    text = page.text[locale]
    if not sys.stdout.isatty():
        out.data(text.rstrip("\n"))
        return
    from rich.markdown import Markdown

    console().print(Markdown(_LINK.sub(r"\1", text), hyperlinks=False))


def _project(place: SpecChoice, out: Output, language: str | None) -> Project | None:
    """The spec, for its language and ports. One that can't be read keeps nobody from what to do about it."""
    if not place.file.is_file():
        return None
    try:
        return place.open()
    except OpsError as error:
        chosen = "" if language else msg("; --lang ja and --lang en choose a language")
        out.say(
            msg(
                "The spec can't be read, so ports are the usual ones ({message}){chosen}.",
                message=error.message,
                chosen=chosen,
            )
        )
        return None


def _of_stack(page: Runbook, project: Project) -> Runbook:
    from techsapo_ops.cli.open_stack import topology_for  # a runbook without a spec needs none of it
    from techsapo_ops.services.prometheus.scrape import own_commands

    hosts = len(project.spec.hosts)
    try:
        return page.of_stack(own_commands(topology_for(project)), hosts=hosts)
    except OpsError:
        return page.of_stack({}, hosts=hosts)
