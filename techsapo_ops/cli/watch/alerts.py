"""`techsapo alerts`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher
from techsapo_ops.apply.administration import recorded
from techsapo_ops.catalogue.alerts import WATCHDOG
from techsapo_ops.cli.arguments import completes
from techsapo_ops.cli.environment import acting_user
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import JsonOutput, QuietOutput, SpecPlace
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.typer_base import CommandGroup
from techsapo_ops.cli.watch.alerts_ack import (
    ack,
    acknowledgement_json,
    alertmanager_in,
    matchers,
    refuse_watchdog,
    severity_text,
    silence_json,
    until,
)
from techsapo_ops.cli.watch.alerts_show import runbook, show
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.alertmanager.acknowledging import acknowledgements_of
from techsapo_ops.services.alertmanager.silencing import moment_text
from techsapo_ops.services.monitoring import alertmanager_of, prometheus_of
from techsapo_ops.stack.stack import Stack
from techsapo_ops.watch.alerts.delivery import try_out, unreached_lines
from techsapo_ops.watch.alerts.firing import known, listed

if TYPE_CHECKING:
    from techsapo_ops.watch.alerts.firing import Listed

app = CommandGroup()


@app.command(name="list")
def list_alerts(
    firing: Annotated[bool, typer.Option("--firing", help="Only alerts whose condition holds.")] = False,
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """List every alert and its state, firing alerts first.

    `pending` means that the condition holds, but not for long enough yet. `silenced` means that a silence
    stops the notifications. `inhibited` means that another firing alert names the cause, or reports the same
    problem at a higher severity. `off` means that the alert is disabled in the spec, or that the stack does
    not run the exporter of that service. The column SINCE shows when the alert began to fire; for a pending
    alert, when its condition began to hold.

    Examples:

      techsapo alerts list

      techsapo alerts list --firing --json
    """
    stack = open_stack(place.open())
    listing = listed(stack, prometheus_of(stack), alertmanager_of(stack))
    alerts, trouble = listing.alerts, listing.trouble
    shown = [f for f in alerts if not firing or f.since is not None]
    if out.as_json:
        out.json(
            {
                "alerts": [_json(f) for f in shown],
                "trouble": trouble or None,
                "untold": listing.untold or None,
                "unreached": list(stack.spec.unreached),
            }
        )
        return
    if trouble:
        out.warn(msg("the states of the alerts are unknown: {trouble}", trouble=trouble))
    if listing.untold:
        out.warn(listing.untold)
    if shown:
        out.table(
            ("alert", "state", "severity", "priority", "since", "acknowledged", "summary"),
            [_row(f) for f in shown],
        )
    elif firing and not trouble:
        out.say(
            msg(
                "No alert is firing; {count} alerts are watched.", count=sum(f.state != "off" for f in alerts)
            )
        )
    for line in unreached_lines(stack.spec):
        out.say(line)
    noisy = next((f for f in alerts if f.state == "firing" and f.alert.name != WATCHDOG), None)
    if noisy is not None:
        out.next(f"techsapo alerts runbook {noisy.alert.name}")


app.command(name="show")(show)


@app.command()
def silence(
    name: Annotated[
        str | None, typer.Argument(help="The alert.", show_default="any", autocompletion=completes("alerts"))
    ] = None,
    matcher: Annotated[
        list[str] | None,
        typer.Option("--matcher", "-m", help="Only alerts with a matching label: name=value, !=, =~ or !~."),
    ] = None,
    duration: Annotated[
        str, typer.Option("--for", help="How long the silence lasts, e.g. 30m or 2h.")
    ] = "1h",
    comment: Annotated[str, typer.Option("--comment", "-c", help="The reason, for your colleagues.")] = "",
    show: Annotated[bool, typer.Option("--list", help="List the silences.")] = False,
    expire: Annotated[str | None, typer.Option("--expire", metavar="ID", help="End a silence now.")] = None,
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Send no notifications of an alert for a while, e.g. during maintenance.

    Examples:

      techsapo alerts silence MemoryHigh --for 2h --comment "load test"

      techsapo alerts silence -m instance=app-2 -m severity=~"warning|info" --for 30m -c "new disk"

      techsapo alerts silence --list

      techsapo alerts silence --expire 5f1f1e0c
    """
    if (name is not None or bool(matcher)) + show + (expire is not None) != 1:
        raise OpsError(
            msg("name an alert to silence, or pass --list or --expire ID"),
            msg('`techsapo alerts silence MemoryHigh --for 2h --comment "why"`'),
            exit_code=2,
        )
    wanted = matchers(name, matcher or [])
    ends = until(duration)
    if wanted and not comment.strip():
        raise OpsError(
            msg("a silence needs a reason"),
            msg("add --comment TEXT: others will see this reason"),
            exit_code=2,
        )
    stack = open_stack(place.open())
    if wanted:
        refuse_watchdog(wanted)
    server = alertmanager_in(stack)
    if expire is not None:
        _expire(stack, server, expire, out)
    elif show:
        _list_silences(server, out)
    else:
        what = {
            "matchers": [str(m) for m in wanted],
            "until": ends.isoformat(timespec="seconds"),
            "comment": comment.strip(),
        }
        with recorded(stack.layout, msg("alerts silence"), what, out.warn) as known:
            made = server.silence(wanted, datetime.now(UTC), ends, acting_user(), comment.strip())
            known["silence"] = made
        _silenced(made, wanted, ends, out)


app.command(name="ack")(ack)
app.command()(runbook)


@app.command(name="test")
def try_alert(
    name: Annotated[str, typer.Argument(help="The alert.", autocompletion=completes("alerts"))],
    within: Annotated[
        float, typer.Option("--within", metavar="SECONDS", min=1, max=900, help="How long to wait.")
    ] = 60.0,
    *,
    place: SpecPlace,
    out: QuietOutput,
) -> None:
    """Send a test alert to its receiver, and measure how long the delivery takes.

    Alertmanager's own counters show when the receiver accepted the alert. If the receiver did not accept it,
    an error is shown and the exit code is 1. The message says that it is a test; a second message follows
    when the alert resolves.

    Examples:

      techsapo alerts test ProviderDown
    """
    alert = known(name)
    stack = open_stack(place.open())
    alert = alert.of_stack(hosts=len(stack.spec.hosts))
    server = alertmanager_in(stack)
    out.say(
        msg(
            "sending a test alert {name} ({severity}) and waiting for Alertmanager to deliver it …",
            name=name,
            severity=alert.severity,
        )
    )
    arrived = try_out(stack, alert, server, within=within)
    integrations = ", ".join(arrived.integrations)
    out.data(
        msg(
            "alert {name} reached receiver {receiver} ({integrations}) in {seconds:.1f} s",
            name=name,
            receiver=arrived.receiver,
            integrations=integrations,
            seconds=arrived.seconds,
        )
    )


def _silenced(made: str, wanted: list[Matcher], ends: datetime, out: Output) -> None:
    if out.as_json:
        out.json({"id": made, "until": ends.isoformat(), "matchers": [str(m) for m in wanted]})
        return
    out.data(made)
    matching = ", ".join(str(m) for m in wanted)
    out.say(
        msg(
            "Nobody is notified of alerts with {matchers} until {moment_text}.",
            matchers=matching,
            moment_text=moment_text(ends),
        )
    )
    out.next(f"techsapo alerts silence --expire {made[:8]}")


def _list_silences(server: Alertmanager, out: Output) -> None:
    silences = [s for s in server.silences() if s.state != "expired"]
    if out.as_json:
        out.json({"silences": [silence_json(s) for s in silences]})
    elif not silences:
        out.say(msg("There are no silences."))
    else:
        held = {each.id: each for each in acknowledgements_of(silences)}
        rows = [
            (
                s.id[:8],
                msg("acknowledged: {episode}", episode=held[s.id].episode)
                if s.id in held
                else ", ".join(map(str, s.matchers)),
                moment_text(s.ends),
                s.created_by,
                held[s.id].own_comment if s.id in held else s.comment,
            )
            for s in silences
        ]
        out.table(("id", "matches", "until", "by", "comment"), rows)


def _expire(stack: Stack, server: Alertmanager, wanted: str, out: Output) -> None:
    silences = [s for s in server.silences() if s.state != "expired"]
    matches = [s for s in silences if s.id.startswith(wanted)]
    if len(matches) != 1:
        known = ", ".join(s.id[:8] for s in silences) or msg("none")
        raise OpsError(
            msg("the ids of several silences begin with {wanted}", wanted=wanted)
            if matches
            else msg("there is no active silence with the id {wanted}", wanted=wanted),
            msg("active silences: {known}", known=known),
            exit_code=2,
        )
    ending = {"silence": matches[0].id, "matchers": [str(m) for m in matches[0].matchers]}
    with recorded(stack.layout, msg("alerts silence --expire"), ending, out.warn):
        server.expire(matches[0].id)
    if out.as_json:
        out.json({"expired": matches[0].id})
    out.say(
        msg(
            "ended silence {id} ({matchers})",
            id=matches[0].id[:8],
            matchers=", ".join(str(m) for m in matches[0].matchers),
        )
    )


def _row(listed: Listed) -> tuple[object, ...]:
    return (
        listed.alert.name,
        listed.state,
        severity_text(listed.alert),
        listed.alert.priority,
        moment_text(listed.since) if listed.since else "",
        listed.acknowledged.by if listed.acknowledged else "",
        listed.summary if listed.since else "",
    )


def _json(listed: Listed) -> dict[str, Any]:
    alert = listed.alert
    return {
        "name": alert.name,
        "state": listed.state,
        "severity": alert.severity,
        "page": alert.page,
        "priority": alert.priority,
        "service": alert.service,
        "for": listed.rule.get("for", "0s"),
        "expr": listed.rule["expr"],
        "runbook": listed.rule["annotations"]["runbook_url"],
        "since": listed.since,
        "summary": listed.summary if listed.since else None,
        "labels": listed.labels,
        "acknowledged": acknowledgement_json(listed.acknowledged) if listed.acknowledged else None,
    }
