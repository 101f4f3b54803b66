"""What doctor says of services, templates, exposures, the recovery card, models, and what waits.

What waits on this host, updates and restarts, is found without a network: newer packages are those in apt's
lists, with their age.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from techsapo_ops.adapters.packages import STALE_DAYS, Packages, reboot_reason
from techsapo_ops.backup.card.facts import card_of, facts_to_compare, printed
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
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

_PRINT = msg("`techsapo recover card` prints the recovery card; do not keep the card on this host")


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
    for warning in warnings:
        yield HostFinding("templates", "your templates", Level.WARNING, warning.message, warning.hint)
    if obstacle is None and not warnings and overrides.is_there:
        yield HostFinding(
            "templates", "your templates", Level.OK, msg("in {folder}", folder=overrides.folder)
        )


def look_at_exposure(topology: Topology) -> Iterator[HostFinding]:
    """Every exposure of the spec, those that are meant with their reason; then what runs as root."""
    for exposure in exposures(topology.spec, topology.layout.environment):
        if exposure.accepted is not None:
            detail = msg(
                "{message}; accepted, with the reason: {accepted}",
                message=exposure.message,
                accepted=exposure.accepted,
            )
            yield HostFinding("exposure", exposure.rule, Level.NOTE, detail)
        else:
            yield HostFinding("exposure", exposure.rule, Level.WARNING, exposure.message, exposure.hint)
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
                "this user is missing or can't reach {state}, so {services} run as root",
                state=topology.layout.state,
                services=", ".join(services),
            ),
            msg(
                "the Debian packages of these services add the user; if the user exists, put the project "
                "where other users have access, e.g. /srv"
            ),
        )


def look_at_card(stack: Stack) -> Iterator[HostFinding]:
    """That none was printed, or what has changed since; nothing for a stack without a second place."""
    if stack.spec.backup.offsite is None:
        return
    known = printed(stack)
    if known is None:
        yield HostFinding(
            "backups", "recovery card", Level.NOTE, msg("the recovery card has not been printed yet"), _PRINT
        )
        return
    at, before = known
    now = facts_to_compare(card_of(stack))
    other = [name.replace("_", " ") for name in now if before.get(name) != now[name]]
    if other:
        said = msg(
            "the recovery card from {at:%Y-%m-%d} is out of date; changed since: {other}",
            at=at.astimezone(),
            other=", ".join(other),
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
        when = msg("in {days}", days=days) if left > 0 else msg("already past")
        yield HostFinding(
            "models",
            name,
            Level.WARNING if end.is_near(today) else Level.NOTE,
            msg(
                "the vendor retires the model {model} on {retires}, {when} ({read})",
                model=provider.model,
                retires=end.retires,
                when=when,
                read=end.source.read,
            ),
            msg("model: {replacement}", replacement=end.replacement)
            if end.replacement
            else msg("choose a current model"),
        )


_DAY = 86_400
_MOST = 5
"""Packages that are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits; `unknown` is what could not be looked at, and why."""

    security: tuple[str, ...] = ()
    """Packages of this host with a security update."""
    restarts: Mapping[str, str] = field(default_factory=dict)
    """By name the services that run what was replaced, and the command that starts each anew."""
    reboot: str = ""
    """Why the host needs one."""
    stale_days: int | None = None
    """How old apt's lists are, where that is too old to be believed."""
    unknown: tuple[str, ...] = ()

    @property
    def commands(self) -> tuple[str, ...]:
        """What to run, in this order."""
        update = f"apt-get install --only-upgrade {' '.join(self.security)}" if self.security else ""
        if len(self.security) > _MOST:
            update = "apt-get upgrade"
        restarts = dict.fromkeys(self.restarts.values())
        return tuple(filter(None, (update, *restarts, "reboot" if self.reboot else "")))


def look(
    stack: Stack,
    now: float,
    packages: Packages | None = None,
    reboot: Callable[[], str] = reboot_reason,
) -> Waiting:
    """Look at what runs, at apt's lists and at the kernel. `now` is Unix seconds. What can't be looked at is
    said, not raised.
    """
    security: tuple[str, ...] = ()
    restarts: dict[str, str] = {}
    stale: int | None = None
    unknown: list[str] = []
    try:
        if "apt-get" in stack.topology.host.binaries:
            asked = packages or Packages(stack.runner)
            fetched = asked.fetched()
            if fetched is None:
                unknown.append(msg("apt's package lists were never fetched; run `apt-get update`"))
            else:
                security = asked.security_updates()
                stale = days if (days := int((now - fetched) // _DAY)) > STALE_DAYS else None
    except (OpsError, OSError) as error:
        unknown.append(_why(msg("newer packages"), error))
    try:
        observed = stack.engine.observe()
        for seen in observed.services.values():
            if seen.outdated or seen.replaced:
                restarts[seen.name] = "techsapo up" if seen.outdated else seen.begins_again
        restarts |= dict.fromkeys(observed.beside, "techsapo down, then techsapo up")
    except (OpsError, OSError) as error:
        unknown.append(_why(msg("running services"), error))
    return Waiting(security, restarts, reboot(), stale, tuple(unknown))


def sentences(waiting: Waiting) -> list[str]:
    """The same for people, a sentence each; none where nothing waits."""
    said = []
    if waiting.security:
        named = ", ".join(waiting.security[:_MOST])
        if (rest := len(waiting.security) - _MOST) > 0:
            named = msg("{named} and {rest} more", named=named, rest=rest)
        said.append(msg("security updates: {packages}", packages=named))
    if waiting.restarts:
        said.append(
            msg(
                "services that still run the version from before an update: {services}",
                services=", ".join(waiting.restarts),
            )
        )
    if waiting.reboot:
        said.append(waiting.reboot)
    if waiting.stale_days is not None:
        said.append(msg("apt's package lists are {days} days old", days=waiting.stale_days))
    return [*said, *waiting.unknown]


def finding(waiting: Waiting) -> HostFinding:
    """The same as a finding of doctor, in one line."""
    said = sentences(waiting)
    if not said:
        return HostFinding("updates", "updates", Level.OK, msg("no security update or restart is pending"))
    level = Level.WARNING if waiting.commands else Level.NOTE
    remedy = waiting.commands or (("apt-get update",) if waiting.stale_days is not None else ())
    return HostFinding("updates", "updates", level, joined("; ", said), ", then ".join(remedy))


def _why(what: str, error: OpsError | OSError) -> str:
    reason = error.message if isinstance(error, OpsError) else str(error)
    return msg("{what} could not be checked: {why}", what=what, why=reason)
