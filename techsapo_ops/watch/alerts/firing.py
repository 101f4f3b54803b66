"""What fires, what could, and who has it; and all that is known of one alert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from techsapo_ops.adapters.alertmanager import Alert as Held
from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher, Silence
from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.alerts import WATCHDOG, Alert, alerts
from techsapo_ops.catalogue.pages import Runbook, runbooks
from techsapo_ops.catalogue.series import NEXT
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import all_of, msg
from techsapo_ops.services.alertmanager.acknowledging import (
    Acknowledgement,
    Episode,
    acknowledgements_of,
    episodes,
    holders,
)
from techsapo_ops.services.alertmanager.silencing import Labels, began_of, beginnings, muted
from techsapo_ops.services.monitoring import prometheus_of
from techsapo_ops.services.prometheus.alert_rules import alert_rule, alerts_of, runbook_url
from techsapo_ops.services.prometheus.scrape import own_commands
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.stack import Stack

State = Literal["firing", "pending", "silenced", "inhibited", "quiet", "off", "unknown"]
ORDER: tuple[State, ...] = ("firing", "pending", "silenced", "inhibited", "unknown", "quiet", "off")
"""From what needs a look down to what does not."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An alert of the catalogue, or one of those that it fires. `since` is when it began to fire, of a
    pending one when its condition did.
    """

    alert: Alert
    state: State
    rule: Mapping[str, Any]
    """The rule as Prometheus runs it, the spec's changes included."""
    labels: Mapping[str, str]
    summary: str
    since: datetime | None = None
    acknowledged: Acknowledgement | None = None
    """Who has it."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Every alert, those that fire first; where so, why states are not known, and why nobody is notified."""

    alerts: tuple[Listed, ...]
    trouble: str = ""
    untold: str = ""


def listed(stack: Stack, prometheus: Prometheus | None, alertmanager: Alertmanager | None) -> Listing:
    """Every alert as Prometheus has it, and as Alertmanager holds it back.

    None is a server that the stack does not run.
    """
    had: Mapping[Labels, Acknowledgement] = {}
    # Each is asked for itself: what fires is what Prometheus says, also where nobody is notified.
    held, untold = _held(alertmanager) if alertmanager is not None else ((), "")
    try:
        waiting = prometheus.alerts() if prometheus is not None else None
        trouble = "" if waiting is not None else msg("this stack runs no Prometheus")
        if prometheus is not None and alertmanager is not None and not untold:
            had = holders(prometheus, alertmanager)
    except (Unreachable, ApiError) as error:
        waiting, had, trouble = None, {}, error.message
    rows: list[Listed] = []
    spec, topology = stack.spec, stack.topology
    hushed, began = muted(held, ()), beginnings(held)
    for alert in alerts_of(spec).values():
        settings = spec.monitoring.alerts.get(alert.name)
        rule = alert_rule(spec, alert, ())
        quiet = Listed(alert, "quiet", rule, {}, alert.summary[spec.locale])
        mine = [w for w in waiting or () if w.labels.get("alertname") == alert.name and NEXT not in w.labels]
        disabled = settings is not None and not settings.enabled
        if disabled or (alert.exporter is not None and not topology.has(alert.exporter)):
            rows.append(replace(quiet, state="off"))
        elif waiting is None:
            rows.append(replace(quiet, state="unknown"))
        elif not mine:
            rows.append(quiet)
        for one in mine:
            state: State = "firing" if one.state == "firing" else "pending"
            if (mute := hushed.get(_identity(one.labels))) is not None:
                state = mute.why
            summary = one.annotations.get("summary", "")
            holder = had.get(_identity(one.labels))
            since = began_of(one, began)
            rows.append(Listed(alert, state, rule, one.labels, summary, since, holder))
    return Listing(tuple(sorted(rows, key=lambda f: ORDER.index(f.state))), trouble, untold)


def _held(alertmanager: Alertmanager) -> tuple[Sequence[Held], str]:
    """What Alertmanager has, and why nobody is notified where it does not answer."""
    try:
        return alertmanager.alerts(), ""
    except Unreachable as error:
        return (), msg("Alertmanager does not answer: nobody is notified ({message})", message=error.message)
    except ApiError as error:
        return (), msg(
            "Alertmanager answers with an error, so notifications may not be sent ({message})",
            message=error.message,
        )


def known(name: str) -> Alert:
    """The alert of that name. Raises OpsError for none."""
    alert = alerts().get(name)
    if alert is None:
        from techsapo_ops.spec.problems import unknown

        raise unknown(msg("alert"), name, alerts())
    return alert


def _identity(labels: Mapping[str, str]) -> Labels:
    return frozenset(labels.items())


def firing(stack: Stack, only: Sequence[Matcher]) -> tuple[Episode, ...]:
    """What fires and matches. Raises OpsError where nothing does, and says what else holds of it."""
    prometheus = _prometheus(stack)
    matching = tuple(i for i in episodes(prometheus) if all(m.holds(i.labels) for m in only))
    if matching:
        return matching
    what = all_of(str(m) for m in only)
    if Matcher("alertname", "=", WATCHDOG) in only:
        raise OpsError(msg("{watchdog} always fires and needs no action", watchdog=WATCHDOG), exit_code=2)
    states = {
        f.state for f in prometheus.alerts() if NEXT not in f.labels and all(m.holds(f.labels) for m in only)
    }
    if "firing" in states:
        raise OpsError(
            msg("an alert that matches {what} is firing, but Prometheus does not know since when", what=what),
            msg(
                "try again in a few seconds; if this error comes back, the alert rules are outdated: run "
                "`techsapo up`"
            ),
        )
    if "pending" in states:
        raise OpsError(
            msg("no firing alert matches {what}: the condition has not lasted long enough yet", what=what),
            msg("nobody has been notified yet"),
        )
    raise OpsError(
        msg("no firing alert matches {what}", what=what),
        msg("`techsapo alerts list --firing` lists the firing alerts"),
    )


def held_now(stack: Stack, alertmanager: Alertmanager) -> tuple[Acknowledgement, ...]:
    """Who has which of the alerts that fire."""
    return tuple(holders(_prometheus(stack), alertmanager).values())


def _prometheus(stack: Stack) -> Prometheus:
    prometheus = prometheus_of(stack)
    if prometheus is None:
        raise OpsError(
            msg("this stack runs no Prometheus, so no alert fires"),
            msg("set `monitoring.prometheus.enabled` to true, then `techsapo up`"),
        )
    return prometheus


@dataclass(frozen=True, slots=True)
class OneAlert:
    """`now` is its state, once for each that fires; `silences` are those that are about it alone or more.

    `receivers` are the kinds of those that it goes to, `runbook` its page with this stack's commands.
    `trouble` says why states are not known, `untold` why nobody is notified.
    """

    alert: Alert
    rule: Mapping[str, Any]
    now: tuple[Listed, ...]
    silences: tuple[Silence, ...]
    receivers: tuple[str, ...]
    runbook: Runbook
    runbook_url: str
    trouble: str
    untold: str


def one_alert(
    stack: Stack, alert: Alert, prometheus: Prometheus | None, alertmanager: Alertmanager | None
) -> OneAlert:
    """What is known of `alert`. None is a server that the stack does not run."""
    alert = alert.of_stack(hosts=len(stack.spec.hosts))
    listing = listed(stack, prometheus, alertmanager)
    now = tuple(each for each in listing.alerts if each.alert.name == alert.name)
    return OneAlert(
        alert,
        now[0].rule,
        now,
        _silences(alert, now, alertmanager),
        _receivers(stack.spec, alert),
        runbooks()[alert.name].of_stack(own_commands(stack.topology), hosts=len(stack.spec.hosts)),
        runbook_url(stack.spec, alert),
        listing.trouble,
        listing.untold,
    )


def _receivers(spec: Spec, alert: Alert) -> tuple[str, ...]:
    if not spec.monitoring.alertmanager.enabled:
        return ()
    notifications = spec.notifications
    given = {"critical": notifications.critical, "warning": notifications.warning, "info": notifications.info}
    names = notifications.paged if alert.page else given[alert.severity]
    return tuple(receiver.kind for receiver in notifications.named(names))


def _silences(
    alert: Alert, now: tuple[Listed, ...], alertmanager: Alertmanager | None
) -> tuple[Silence, ...]:
    """Those that hold for it as it is now; where it does not fire, those that name it."""
    if alertmanager is None:
        return ()
    try:
        current = [silence for silence in alertmanager.silences() if silence.state != "expired"]
    except (Unreachable, ApiError):  # `untold` says so
        return ()
    acknowledged = {each.id for each in acknowledgements_of(current)}
    labels = [dict(each.labels) for each in now if each.labels] or [
        {"alertname": alert.name, "severity": alert.severity, "priority": alert.priority}
    ]
    return tuple(
        silence
        for silence in current
        if silence.id not in acknowledged
        and any(all(matcher.holds(labelset) for matcher in silence.matchers) for labelset in labels)
    )
