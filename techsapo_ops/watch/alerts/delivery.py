"""Whether a notification would arrive, by a synthetic alert; and which alerts notify nobody."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from techsapo_ops.adapters.alertmanager import Alertmanager, Sent
from techsapo_ops.catalogue.alerts import PAGE, WATCHDOG, Alert
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.alertmanager.configuration import WATCHDOG_RECEIVER
from techsapo_ops.services.alertmanager.routes import TEST_LABEL, receiver_of
from techsapo_ops.services.prometheus.alert_rules import help_with
from techsapo_ops.spec import PRODUCTION
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.root import AT_ONCE
from techsapo_ops.stack.address import SETTING, leads_here_alone
from techsapo_ops.stack.health import HostFinding, Level
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology

POLL = 0.2
"""Seconds between looks at Alertmanager's counters."""
TRIES = 5
"""So many requests that fail, and none that does not: the next ones will fail as well."""
_HINT = msg("`techsapo logs alertmanager -n 20` says why")
_DESCRIPTION = {
    "ja": "これは通知の試験です。対応は要りません。",
    "en": "This is a test of notifications. Nothing is wrong.",
}
_OF_A_TEST = ("runbook_url", "dashboard_url")
"""What helps with a test: there is nothing to look at or to take on."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a synthetic alert fared on its way: seconds until each of `integrations` had taken it."""

    receiver: str
    integrations: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Synthetic:
    """An alert that Prometheus knows nothing of, and the receiver that Alertmanager's routes lead it to."""

    receiver: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def try_out(
    stack: Stack,
    alert: Alert,
    server: Alertmanager,
    *,
    within: float,
    clock: Callable[[], float] = time.monotonic,
) -> Delivery:
    """Send a synthetic `alert`, and wait, at most `within` seconds, until its receiver has taken it.

    It carries the alert's own severity, priority and page, but a service of its own, so that it neither joins
    the group of a real one nor is muted by a worse one. Alertmanager counts notifications by receiver and
    integration: one that a real alert sends there at that very moment, or that is still tried from before,
    can't be distinguished. The alert ends with this call.
    Raises OpsError where it reaches nobody, was refused, or is not taken in time.
    """
    spec = stack.spec
    receiver = WATCHDOG_RECEIVER if alert.name == WATCHDOG else receiver_of(spec, alert)
    number = uuid.uuid4().hex[:8]
    labels = {
        "alertname": alert.name,
        "severity": alert.severity,
        **({PAGE: "true"} if alert.page else {}),
        "priority": alert.priority,
        "service": f"test-{number}",
        TEST_LABEL: number,
    }
    help_ = help_with(spec, alert)
    annotations = {
        "summary": f"[TEST] {alert.name}",
        "description": _DESCRIPTION[spec.locale],
        **{name: help_[name] for name in _OF_A_TEST},
    }
    return deliver(stack, server, Synthetic(receiver, labels, annotations), within=within, clock=clock)


def deliver(
    stack: Stack,
    server: Alertmanager,
    alert: Synthetic,
    *,
    within: float,
    clock: Callable[[], float] = time.monotonic,
) -> Delivery:
    """Send `alert`, and wait, at most `within` seconds, until its receiver has taken it.

    It ends with this call. Raises OpsError where it reaches nobody, was refused, or is not taken in time.
    """
    receiver = alert.receiver
    wanted = integrations_of(server.status().config, receiver)
    if not wanted:
        raise OpsError(
            msg(
                "alert {alert} goes to receiver {receiver}, which notifies nobody",
                alert=alert.labels["alertname"],
                receiver=receiver,
            ),
            msg("add a receiver to notifications.{receiver}, then `techsapo up`", receiver=receiver),
        )
    before, started, fires = server.sent(receiver), clock(), datetime.now(UTC)
    server.post(alert.labels, alert.annotations, fires, fires + timedelta(seconds=within + 60))
    try:
        while True:
            stack.pause(POLL)
            now, passed = server.sent(receiver), clock() - started
            counts = {name: sent_since(before, now, name) for name in wanted}
            if all(counts[name].delivered >= count for name, count in wanted.items()):
                return Delivery(receiver, tuple(wanted), passed)
            if why := undelivered(counts, wanted, receiver, within if passed >= within else None):
                raise OpsError(msg("not delivered: {why}", why=why), _HINT)
            if passed >= within:
                raise OpsError(
                    msg("no notification within {within:g} s", within=within),
                    _why_late(stack.spec, server, alert.labels),
                )
    finally:
        server.post(alert.labels, alert.annotations, fires, datetime.now(UTC))


def undelivered(
    counts: Mapping[str, Sent], wanted: Mapping[str, int], receiver: str, over: float | None
) -> str:
    """Why what was sent has not arrived; "" while it may yet. `over` are the seconds that were waited in
    vain.
    """
    for name, sent in counts.items():
        if sent.delivered >= wanted[name]:
            continue
        which = msg("{name} of receiver {receiver}", name=name, receiver=receiver)
        if wanted[name] > 1:
            which = msg(
                "{which} ({wanted} of {wanted2})",
                wanted=wanted[name] - sent.delivered,
                wanted2=wanted[name],
                which=which,
            )
        if sent.given_up > 0 or sent.failed >= TRIES or (sent.failed > 0 and over is not None):
            if sent.failed == 1:
                return msg("sending to {which} failed after 1 try", which=which)
            return msg("sending to {which} failed after {failed} tries", which=which, failed=sent.failed)
        if sent.begun > 0 and over is not None:
            return msg("{which} has not answered within {over:g} s", which=which, over=over)
    return ""


def _why_late(spec: Spec, server: Alertmanager, labels: Mapping[str, str]) -> str:
    held = next((a for a in server.alerts() if a.labels == labels), None)
    if held is None:
        return msg("Alertmanager does not have the alert: see `techsapo logs alertmanager -n 20`")
    if held.silenced:
        return msg("a silence matches this alert; `techsapo alerts silence --list` shows which")
    if spec.notifications.business_hours is not None and labels.get("priority") == "P2":
        return msg("the alert may be waiting for `notifications.business_hours`, as alerts of priority P2 do")
    return msg("`monitoring.alertmanager.group_wait` may be longer than --within; give --within more seconds")


def integrations_of(config: str, receiver: str) -> dict[str, int]:
    """How many a receiver has of each integration, as Alertmanager's metrics name them."""
    receivers: Sequence[Mapping[str, Any]] = read_yaml(config).get("receivers") or ()
    for entry in receivers:
        if entry["name"] == receiver:
            return {
                key.removesuffix("_configs"): len(configs)
                for key, configs in entry.items()
                if key.endswith("_configs") and configs
            }
    return {}


def sent_since(before: Mapping[str, Sent], now: Mapping[str, Sent], integration: str) -> Sent:
    nothing = Sent(0, 0, 0, 0)
    old, new = before.get(integration, nothing), now.get(integration, nothing)
    return Sent(
        new.begun - old.begun,
        new.delivered - old.delivered,
        new.failed - old.failed,
        new.given_up - old.given_up,
    )


def unreached_lines(spec: Spec) -> Iterator[str]:
    """A line for each, with what to write after a colon."""
    if nobody := spec.nobody_notified:
        yield nobody
    if watcher := spec.watched_by_nobody:
        yield watcher
    yield from _less_urgent(spec)


def _less_urgent(spec: Spec) -> Iterator[str]:
    """What is no exposure in production either."""
    unreached = set(spec.unreached)
    if not unreached or not spec.monitoring.alertmanager.enabled:
        return
    if "warning" in unreached and not unreached & {"critical", "page"}:
        yield msg("alerts of severity warning reach no one: add a receiver to notifications.warning")
    if not unreached & {"critical", "page"} and leads_here_alone(spec):
        yield msg(
            "links in messages open only on this host: set `{setting}` to an address that others can open",
            setting=SETTING,
        )


def _later(spec: Spec) -> bool:
    """Whether nobody but the next receivers hears of the worst, which is no exposure."""
    return any(name.endswith(AT_ONCE) for name in spec.unreached)


def look_at_notifications(topology: Topology) -> Iterator[HostFinding]:
    """The same as findings. In production they are warnings, without those that are exposures there."""
    strict = topology.layout.environment == PRODUCTION
    late = topology.spec.nobody_notified if _later(topology.spec) else ""
    lines = [late, *_less_urgent(topology.spec)] if strict else unreached_lines(topology.spec)
    for line in filter(None, lines):
        what, _, remedy = line.partition(": ")
        yield HostFinding("notifications", "alerts", Level.WARNING if strict else Level.NOTE, what, remedy)
