"""What doctor says of services, templates, exposures, the recovery card and models."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from techsapo_ops.backup.card.facts import card_of, facts_to_compare, printed
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of, kinds
from techsapo_ops.services.runtime import runtime_of
from techsapo_ops.spec.exposure import exposures
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.providers import ModelProvider
from techsapo_ops.spec.providers import announced_end
from techsapo_ops.stack.health import HostFinding, Level
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.template_folders import Overrides
from techsapo_ops.stack.topology import Topology

_PRINT = msg("`techsapo recover card` prints it; keep it away from this host")


def look_at_services(topology: Topology) -> Iterator[HostFinding]:
    """What each kind has to say; nothing where its services do not run."""
    for kind in kinds():
        if topology.has(kind.name):
            yield from runtime_of(kind.name).diagnosis(topology)


def look_at_templates(overrides: Overrides) -> Iterator[HostFinding]:
    """Those that can't be used, or are not; nothing without any."""
    obstacle, warnings = overrides.obstacle, tuple(overrides.warnings())
    if obstacle is not None:
        yield HostFinding("templates", "your templates", Level.MISSING, obstacle.message, obstacle.hint)
    for found in warnings:
        yield HostFinding("templates", "your templates", Level.WARNING, found.message, found.hint)
    if obstacle is None and not warnings and overrides.is_there:
        yield HostFinding(
            "templates", "your templates", Level.OK, msg("in {folder}", folder=overrides.folder)
        )


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


def look_at_card(stack: Stack) -> Iterator[HostFinding]:
    """That none was printed, or what has changed since; nothing for a stack without a second place."""
    if stack.spec.backup.offsite is None:
        return
    known = printed(stack)
    if known is None:
        yield HostFinding("backups", "recovery card", Level.NOTE, msg("none was printed yet"), _PRINT)
        return
    at, before = known
    now = facts_to_compare(card_of(stack))
    other = [name.replace("_", " ") for name in now if before.get(name) != now[name]]
    if other:
        said = msg(
            "the one of {at:%Y-%m-%d} is out of date: {other}", at=at.astimezone(), other=", ".join(other)
        )
        yield HostFinding("backups", "recovery card", Level.WARNING, said, _PRINT)


def look_at_models(spec: Spec, today: date) -> Iterator[HostFinding]:
    """Each announced end: within 60 days of `today`, or past, it asks for something."""
    for name, provider in spec.providers.items():
        if not provider.enabled or not isinstance(provider, ModelProvider):
            continue
        end = announced_end(provider)
        if end is None:
            continue
        left = (end.retires - today).days
        days = msg("1 day") if left == 1 else msg("{left} days", left=left)
        when = msg("in {days}", days=days) if left > 0 else msg("which is over")
        yield HostFinding(
            "models",
            name,
            Level.WARNING if end.is_near(today) else Level.NOTE,
            msg(
                "its vendor retires {model} on {retires}, {when} ({read})",
                model=provider.model,
                retires=end.retires,
                when=when,
                read=end.source.read,
            ),
            msg("model: {replacement}", replacement=end.replacement)
            if end.replacement
            else msg("choose a current model"),
        )
