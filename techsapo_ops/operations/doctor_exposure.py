"""What doctor says of who may reach the stack, and of services that have root's rights."""

from __future__ import annotations

from collections.abc import Iterator

from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of
from techsapo_ops.spec.exposure import exposures
from techsapo_ops.stack.diagnosis import HostFinding, Level
from techsapo_ops.stack.topology import Topology


def look_at_exposure(topology: Topology) -> Iterator[HostFinding]:
    """Every exposure of the spec, those that are meant with their reason; then what runs as root."""
    for found in exposures(topology.spec, topology.layout.environment):
        if found.accepted is not None:
            detail = msg("{message}; accepted: {accepted}", message=found.message, accepted=found.accepted)
            yield HostFinding("exposure", found.rule, Level.NOTE, detail)
        else:
            yield HostFinding("exposure", found.rule, Level.WARNING, found.message, found.hint)
    yield from _as_root(topology)


def _as_root(topology: Topology) -> Iterator[HostFinding]:
    """Services whose own user there is not, or who can't reach the stack; the app's is looked at apart."""
    users: dict[str, list[str]] = {}
    for service in topology.services:
        if topology.places.as_root(service, topology.host) and not kind_of(service).facts.runs_package:
            users.setdefault(service.facts.user, []).append(service.name)
    for user, services in users.items():
        yield HostFinding(
            "root",
            f"user {user}",
            Level.WARNING,
            msg(
                "there is none that reaches {state}, so {services} run as root",
                state=topology.layout.state,
                services=", ".join(services),
            ),
            msg("their Debian packages add it; put the project where other users may enter, e.g. /srv"),
        )
