"""What fires, what could, and whether a notification would arrive."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import yaml

from techsapo_ops.adapters.alertmanager import Alert as Held
from techsapo_ops.adapters.alertmanager import Alertmanager, Sent
from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.alerts import WATCHDOG, Alert, alerts
from techsapo_ops.catalogue.rules import NEXT
from techsapo_ops.errors import OpsError
from techsapo_ops.services.alertmanager.acknowledging import Acknowledgement, holders
from techsapo_ops.services.alertmanager.beginnings import began_of
from techsapo_ops.services.alertmanager.configuration import TEST_LABEL, WATCHDOG_RECEIVER
from techsapo_ops.services.alertmanager.kind import Alertmanager as AlertmanagerKind
from techsapo_ops.services.loaded_configuration import Server, server_of
from techsapo_ops.services.prometheus.alert_rules import alert_rule, help_with
from techsapo_ops.services.prometheus.kind import Prometheus as PrometheusKind
from techsapo_ops.services.prometheus.scrape import own_commands
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.stack import Stack

State = Literal["firing", "pending", "silenced", "inhibited", "quiet", "off", "unknown"]
ORDER: tuple[State, ...] = ("firing", "pending", "silenced", "inhibited", "unknown", "quiet", "off")
"""From what needs a look down to what does not."""
POLL = 0.2
"""Seconds between looks at Alertmanager's counters."""


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
    """Every alert, those that fire first; where so, why states are not known, and why nobody is told."""

    alerts: tuple[Listed, ...]
    trouble: str = ""
    untold: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a synthetic alert fared on its way: seconds until Alertmanager had told each of `integrations`."""

    receiver: str
    integrations: tuple[str, ...]
    seconds: float


def prometheus_of(stack: Stack) -> Prometheus | None:
    """The stack's Prometheus, as this host reaches it."""
    server = _server(stack, PrometheusKind.facts.kind)
    return Prometheus(server.url, login=server.login) if server else None


def alertmanager_of(stack: Stack) -> Alertmanager | None:
    """The stack's Alertmanager, as this host reaches it."""
    server = _server(stack, AlertmanagerKind.facts.kind)
    return Alertmanager(server.url, login=server.login) if server else None


def _server(stack: Stack, kind: str) -> Server | None:
    services = stack.topology.of_kind(kind)
    return server_of(stack.topology, services[0]) if services else None


def listed(stack: Stack, prometheus: Prometheus | None, alertmanager: Alertmanager | None) -> Listing:
    """Every alert as Prometheus has it, and as Alertmanager holds it back.

    None stands for a server that the stack does not run.
    """
    held: Sequence[Held] = ()
    had: Mapping[frozenset[tuple[str, str]], Acknowledgement] = {}
    untold = ""
    try:
        waiting = prometheus.alerts() if prometheus is not None else None
        trouble = "" if waiting is not None else "this stack runs no Prometheus"
        if alertmanager is not None:
            # What fires is what Prometheus says: that nobody is told is no reason not to show it here.
            held, untold = _held(alertmanager)
            if prometheus is not None and not untold:
                had = holders(prometheus, alertmanager)
    except (Unreachable, ApiError) as error:
        waiting, had, trouble = None, {}, error.message
    found: list[Listed] = []
    spec, topology = stack.spec, stack.topology
    # Prometheus adds these where it sends an alert, and shows it without them.
    added = spec.monitoring.prometheus.external_labels.items()
    sent = {frozenset(a.labels.items() - added): a for a in held}
    muted = {labels: a for labels, a in sent.items() if a.state == "suppressed"}
    began = {labels: a.starts_at for labels, a in sent.items()}
    for alert in alerts().values():
        settings = spec.monitoring.alerts.get(alert.name)
        rule = alert_rule(spec, alert, ())
        quiet = Listed(alert, "quiet", rule, {}, alert.summary[spec.locale])
        mine = [w for w in waiting or () if w.labels.get("alertname") == alert.name and NEXT not in w.labels]
        disabled = settings is not None and not settings.enabled
        if disabled or (alert.exporter is not None and not topology.has(alert.exporter)):
            found.append(replace(quiet, state="off"))
        elif waiting is None:
            found.append(replace(quiet, state="unknown"))
        elif not mine:
            found.append(quiet)
        for one in mine:
            state: State = "firing" if one.state == "firing" else "pending"
            hushed = muted.get(_identity(one.labels))
            if hushed is not None:
                state = "silenced" if hushed.silenced else "inhibited"
            summary = one.annotations.get("summary", "")
            holder = had.get(_identity(one.labels))
            since = began_of(one, began)
            found.append(Listed(alert, state, rule, one.labels, summary, since, holder))
    return Listing(tuple(sorted(found, key=lambda f: ORDER.index(f.state))), trouble, untold)


def _held(alertmanager: Alertmanager) -> tuple[Sequence[Held], str]:
    """What Alertmanager has, and why nobody is told where it does not say."""
    try:
        return alertmanager.alerts(), ""
    except Unreachable as error:
        return (), f"Alertmanager does not answer: nobody is told ({error.message})"
    except ApiError as error:
        return (), f"Alertmanager answers with an error: maybe nobody is told ({error.message})"


def known(name: str) -> Alert:
    """The alert of that name. Raises OpsError for none."""
    alert = alerts().get(name)
    if alert is None:
        from techsapo_ops.spec.problems import did_you_mean

        hint = did_you_mean(name, alerts()) or "`techsapo alerts list` lists them"
        raise OpsError(f"there is no alert {name}", hint, exit_code=2)
    return alert


def try_out(
    stack: Stack,
    alert: Alert,
    server: Alertmanager,
    *,
    within: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Delivery:
    """Send a synthetic `alert` and wait, at most `within` seconds, until Alertmanager has told its receiver.

    It carries the alert's own severity and priority, but a service of its own, so that it neither joins the
    group of a real one nor is muted by a worse one. Alertmanager counts notifications by receiver and
    integration: one that a real alert sends there at that very moment can't be told apart. The alert ends
    with this call.
    Raises OpsError where it reaches nobody, was refused, or is not sent in time.
    """
    spec = stack.spec
    receiver = WATCHDOG_RECEIVER if alert.name == WATCHDOG else alert.severity
    integrations = _integrations(server.status().config, receiver)
    if not integrations:
        raise OpsError(
            f"{alert.name} goes to the receiver {receiver}, which tells nobody",
            f"add a receiver to notifications.{receiver}, then `techsapo up`",
        )
    number = uuid.uuid4().hex[:8]
    labels = {
        "alertname": alert.name,
        "severity": alert.severity,
        "priority": alert.priority,
        "service": f"test-{number}",
        TEST_LABEL: number,
    }
    text = {
        "ja": "これは通知の試験です。対応は要りません。",
        "en": "This is a test of notifications. Nothing is wrong.",
    }
    annotations = {
        "summary": f"[TEST] {alert.name}",
        "description": text[spec.locale],
        **help_with(spec, alert, own_commands(stack.topology)),
    }
    before, started = server.sent(receiver), clock()
    server.post(labels, annotations, datetime.now(UTC) + timedelta(seconds=within + 60))
    try:
        while clock() - started < within:
            pause(POLL)
            now = server.sent(receiver)
            failed = [i for i in integrations if _risen(before, now, i, "failed")]
            if failed:
                raise OpsError(
                    f"Alertmanager could not deliver to {', '.join(failed)} of receiver {receiver}",
                    "`techsapo logs alertmanager -n 20` has the receiver's answer",
                )
            if all(_risen(before, now, i, "attempted") for i in integrations):
                return Delivery(receiver, integrations, clock() - started)
        raise OpsError(f"no notification within {within:g} s", _why_late(spec, server, labels, alert))
    finally:
        server.post(labels, annotations, datetime.now(UTC))


def _why_late(spec: Spec, server: Alertmanager, labels: Mapping[str, str], alert: Alert) -> str:
    held = next((a for a in server.alerts() if a.labels == labels), None)
    if held is None:
        return "Alertmanager does not hold the alert: see `techsapo logs alertmanager -n 20`"
    if held.silenced:
        return "a silence matches it: `techsapo alerts silence --list` shows which"
    if spec.notifications.business_hours is not None and alert.priority == "P2":
        return "it may wait for notifications.business_hours, as alerts of priority P2 do"
    return "monitoring.alertmanager.group_wait may be longer than that: wait longer with --within"


def _integrations(config: str, receiver: str) -> tuple[str, ...]:
    """The integrations of a receiver, as Alertmanager's metrics name them."""
    receivers: Sequence[Mapping[str, Any]] = yaml.safe_load(config).get("receivers") or ()
    for entry in receivers:
        if entry["name"] == receiver:
            return tuple(k.removesuffix("_configs") for k, v in entry.items() if k.endswith("_configs") and v)
    return ()


def _risen(before: Mapping[str, Sent], now: Mapping[str, Sent], integration: str, what: str) -> bool:
    nothing = Sent(0, 0)
    return bool(
        getattr(now.get(integration, nothing), what) > getattr(before.get(integration, nothing), what)
    )


def _identity(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())
