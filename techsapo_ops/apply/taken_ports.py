"""Ports that a plan wants and somebody else has: seen before anything of what runs is touched."""

from __future__ import annotations

from collections.abc import Iterator

from techsapo_ops.apply.history import History
from techsapo_ops.apply.journal import under_way
from techsapo_ops.apply.plan import StackPlan
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.stack.address import listen_host
from techsapo_ops.stack.engine import Running
from techsapo_ops.stack.step import Action
from techsapo_ops.stack.topology import Topology


def taken_ports(found: StackPlan, history: History, running: Running) -> Iterator[str]:
    """Whom each service that a plan starts on a new port would meet there, in a sentence.

    Only of a stack that runs as it was applied, and goes back where a start fails: a first `up` starts what
    it can. A port that a service has now is not looked at, since the plan may free it.
    """
    if not found.running or found.leaves is not None:
        return
    before = _applied(history)
    if before is None:
        return
    ours = {service.port for service in before.services if before.published(service)}
    topology = found.desired.topology
    for step in found.steps.changes:
        service = topology.find(step.service)
        if service is None or step.action is Action.REMOVE or service.port in ours:
            continue
        if topology.published(service) and (
            holder := running.taken_by(listen_host(service.host), service.port)
        ):
            yield msg(
                "{service} can't have port {port}: {holder} listens on it",
                service=service.name,
                port=service.port,
                holder=holder,
            )


def _applied(history: History) -> Topology | None:
    """What runs, by the ledger; None where an apply failed or was killed, so that nobody knows."""
    try:
        last = history.ledger.entries()[-1:]
        current = history.ledger.current()
        if current is None or last[0].result == "failed" or under_way(history.layout) is not None:
            return None
        return history.snapshot(current).desired.topology
    except OpsError:  # `up` repairs it
        return None


def require_free(found: StackPlan, history: History, running: Running) -> None:
    """Raise OpsError where somebody else has a port that `found` wants; nothing was changed then."""
    if taken := list(taken_ports(found, history, running)):
        raise OpsError(
            joined("\n", taken),
            msg("nothing was changed: stop that process, or give the service another port in the spec"),
        )
