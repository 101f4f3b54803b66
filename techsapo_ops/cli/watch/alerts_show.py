"""`techsapo alerts show` and `alerts runbook`: one alert, and what to do about it."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from techsapo_ops.catalogue.pages import Runbook, runbooks
from techsapo_ops.cli.arguments import completes
from techsapo_ops.cli.language import spoken_language
from techsapo_ops.cli.open_stack import open_stack, topology_for
from techsapo_ops.cli.options import JsonOutput, QuietOutput, SpecChoice, SpecPlace
from techsapo_ops.cli.output import Output, console
from techsapo_ops.cli.watch.alerts_ack import acknowledgement_json, severity_text, silence_json
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.alertmanager.silencing import moment_text
from techsapo_ops.services.monitoring import alertmanager_of, prometheus_of
from techsapo_ops.spec.problems import unknown
from techsapo_ops.watch.alerts.firing import OneAlert, known, one_alert

if TYPE_CHECKING:
    from techsapo_ops.cli.project import Project
    from techsapo_ops.watch.alerts.firing import Listed


_LABEL = 10


def show(
    name: Annotated[str, typer.Argument(help="The alert.", autocompletion=completes("alerts"))],
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Show one alert: its state, since when, who has acknowledged it, who is notified, and the first steps.

    Examples:

      techsapo alerts show AppDown

      techsapo alerts show ProviderDown --json
    """
    alert = known(name)
    stack = open_stack(place.open())
    detail = one_alert(stack, alert, prometheus_of(stack), alertmanager_of(stack))
    if out.as_json:
        out.json(_json(detail, stack.spec.locale))
        return
    if detail.trouble:
        out.warn(msg("the state of the alert is unknown: {trouble}", trouble=detail.trouble))
    if detail.untold:
        out.warn(detail.untold)
    _print(detail, stack.spec.locale, out)
    if any(each.state == "firing" and each.acknowledged is None for each in detail.now):
        out.next(f"techsapo alerts ack {name}")
    else:
        out.next(f"techsapo alerts runbook {name}")


def _print(detail: OneAlert, locale: str, out: Output) -> None:
    alert = detail.alert

    def line(label: str, text: str) -> None:
        out.data(msg("{label:{width}} {text}", label=label, width=_LABEL, text=text))

    line(
        msg("alert"),
        msg(
            "{name}, {severity}, {priority}, about {service}",
            name=alert.name,
            severity=severity_text(alert),
            priority=alert.priority,
            service=alert.service,
        ),
    )
    line(msg("means"), detail.runbook.meaning(locale))
    for each in detail.now:
        line(msg("state"), _state(each))
        if each.since is not None:
            line("", each.summary)
            if labels := ", ".join(f"{k}={v}" for k, v in sorted(each.labels.items()) if k != "alertname"):
                line("", labels)
    for silence in detail.silences:
        matchers = ", ".join(map(str, silence.matchers))
        why = f": {silence.comment}" if silence.comment else ""
        ends = moment_text(silence.ends)
        held = msg("{id} ({matchers}) by {by} until {ends}", id=silence.id[:8], matchers=matchers,
                   by=silence.created_by, ends=ends)  # fmt: skip
        line(msg("silence"), held + why)
    line(msg("notifies"), ", ".join(detail.receivers) or msg("nobody"))
    line(msg("rule"), f"{' '.join(str(detail.rule['expr']).split())}")
    line(msg("for"), str(detail.rule.get("for", "0s")))
    for number, step in enumerate(detail.runbook.steps(locale), 1):
        line(msg("do first") if number == 1 else "", f"{number}. {step}")
    line(msg("runbook"), detail.runbook_url)
    if any(each.since is not None for each in detail.now):
        line(msg("why?"), f"techsapo why {alert.name}")


def _state(each: Listed) -> str:
    if each.since is None:
        return each.state
    held = each.acknowledged
    who = "" if each.state != "firing" else msg("; not acknowledged")
    if held is not None:
        who = msg(
            "; acknowledged by {by} until {moment_text}", by=held.by, moment_text=moment_text(held.until)
        )
        who += msg(" ({comment})", comment=held.own_comment) if held.own_comment else ""
    return msg(
        "{state} since {moment_text}{who}", state=each.state, moment_text=moment_text(each.since), who=who
    )


def _json(detail: OneAlert, locale: str) -> dict[str, Any]:
    alert = detail.alert
    return {
        "name": alert.name,
        "severity": alert.severity,
        "page": alert.page,
        "priority": alert.priority,
        "service": alert.service,
        "meaning": detail.runbook.meaning(locale),
        "expr": detail.rule["expr"],
        "for": detail.rule.get("for", "0s"),
        "states": [
            {
                "state": each.state,
                "since": each.since,
                "summary": each.summary if each.since is not None else None,
                "labels": each.labels,
                "acknowledged": acknowledgement_json(each.acknowledged) if each.acknowledged else None,
            }
            for each in detail.now
        ],
        "silences": [silence_json(silence) for silence in detail.silences],
        "receivers": list(detail.receivers),
        "steps": list(detail.runbook.steps(locale)),
        "runbook": detail.runbook_url,
        "trouble": detail.trouble or None,
        "untold": detail.untold or None,
    }


_LINK = re.compile(r"\[([^\]]+)\]\(\w+\.md\)")


def runbook(
    name: Annotated[str, typer.Argument(help="The alert.", autocompletion=completes("alerts"))],
    language: Annotated[
        Literal["en", "ja"] | None,
        typer.Option("--lang", help="Language.", show_default="the spec's, else the terminal's"),
    ] = None,
    *,
    place: SpecPlace,
    out: QuietOutput,
) -> None:
    """Show what an alert means, how to check and how to fix it.

    Needs no stack and no spec. With a spec, the commands in the text contain the stack's ports and logins. In
    a pipe, the output is plain Markdown.

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
                "The spec can't be read, so the commands below use the default ports ({message}){chosen}.",
                message=error.message,
                chosen=chosen,
            )
        )
        return None


def _of_stack(page: Runbook, project: Project) -> Runbook:
    from techsapo_ops.services.prometheus.scrape import (
        own_commands,  # a runbook without a spec needs none of it
    )

    hosts = len(project.spec.hosts)
    try:
        return page.of_stack(own_commands(topology_for(project)), hosts=hosts)
    except OpsError:
        return page.of_stack({}, hosts=hosts)
