"""What waits on this host: security updates, restarts of what still runs replaced files, a reboot.

Nothing is changed and no network is asked: newer packages are those in apt's lists, with their age.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from techsapo_ops.adapters.packages import STALE_DAYS, Packages, reboot_reason
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.stack.health import HostFinding, Level
from techsapo_ops.stack.stack import Stack

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
                unknown.append(msg("package lists were never fetched: `apt-get update`"))
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
        unknown.append(_why(msg("what runs"), error))
    return Waiting(security, restarts, reboot(), stale, tuple(unknown))


def sentences(found: Waiting) -> list[str]:
    """The same for people, a sentence each; none where nothing waits."""
    said = []
    if found.security:
        named = ", ".join(found.security[:_MOST])
        if (rest := len(found.security) - _MOST) > 0:
            named = msg("{named} and {rest} more", named=named, rest=rest)
        said.append(msg("security updates: {packages}", packages=named))
    if found.restarts:
        said.append(msg("still run what was replaced: {services}", services=", ".join(found.restarts)))
    if found.reboot:
        said.append(found.reboot)
    if found.stale_days is not None:
        said.append(msg("apt's lists are {days} days old", days=found.stale_days))
    return [*said, *found.unknown]


def finding(found: Waiting) -> HostFinding:
    """The same as doctor tells it, in one line."""
    said = sentences(found)
    if not said:
        return HostFinding("updates", "updates", Level.OK, msg("no security update or restart waits"))
    level = Level.WARNING if found.commands else Level.NOTE
    remedy = found.commands or (("apt-get update",) if found.stale_days is not None else ())
    return HostFinding("updates", "updates", level, joined("; ", said), ", then ".join(remedy))


def _why(what: str, error: OpsError | OSError) -> str:
    reason = error.message if isinstance(error, OpsError) else str(error)
    return msg("{what} could not be looked at: {why}", what=what, why=reason)
