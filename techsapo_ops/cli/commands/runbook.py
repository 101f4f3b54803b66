"""`techsapo runbook`."""

from __future__ import annotations

import os
import re
import sys
from typing import Annotated, Literal

import typer

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.runbooks import Runbook, runbooks
from techsapo_ops.cli.options import JsonOutput, SpecChoice, SpecPlace
from techsapo_ops.cli.output import Output, console
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.problems import did_you_mean

_LINK = re.compile(r"\[([^\]]+)\]\(\w+\.md\)")


def _completed(incomplete: str) -> list[str]:
    return [name for name in runbooks() if name.lower().startswith(incomplete.lower())]


def runbook(
    name: Annotated[
        str | None, typer.Argument(help="The alert; without it all are listed.", autocompletion=_completed)
    ] = None,
    language: Annotated[
        Literal["ja", "en"] | None,
        typer.Option("--lang", help="Language.", show_default="the spec's, without one the terminal's"),
    ] = None,
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Show what an alert means, how to check and how to fix it.

    It needs no stack and no spec. In a pipe it is the Markdown itself.

    Examples:

      techsapo runbook AppDown

      techsapo runbook DiskFilling --lang en > DiskFilling.md
    """
    page = None
    if name is not None and (page := runbooks().get(name)) is None:
        raise OpsError(f"there is no runbook {name}", did_you_mean(name, runbooks()), exit_code=2)
    locale = language or _locale(place, out)
    if page is None:
        _list(locale, out)
    elif out.as_json:
        out.json(
            {"name": page.name, "language": locale, "text": page.text[locale], "steps": page.steps(locale)}
        )
    else:
        _show(page, locale, out)


def _locale(place: SpecChoice, out: Output) -> str:
    """The spec's language. A spec that can't be read keeps nobody from what to do about it."""
    if place.file.is_file():
        try:
            return place.open().spec.locale
        except OpsError as error:
            out.say(
                f"The spec's language is not known ({error.message}); --lang ja and --lang en choose one."
            )
    told = next((v for n in ("LC_ALL", "LC_MESSAGES", "LANG") if (v := os.environ.get(n))), "")
    return "ja" if told.lower().startswith("ja") else "en"


def _list(locale: str, out: Output) -> None:
    rows = [(a.name, a.severity, runbooks()[a.name].meaning(locale)) for a in alerts().values()]
    if out.as_json:
        out.json([dict(zip(("name", "severity", "meaning"), row, strict=True)) for row in rows])
        return
    out.table(("alert", "severity", "meaning"), rows)
    out.next("`techsapo runbook NAME` shows one")


def _show(page: Runbook, locale: str, out: Output) -> None:
    text = page.text[locale]
    if not sys.stdout.isatty():
        out.data(text.rstrip("\n"))
        return
    from rich.markdown import Markdown

    console().print(Markdown(_LINK.sub(r"\1", text), hyperlinks=False))
