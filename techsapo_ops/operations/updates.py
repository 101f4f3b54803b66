"""Which updates wait for a stack, as far as this host knows without asking anybody elsewhere.

A stack of processes has Debian packages: those that its programs are of, and what these depend on themselves.
A stack of containers has the images that its spec names. No package list is fetched, no registry is asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from techsapo_ops.adapters.docker import full_reference
from techsapo_ops.adapters.packages import Packages, Pending, too_old
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class PackageUpdate:
    """A package with a newer one, and the services that run it."""

    pending: Pending
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PackageUpdates:
    """What apt's lists, `fetched` at that time, have newer; of security first.

    `fetched` is None where there are no lists, which then say nothing. `others` are packages of this host
    that no service runs.
    """

    fetched: float | None
    updates: tuple[PackageUpdate, ...] = ()
    others: tuple[Pending, ...] = ()

    def age_days(self, now: float) -> int:
        """How many days old the lists are."""
        return int(max(now - self.fetched, 0) // _DAY) if self.fetched is not None else 0

    def stale(self, now: float) -> bool:
        """Whether the lists are too old to be believed."""
        return too_old(self.fetched, now)


@dataclass(frozen=True, slots=True)
class ImageUpdate:
    """A service that runs another image than the one that the spec names."""

    service: str
    runs: str
    wanted: str


def has_packages(stack: Stack) -> bool:
    """Whether this host has Debian's packages."""
    return "apt-get" in stack.topology.host.binaries


def package_updates(stack: Stack, packages: Packages | None = None) -> PackageUpdates:
    """What is newer for a stack of processes. Raises OpsError where dpkg or apt-cache can't say it."""
    asked = packages or Packages(stack.runner)
    fetched = asked.fetched()
    if fetched is None:
        return PackageUpdates(None)
    users = _users(stack, asked)
    pending = asked.pending()
    mine = [PackageUpdate(each, users[each.package]) for each in pending if each.package in users]
    return PackageUpdates(
        fetched,
        tuple(sorted(mine, key=lambda update: not update.pending.security)),
        tuple(each for each in pending if each.package not in users),
    )


def image_updates(stack: Stack) -> tuple[ImageUpdate, ...]:
    """The services of a stack of containers whose image is not the spec's. Raises OpsError.

    One under the same name that this host has pulled since is what `ObservedService.replaced` tells.
    """
    seen = stack.engine.observe().services
    found = []
    for service in stack.topology.services:
        runs, wanted = seen[service.name].image_name if service.name in seen else "", _image(stack, service)
        if runs and wanted and full_reference(runs) != full_reference(wanted):
            found.append(ImageUpdate(service.name, runs, wanted))
    return tuple(found)


def _users(stack: Stack, packages: Packages) -> Mapping[str, tuple[str, ...]]:
    """The services that run each package."""
    host, services = stack.topology.host, stack.topology.services
    programs = {s.name: s.binary or (host.python if s.facts.runs_package else "") for s in services}
    owners = packages.owners(path for path in programs.values() if path)
    own: dict[str, set[str]] = {}
    for service in services:
        # Where a program is of another package, as redis-server of redis-tools, both are the service's.
        owner = owners.get(programs[service.name])
        own[service.name] = {owner, service.facts.package or owner} if owner is not None else set()
    needs = packages.needs(name for names in own.values() for name in names)
    users: dict[str, list[str]] = defaultdict(list)
    for user, names in own.items():
        for name in sorted(names.union(*(needs.get(name, frozenset()) for name in names))):
            users[name].append(user)
    return {name: tuple(found) for name, found in users.items()}


def _image(stack: Stack, service: Service) -> str:
    """The image that the spec means for `service`; empty for one that is built here."""
    spec, kind = stack.spec, kind_of(service)
    return "" if kind.built_from(spec) else spec.image_of(kind.name, service.facts.image)
