"""What fires in a stack, and who has it."""

from __future__ import annotations

from collections.abc import Sequence

from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.alerts import WATCHDOG
from techsapo_ops.catalogue.rules import NEXT
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import all_of, msg
from techsapo_ops.services.alertmanager.acknowledging import (
    Acknowledgement,
    Incident,
    holders,
    incidents,
)
from techsapo_ops.services.monitoring import prometheus_of
from techsapo_ops.stack.stack import Stack


def firing(stack: Stack, only: Sequence[Matcher]) -> tuple[Incident, ...]:
    """What fires and matches. Raises OpsError where nothing does, and says what else holds of it."""
    prometheus = _prometheus(stack)
    found = tuple(i for i in incidents(prometheus) if all(m.holds(i.labels) for m in only))
    if found:
        return found
    what = all_of(str(m) for m in only)
    if Matcher("alertname", "=", WATCHDOG) in only:
        raise OpsError(
            msg("{watchdog} always fires, and nobody has to do anything", watchdog=WATCHDOG), exit_code=2
        )
    states = {
        f.state for f in prometheus.alerts() if NEXT not in f.labels and all(m.holds(f.labels) for m in only)
    }
    if "firing" in states:
        raise OpsError(
            msg("{what} fires, but Prometheus does not count since when", what=what),
            msg("try again in a few seconds; if that goes on, its rules are older ones: `techsapo up`"),
        )
    if "pending" in states:
        raise OpsError(
            msg("{what} does not fire: its condition has not held for long enough", what=what),
            msg("nobody was told of it yet"),
        )
    raise OpsError(
        msg("{what} does not fire", what=what), msg("`techsapo alerts list --firing` lists what does")
    )


def held_now(stack: Stack, alertmanager: Alertmanager) -> tuple[Acknowledgement, ...]:
    """Who has which of the alerts that fire."""
    return tuple(holders(_prometheus(stack), alertmanager).values())


def _prometheus(stack: Stack) -> Prometheus:
    prometheus = prometheus_of(stack)
    if prometheus is None:
        raise OpsError(
            msg("this stack runs no Prometheus, so no alert fires"),
            msg("set monitoring.prometheus.enabled, then `techsapo up`"),
        )
    return prometheus
