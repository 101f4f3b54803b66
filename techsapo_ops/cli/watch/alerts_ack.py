"""`techsapo alerts ack`, and what all commands of `techsapo alerts` are given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher
from techsapo_ops.apply.administration import recorded
from techsapo_ops.catalogue.alerts import WATCHDOG, Alert
from techsapo_ops.cli.arguments import completes, span_of
from techsapo_ops.cli.environment import acting_user
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.cli.output import Output
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.alertmanager.acknowledging import (
    Acknowledgement,
    Claim,
    acknowledge,
    withdraw,
)
from techsapo_ops.services.alertmanager.silencing import (
    SHORTEST,
    WHY_NOT_WATCHDOG,
    moment_text,
    mutes_watchdog,
)
from techsapo_ops.services.monitoring import alertmanager_of
from techsapo_ops.watch.alerts.firing import firing, held_now, known

if TYPE_CHECKING:
    from techsapo_ops.adapters.alertmanager import Silence
    from techsapo_ops.stack.stack import Stack


def severity_text(alert: Alert) -> str:
    """Its severity, and that it wakes people, where it does."""
    return f"{alert.severity}, page" if alert.page else alert.severity


def matchers(name: str | None, given: Sequence[str]) -> list[Matcher]:
    """Of the alert `name` and of `--matcher`. Raises OpsError for what is none."""
    try:
        parsed = [Matcher.parse(text) for text in given]
    except ValueError as error:
        raise OpsError(msg("--matcher: {error}", error=error), exit_code=2) from None
    return [*([Matcher("alertname", "=", known(name).name)] if name is not None else []), *parsed]


def until(duration: str) -> datetime:
    """When what begins now and has the length of `--for` ends. Raises OpsError for no such length."""
    length = span_of("--for", duration)
    if length.total_seconds() < SHORTEST:
        raise OpsError(
            msg("--for must be at least {shortest:g} s", shortest=SHORTEST),
            msg("write e.g. 30m or 2h; the minimum is 1m"),
            exit_code=2,
        )
    return datetime.now(UTC) + length


def refuse_watchdog(wanted: Sequence[Matcher]) -> None:
    """Raise OpsError where a silence of `wanted` would hold for Watchdog."""
    if not mutes_watchdog(wanted):
        return
    alone = any(m.name == "alertname" and m.operator == "=" for m in wanted)
    raise OpsError(
        msg(
            "{watchdog} can't be silenced: {why_not_watchdog}",
            watchdog=WATCHDOG,
            why_not_watchdog=WHY_NOT_WATCHDOG,
        )
        if alone
        else msg(
            "this silence would also silence {watchdog}: {why_not_watchdog}",
            watchdog=WATCHDOG,
            why_not_watchdog=WHY_NOT_WATCHDOG,
        ),
        msg("pause the check at the external watcher (`notifications.watchdog`)")
        if alone
        else msg("add `-m alertname!={watchdog}`", watchdog=WATCHDOG),
        exit_code=2,
    )


def alertmanager_in(stack: Stack) -> Alertmanager:
    """The stack's own. Raises OpsError where it runs none."""
    server = alertmanager_of(stack)
    if server is None:
        raise OpsError(
            msg("this stack runs no Alertmanager"),
            msg("set `monitoring.alertmanager.enabled` to true, then `techsapo up`"),
        )
    return server


def ack(
    name: Annotated[
        str | None, typer.Argument(help="The alert.", show_default=False, autocompletion=completes("alerts"))
    ] = None,
    matcher: Annotated[
        list[str] | None,
        typer.Option("--matcher", "-m", help="Only alerts with a matching label: name=value, !=, =~ or !~."),
    ] = None,
    duration: Annotated[
        str, typer.Option("--for", help="Maximum duration of the acknowledgement, e.g. 2h.")
    ] = "8h",
    by: Annotated[
        str | None, typer.Option("--by", help="Who works on the alert.", show_default="you")
    ] = None,
    comment: Annotated[str, typer.Option("--comment", "-c", help="What you are doing about the alert.")] = "",
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Take the alert over from somebody else.")
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Undo the acknowledgement; with --by, only that person's.")
    ] = False,
    show: Annotated[bool, typer.Option("--list", help="List the acknowledged alerts.")] = False,
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Acknowledge a firing alert, so that the next receivers (`notifications.next`) are not notified.

    The acknowledgement ends with the alert; if the alert fires again, acknowledge it again. Notifications of
    the alert itself continue, and name the person who works on the alert. This command also works while the
    app is down.

    Examples:

      techsapo alerts ack AppDown

      techsapo alerts ack ProviderDown -m provider=claude --by hanako --for 2h -c "asking the vendor"

      techsapo alerts ack --list

      techsapo alerts ack AppDown --undo
    """
    if (name is None) != show or (show and (undo or take_over)) or (undo and take_over):
        raise OpsError(
            msg("name an alert, or pass --list"),
            msg("e.g. `techsapo alerts ack AppDown`; add --undo to withdraw the acknowledgement"),
            exit_code=2,
        )
    only = matchers(name, matcher or [])
    ends = until(duration)
    who = " ".join((_you() if by is None else by).split())
    claim = Claim(who, ends, " ".join(comment.split()), take_over)
    stack = open_stack(place.open())
    server = alertmanager_in(stack)
    if show:
        _list(held_now(stack, server), out)
    elif undo:
        _undo(stack, server, only, None if by is None else who, out)
    else:
        _acknowledge(stack, server, only, claim, out)


def _you() -> str:
    from techsapo_ops.adapters.users import actor

    person = actor()
    return str(person.get("sudo") or person.get("login") or acting_user())


def _acknowledge(
    stack: Stack, server: Alertmanager, only: Sequence[Matcher], claim: Claim, out: Output
) -> None:
    wanted = firing(stack, only)
    what = {
        "matchers": [str(m) for m in only],
        "by": claim.by,
        "until": claim.until.isoformat(timespec="seconds"),
        "comment": claim.comment,
    }
    with recorded(stack.layout, msg("alerts ack"), what, out.warn) as known:
        made = acknowledge(server, wanted, claim)
        known["acknowledged"] = [str(each.episode) for each in made]
    if out.as_json:
        out.json({"acknowledged": [acknowledgement_json(each) for each in made]})
        return
    for each in made:
        out.data(
            msg(
                "{by} has acknowledged {episode}, until {moment_text} at the latest",
                by=each.by,
                episode=each.episode,
                moment_text=moment_text(each.until),
            )
        )
    if not stack.spec.notifications.next:
        out.say(
            msg(
                "This stack has no `notifications.next`, so an acknowledgement only shows who works on "
                "the alert."
            )
        )
    own = [each.episode for each in made]
    if lost := [str(episode) for episode in wanted if episode not in own]:
        out.warn(
            msg(
                "somebody else acknowledged or released {lost} at the same moment: see `techsapo alerts ack "
                "--list`",
                lost=", ".join(lost),
            )
        )
    out.next(f"techsapo alerts ack {made[0].episode.alert} --undo")


def _undo(stack: Stack, server: Alertmanager, only: Sequence[Matcher], by: str | None, out: Output) -> None:
    held = [each for each in held_now(stack, server) if all(m.holds(each.episode.labels) for m in only)]
    if not held:
        raise OpsError(
            msg("nobody has acknowledged an alert with {only}", only=" and ".join(str(m) for m in only)),
            msg("`techsapo alerts ack --list` lists the acknowledgements"),
        )
    if by is not None:
        others = "; ".join(str(each) for each in held if each.by != by)
        held = [each for each in held if each.by == by]
        if not held:
            raise OpsError(
                msg("{by} has acknowledged none of these alerts: {others}", by=by, others=others),
                msg("without --by, the command undoes the acknowledgements of everybody"),
            )
    what = {"acknowledged": [str(each.episode) for each in held], "by": sorted({a.by for a in held})}
    with recorded(stack.layout, msg("alerts ack --undo"), what, out.warn):
        withdraw(server, held)
    if out.as_json:
        out.json({"ended": [acknowledgement_json(each) for each in held]})
    for each in held:
        out.say(
            msg("{episode} is no longer acknowledged (it was by {by}).", episode=each.episode, by=each.by)
        )


def _list(acknowledgements: Sequence[Acknowledgement], out: Output) -> None:
    if out.as_json:
        out.json({"acknowledgements": [acknowledgement_json(each) for each in acknowledgements]})
    elif not acknowledgements:
        out.say(msg("No firing alert is acknowledged."))
    else:
        rows = [
            (a.episode.alert, a.episode.of, a.by, moment_text(a.at), moment_text(a.until), a.own_comment)
            for a in acknowledgements
        ]
        out.table(("alert", "of", "by", "since", "until", "comment"), rows)


def acknowledgement_json(given: Acknowledgement) -> dict[str, Any]:
    """As `--json` has it."""
    return {
        "id": given.id,
        "alert": given.episode.alert,
        "labels": dict(given.episode.labels),
        "fires_since": given.episode.began.isoformat(),
        "by": given.by,
        "at": given.at.isoformat(),
        "until": given.until.astimezone(UTC).isoformat(),
        "comment": given.own_comment,
    }


def silence_json(silence: Silence) -> dict[str, Any]:
    """As `--json` has it."""
    return {
        "id": silence.id,
        "state": silence.state,
        "matchers": [str(m) for m in silence.matchers],
        "starts": silence.starts.isoformat(),
        "ends": silence.ends.isoformat(),
        "created_by": silence.created_by,
        "comment": silence.comment,
    }
