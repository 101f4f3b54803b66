"""What waits for a restart or an update on this host, and the commands that each of it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from techsapo_ops.adapters.build import build, difference
from techsapo_ops.adapters.kernel import reboot_reason
from techsapo_ops.adapters.packages import Packages
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.updates import PackageUpdate, has_packages, image_updates, package_updates
from techsapo_ops.stack.diagnosis import HostFinding, Level
from techsapo_ops.stack.observed import Observed
from techsapo_ops.stack.stack import Stack

Kind = Literal["replaced", "build", "image", "package", "kernel"]
UPDATE_LISTS = "apt-get update"
_KERNEL = "linux-image-"
_REBOOT = "reboot"


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing to do: `name` is a service, a package or the kernel, `commands` in their order."""

    kind: Kind
    name: str
    detail: str
    commands: tuple[str, ...]
    services: tuple[str, ...] = ()

    @property
    def needs(self) -> str:
        """The commands in one line."""
        return ", then ".join(self.commands)


@dataclass(frozen=True, slots=True)
class Found:
    """All that waits, in the order of doing it, and how far that is to be believed."""

    waiting: tuple[Waiting, ...] = ()
    newer: tuple[str, ...] = ()
    """Packages of the services with an update that is none of security."""
    others: int = 0
    """Security updates of packages that no service runs."""
    fetched: float | None = None
    """When apt's lists were fetched; None where there are none, or nobody looked."""
    stale_days: int | None = None
    """How old the lists are, where that is too old to be believed."""
    no_lists: bool = False
    unknown: tuple[str, ...] = ()
    """What could not be looked at, and why."""


def look(
    stack: Stack,
    now: float,
    packages: Packages | None = None,
    reboot: Callable[[], str] = reboot_reason,
) -> Found:
    """Look at what runs, at apt's lists and at the kernel. `now` is Unix seconds; nothing is changed, no
    network is asked. What can't be looked at is said, not raised.
    """
    found = Found()
    waiting: list[Waiting] = []
    unknown: list[str] = []
    try:
        if stack.topology.places.from_images:
            waiting += _images(stack)
        elif has_packages(stack):
            found = _packages(stack, now, packages)
            waiting += found.waiting
    except (OpsError, OSError) as error:
        unknown.append(_why(msg("newer packages or images"), error))
    try:
        waiting += _running(stack.engine.observe())
    except (OpsError, OSError) as error:
        unknown.append(_why(msg("what runs"), error))
    if why := reboot():
        waiting.append(Waiting("kernel", "kernel", why, (_REBOOT,)))
    return replace(found, waiting=tuple(waiting), unknown=tuple(unknown))


def _running(observed: Observed) -> Iterator[Waiting]:
    """Services that run what is no longer on disk, or another build than the one installed."""
    for seen in observed.services.values():
        if seen.outdated:
            runs = msg(
                "runs build {build}, and {build2} is installed ({what})",
                build=seen.build or msg("unknown"),
                build2=build(),
                what=difference(seen.build or ""),
            )
            yield Waiting("build", seen.name, runs, ("techsapo up",), (seen.name,))
        elif seen.replaced:
            yield Waiting("replaced", seen.name, seen.replaced, (seen.begins_again,), (seen.name,))
    for name, why in observed.beside.items():
        yield Waiting("replaced", name, why, ("techsapo down", "techsapo up"), (name,))


def _images(stack: Stack) -> Iterator[Waiting]:
    for each in image_updates(stack):
        detail = msg("runs {runs}, and the spec says {wanted}", runs=each.runs, wanted=each.wanted)
        yield Waiting("image", each.service, detail, ("techsapo up",), (each.service,))


def _packages(stack: Stack, now: float, packages: Packages | None) -> Found:
    found = package_updates(stack, packages)
    if found.fetched is None:
        return Found(no_lists=True)
    security = [each for each in found.updates if each.pending.security]
    kernels = [each for each in found.others if each.security and each.package.startswith(_KERNEL)]
    waiting = [_package(each, stack) for each in security]
    waiting += [_package(PackageUpdate(each, ()), stack) for each in kernels]
    return Found(
        tuple(waiting),
        tuple(each.pending.package for each in found.updates if not each.pending.security),
        sum(each.security for each in found.others) - len(kernels),
        found.fetched,
        found.age_days(now) if found.stale(now) else None,
    )


def _package(update: PackageUpdate, stack: Stack) -> Waiting:
    pending, services = update.pending, update.services
    all_of_them = len(services) == len(stack.topology.services)
    again = " ".join(("techsapo restart", *(("--all",) if all_of_them else services))) if services else ""
    commands = (
        f"apt-mark unhold {pending.package}" if pending.held else "",
        f"apt-get install --only-upgrade {pending.package}",
        again or (_REBOOT if pending.package.startswith(_KERNEL) else ""),
    )
    users = msg(", for {services}", services=", ".join(services)) if services else ""
    held = msg(", which is held") if pending.held else ""
    detail = msg(
        "security update {installed} → {candidate}{users}{held}",
        installed=pending.installed,
        candidate=pending.candidate,
        users=users,
        held=held,
    )
    return Waiting("package", pending.package, detail, tuple(filter(None, commands)), services)


def findings(found: Found) -> Iterator[HostFinding]:
    """The same as doctor tells it."""
    for each in found.waiting:
        yield HostFinding("updates", each.name, Level.WARNING, each.detail, each.needs)
    if found.newer:
        detail = msg("newer packages, none of security: {newer}", newer=", ".join(found.newer))
        command = msg(
            "apt-get install --only-upgrade {newer}, then techsapo restart --all", newer=" ".join(found.newer)
        )
        yield HostFinding("updates", "packages", Level.NOTE, detail, command)
    if found.others:
        detail = msg("{others} security updates of packages that no service runs", others=found.others)
        yield HostFinding("updates", "other packages", Level.NOTE, detail, "apt-get upgrade")
    if found.no_lists:
        detail = msg("there are none, so newer packages are not known")
        yield HostFinding("updates", "package lists", Level.NOTE, detail, UPDATE_LISTS)
    elif found.stale_days is not None:
        detail = msg("{stale_days} days old: newer packages may be missing", stale_days=found.stale_days)
        yield HostFinding("updates", "package lists", Level.NOTE, detail, UPDATE_LISTS)
    for why in found.unknown:
        yield HostFinding("updates", "updates", Level.NOTE, why)
    if not found.waiting and not found.unknown and not found.no_lists:
        yield HostFinding("updates", "updates", Level.OK, msg("no security update or restart waits"))


def _why(what: str, error: OpsError | OSError) -> str:
    told = error.message if isinstance(error, OpsError) else str(error)
    return msg("{what} could not be looked at: {told}", what=what, told=told)
