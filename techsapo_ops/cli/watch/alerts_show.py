"""`techsapo alerts show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.cli.completes import completes
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.watch.alert_arguments import severity_text
from techsapo_ops.cli.watch.alerts_ack import acknowledgement_json, silence_json
from techsapo_ops.messages import msg
from techsapo_ops.services.alertmanager.silencing import moment_text
from techsapo_ops.services.monitoring import alertmanager_of, prometheus_of
from techsapo_ops.watch.alerts.firing import known
from techsapo_ops.watch.alerts.one_alert import OneAlert, one_alert

if TYPE_CHECKING:
    from techsapo_ops.watch.alerts.firing import Listed

_LABEL = 10


def show(
    name: Annotated[str, typer.Argument(help="The alert.", autocompletion=completes("alerts"))],
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Show one alert: whether it fires, since when, who has it, whom it tells, and what to do first.

    Examples:

      techsapo alerts show AppDown

      techsapo alerts show ProviderDown --json
    """
    alert = known(name)
    stack = open_stack(place.open())
    found = one_alert(stack, alert, prometheus_of(stack), alertmanager_of(stack))
    if out.as_json:
        out.json(_json(found, stack.spec.locale))
        return
    if found.trouble:
        out.warn(msg("its state is not known: {trouble}", trouble=found.trouble))
    if found.untold:
        out.warn(found.untold)
    _print(found, stack.spec.locale, out)
    if any(each.state == "firing" and each.acknowledged is None for each in found.now):
        out.next(f"techsapo alerts ack {name}")
    else:
        out.next(f"techsapo alerts runbook {name}")


def _print(found: OneAlert, locale: str, out: Output) -> None:
    alert = found.alert

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
    line(msg("means"), found.runbook.meaning(locale))
    for each in found.now:
        line(msg("state"), _state(each))
        if each.since is not None:
            line("", each.summary)
            if labels := ", ".join(f"{k}={v}" for k, v in sorted(each.labels.items()) if k != "alertname"):
                line("", labels)
    for silence in found.silences:
        matchers = ", ".join(map(str, silence.matchers))
        why = f": {silence.comment}" if silence.comment else ""
        ends = moment_text(silence.ends)
        held = msg("{id} ({matchers}) by {by} until {ends}", id=silence.id[:8], matchers=matchers,
                   by=silence.created_by, ends=ends)  # fmt: skip
        line(msg("silence"), held + why)
    line(msg("tells"), ", ".join(found.receivers) or msg("nobody"))
    line(msg("rule"), f"{' '.join(str(found.rule['expr']).split())}")
    line(msg("for"), str(found.rule.get("for", "0s")))
    for number, step in enumerate(found.runbook.steps(locale), 1):
        line(msg("do first") if number == 1 else "", f"{number}. {step}")
    line(msg("runbook"), found.runbook_url)


def _state(each: Listed) -> str:
    if each.since is None:
        return each.state
    held = each.acknowledged
    who = "" if each.state != "firing" else msg("; nobody has it")
    if held is not None:
        who = msg("; {by} has it until {moment_text}", by=held.by, moment_text=moment_text(held.until))
        who += msg(" ({comment})", comment=held.own_comment) if held.own_comment else ""
    return msg(
        "{state} since {moment_text}{who}", state=each.state, moment_text=moment_text(each.since), who=who
    )


def _json(found: OneAlert, locale: str) -> dict[str, Any]:
    alert = found.alert
    return {
        "name": alert.name,
        "severity": alert.severity,
        "page": alert.page,
        "priority": alert.priority,
        "service": alert.service,
        "meaning": found.runbook.meaning(locale),
        "expr": found.rule["expr"],
        "for": found.rule.get("for", "0s"),
        "states": [
            {
                "state": each.state,
                "since": each.since,
                "summary": each.summary if each.since is not None else None,
                "labels": each.labels,
                "acknowledged": acknowledgement_json(each.acknowledged) if each.acknowledged else None,
            }
            for each in found.now
        ],
        "silences": [silence_json(silence) for silence in found.silences],
        "receivers": list(found.receivers),
        "steps": list(found.runbook.steps(locale)),
        "runbook": found.runbook_url,
        "trouble": found.trouble or None,
        "untold": found.untold or None,
    }
