"""What `techsapo status` shows, asked at the same time: each part from the source that other commands use."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from techsapo_ops.adapters.build import build, is_other
from techsapo_ops.adapters.http import preload
from techsapo_ops.adapters.process import Command
from techsapo_ops.adapters.questions import at_once
from techsapo_ops.adapters.unreachable import HostsAway
from techsapo_ops.apply.drift import DriftReport, drift
from techsapo_ops.apply.history import History
from techsapo_ops.apply.ledger import Ledger
from techsapo_ops.apply.ledger_entry import LedgerEntry
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.runs import JobStatus, Runs, job_statuses
from techsapo_ops.messages import msg
from techsapo_ops.services.monitoring import alertmanager_of, prometheus_of
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.maintenance import Maintenance, maintenance_of
from techsapo_ops.stack.observed import Observed
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack
from techsapo_ops.watch.alerts.firing import Listed, Listing, listed
from techsapo_ops.watch.backups import Backups, backups_of
from techsapo_ops.watch.costs import Spent, spent_of
from techsapo_ops.watch.health.check import check
from techsapo_ops.watch.health.report import HealthReport, Status

if TYPE_CHECKING:
    from techsapo_ops.certs.status import Status as CertificateStatus


@dataclass(frozen=True, slots=True)
class Versions:
    """`build` is the one installed, `others` the services that run another, `apply` the last good one."""

    build: str
    python: str
    engine: str
    others: tuple[str, ...]
    apply: int | None
    applied: datetime | None
    applied_by: str


def versions_of(stack: Stack) -> Versions:
    """Those of `stack`. Raises OpsError where what runs or the ledger can't be read."""
    observed = stack.engine.observe()
    old = [s.name for s in observed.services.values() if s.build and is_other(s.build)]
    applied = Ledger(stack.layout.state).current()
    return Versions(
        build(),
        platform.python_version(),
        stack.topology.engine,
        tuple(old),
        applied.id if applied is not None else None,
        applied.time if applied is not None else None,
        applied.user if applied is not None else "",
    )


T = TypeVar("T")
_MARGIN = 1.0
"""Seconds beyond the bound of the probes, which say themselves what did not answer."""
ASKED = timedelta(minutes=1)
"""In which Prometheus has asked every service once after an apply, and evaluated its rules."""
SETTLED = timedelta(minutes=5)
"""After an apply in which alerts that became pending by it are left out."""


@dataclass(frozen=True, slots=True)
class Look(Generic[T]):
    """What one part answered, or `why` it could not be read."""

    value: T | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class StackStatus:
    """How the stack was at `at`; the look took so many `seconds`."""

    at: datetime
    seconds: float
    maintenance: Maintenance | None
    health: Look[HealthReport]
    services: Look[Observed]
    alerts: Look[Listing]
    backups: Look[Backups]
    certificates: Look[tuple[CertificateStatus, ...]]
    budget: Look[Spent]
    jobs: Look[tuple[JobStatus, ...]]
    drift: Look[DriftReport]
    versions: Look[Versions]
    front: Look[tuple[str, ...]] | None = None
    """The hosts that have the floating address; None where there is none."""

    unreachable: Mapping[str, str] = field(default_factory=dict)
    """By name the hosts that could not be reached, and why."""

    @property
    def status(self) -> Status:
        """As `techsapo health` says; down where that is unknown."""
        return Status.DOWN if self.health.value is None else self.health.value.status


def status_of(stack: Stack, *, timeout: float, now: datetime, zone: tzinfo) -> StackStatus:
    """Ask every part at once, and wait for none longer than `timeout` seconds (and a moment).

    What can't be read is said in its part, not raised. `zone` is the one in which jobs are due. Raises
    OpsError for a `timeout` of 0 or less.
    """
    if not timeout > 0:
        raise OpsError(
            msg("a timeout of {timeout:g} s leaves no time to check", timeout=timeout),
            msg("pass e.g. --timeout 10"),
        )
    preload()
    began = time.monotonic()
    spec, layout = stack.spec, stack.layout
    # Once, before all of them ask for it: a silent host is waited for here alone.
    away = stack.engine.away()
    asked: dict[str, Callable[[], Any]] = {
        "health": lambda: check(stack, timeout=timeout, now=now),
        "services": lambda: _services(stack),
        "alerts": lambda: _listed(stack, now),
        "backups": lambda: backups_of(stack),
        "certificates": lambda: _certificates(stack),
        "budget": lambda: spent_of(stack, now),
        "jobs": lambda: job_statuses(
            spec.schedule, Runs(layout.jobs), layout.textfiles, now.astimezone(zone), zone
        ),
        "drift": lambda: _drift(stack),
        "versions": lambda: versions_of(stack),
    }
    if spec.floating_address is not None:
        asked["front"] = lambda: _front(stack)
    parts = {name: _look(answer) for name, answer in at_once(asked, timeout + _MARGIN).items()}
    return StackStatus(
        at=now,
        seconds=time.monotonic() - began,
        maintenance=maintenance_of(layout),
        **cast(dict[str, Any], parts),
        unreachable=away,
    )


def _listed(stack: Stack, now: datetime) -> Listing:
    """The alerts, without those that are pending because the stack was being started or changed."""
    listing = listed(stack, prometheus_of(stack), alertmanager_of(stack))
    try:
        entries = History.of(stack).ledger.entries()
    except OpsError:  # whoever looks for drift says so
        return listing
    return without_start(listing, entries[-1], now) if entries else listing


def without_start(listing: Listing, apply: LedgerEntry, now: datetime) -> Listing:
    """`listing` without what became pending during `apply`, or before everything was asked once after it.

    Only for some minutes: what is still pending then has another reason. What fires stays.
    """
    ended = apply.time + timedelta(seconds=apply.seconds)
    if now > ended + SETTLED:
        return listing

    def of_the_start(each: Listed) -> bool:
        return (
            each.state == "pending" and each.since is not None and apply.time <= each.since <= ended + ASKED
        )

    return replace(listing, alerts=tuple(each for each in listing.alerts if not of_the_start(each)))


def _certificates(stack: Stack) -> tuple[CertificateStatus, ...]:
    if not stack.spec.certificates:
        return ()
    from techsapo_ops.certs.needs import certificates_of  # with cryptography
    from techsapo_ops.certs.status import status

    return status(certificates_of(stack, lambda _: None))


def _services(stack: Stack) -> Observed:
    seen = stack.engine.observe()
    seen.require_known()
    return seen


def _drift(stack: Stack) -> DriftReport:
    history = History.of(stack)
    if history.ledger.current() is None:  # of this folder; hosts may know of one
        stack.engine.observe().require_known()
    return drift(history)


def _front(stack: Stack) -> tuple[str, ...]:
    from techsapo_ops.engines.swarm.engine import swarm_of
    from techsapo_ops.engines.swarm.front import holders

    engine = swarm_of(stack.engine)
    hosts = holders(stack.topology, engine.fleet, engine.glance().containers)
    if not hosts and engine.fleet.unreachable:
        raise HostsAway(engine.fleet.unreachable)
    return hosts


def _look(answer: Any) -> Look[Any]:
    if isinstance(answer, HostsAway):
        return Look(why=answer.why)
    if isinstance(answer, OpsError):
        return Look(why=answer.message.partition("\n")[0])
    if isinstance(answer, TimeoutError | OSError):
        return Look(why=str(answer))
    if isinstance(answer, Exception):
        return Look(why=f"{type(answer).__name__}: {answer}")
    return Look(answer)


_SECONDS = 10.0
_VERSION = re.compile(r"(?<![\w.])v?=?(\d+\.\d+(?:\.\d+)*[\w.+~-]*)")
_UNKNOWN = "unknown"


def program_versions(stack: Stack) -> dict[str, str]:
    """By kind the version of its server, `unknown` where it does not say one. The app is not among them."""
    kinds = {service.kind: service for service in stack.topology.services if not service.facts.runs_package}
    if stack.topology.places.from_images:
        spec = stack.spec
        return {name: spec.image_of(name, s.facts.image) for name, s in kinds.items()}
    answers = at_once({name: partial(_asked, stack, service) for name, service in kinds.items()}, _SECONDS)
    return {name: answer if isinstance(answer, str) else _UNKNOWN for name, answer in answers.items()}


def _asked(stack: Stack, service: Service) -> str:
    if service.binary is None:
        return _UNKNOWN
    option = kind_of(service).version_option
    said = stack.runner.run(Command((service.binary, option)), timeout=_SECONDS).output
    match = _VERSION.search(said)
    return match[1] if match is not None else _UNKNOWN
