"""What a health check found, and its parts that are no service: disk, certificates, silences, who has it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.resources import human, room
from techsapo_ops.catalogue.alerts import DRILL, WATCHDOG, alerts
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.alertmanager.acknowledging import Acknowledgement, holders
from techsapo_ops.services.alertmanager.silencing import Hushed, moment_text, over_critical
from techsapo_ops.services.monitoring import alertmanager_of, prometheus_of
from techsapo_ops.stack.health import HealthPart, PartStatus
from techsapo_ops.stack.stack import Stack


class Status(StrEnum):
    """State of the whole stack."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    """It answers, but something is wrong."""
    DOWN = "down"
    """It does not answer, or is about to stop."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """All parts, how long the whole check took in seconds, and who has which alert that fires."""

    probes: tuple[HealthPart, ...]
    seconds: float
    acknowledged: tuple[Acknowledgement, ...] = ()
    firing: tuple[str, ...] = ()
    """The alerts that fire and nobody has."""
    unreachable: Mapping[str, str] = field(default_factory=dict)
    """By name the machines that could not be reached, and why."""

    @property
    def status(self) -> Status:
        """down when all parts of one vital kind are down; degraded when any part fails."""
        vital = {p.kind for p in self.probes if p.vital}
        if any(all(p.status is PartStatus.DOWN for p in self.probes if p.kind == kind) for kind in vital):
            return Status.DOWN
        return Status.DEGRADED if self.failing else Status.HEALTHY

    @property
    def asked(self) -> tuple[HealthPart, ...]:
        """The parts without those that were not asked, as their machine can't be reached."""
        return tuple(p for p in self.probes if not p.away)

    def count_on(self, machine: str) -> int:
        """How many services of a machine that can't be reached were not asked."""
        return sum(p.away == machine for p in self.probes)

    @property
    def failing(self) -> tuple[HealthPart, ...]:
        """The parts that are degraded or down."""
        return tuple(p for p in self.probes if p.failing)


MOST = 3
"""Alerts that are named of a silence; the others are counted."""


def silence_parts(stack: Stack, timeout: float) -> tuple[HealthPart, ...]:
    """One part where there are any: no fault, somebody means it. An Alertmanager that does not answer has a
    part of its own.
    """
    alertmanager = alertmanager_of(stack, timeout)
    if alertmanager is None:
        return ()
    try:
        hushed = over_critical(alertmanager.silences(), stack.spec)
    except OpsError:
        return ()
    if not hushed:
        return ()
    detail = joined("; ", map(_words, hushed))
    hint = msg(
        "`techsapo alerts silence --list` lists the silences; `techsapo alerts silence --expire ID` ends one"
    )
    return (HealthPart("silences", "silences", PartStatus.HEALTHY, detail, hint=hint),)


def _words(hushed: Hushed) -> str:
    shown = ", ".join(hushed.alerts[:MOST])
    if (more := len(hushed.alerts) - MOST) > 0:
        shown = msg("{shown} and {more} more", shown=shown, more=more)
    return msg(
        "nobody is notified of {shown} until {end} ({by}: {comment})",
        shown=shown,
        end=moment_text(hushed.silence.ends),
        by=hushed.silence.created_by,
        comment=hushed.silence.comment,
    )


class AskedMeanwhile:
    """Asks while other parts are probed. A stack without these servers, and servers that do not answer, say
    nothing: the report has their parts.
    """

    def __init__(self, stack: Stack, timeout: float) -> None:
        self._stack = stack
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout
        self._acknowledged: tuple[Acknowledgement, ...] = ()
        self._firing: tuple[str, ...] = ()
        self._thread = threading.Thread(target=self._ask, name="who has which alert", daemon=True)
        self._thread.start()

    def acknowledged(self) -> tuple[Acknowledgement, ...]:
        """Who has which alert, as far as the answer came in time."""
        self._thread.join(max(self._deadline - time.monotonic(), 0.0))
        return self._acknowledged

    def firing(self) -> tuple[str, ...]:
        """The alerts that fire and nobody has, the critical ones first; empty without an answer in time."""
        self._thread.join(max(self._deadline - time.monotonic(), 0.0))
        return self._firing

    def _ask(self) -> None:
        prometheus = prometheus_of(self._stack, self._timeout)
        alertmanager = alertmanager_of(self._stack, self._timeout)
        if prometheus is None or alertmanager is None:
            return
        try:
            self._acknowledged = tuple(holders(prometheus, alertmanager).values())
            known = [a for a in prometheus.alerts() if a.state == "firing"]
        except OpsError:
            return
        taken = {each.episode.alert for each in self._acknowledged} | {WATCHDOG, DRILL}
        severities = {a.labels.get("alertname", ""): a.labels.get("severity", "") for a in known}
        free = [name for name in severities if name in alerts() and name not in taken]
        self._firing = tuple(sorted(free, key=lambda name: (severities[name] != "critical", name)))


_DISK_WARN, _DISK_DOWN = 0.10, 0.02
_CERTIFICATE_WARN = timedelta(days=14)


def disk_part(directory: Path) -> HealthPart:
    """Room on the file system of `directory`, in bytes and inodes, for users other than root."""
    started = time.monotonic()
    try:
        disk = room(directory)
    except OSError as error:
        return HealthPart("disk", "disk", PartStatus.DOWN, f"{directory}: {error.strerror}", vital=True)
    detail = msg(
        "{free_bytes} free of {total_bytes} ({free:.0%})",
        free_bytes=human(disk.free_bytes),
        total_bytes=human(disk.total_bytes),
        free=disk.free,
    )
    if disk.free_inodes < min(disk.free, _DISK_WARN):
        detail = msg("{free_inodes:.0%} of the inodes free", free_inodes=disk.free_inodes)
    left = min(disk.free, disk.free_inodes)
    status = PartStatus.HEALTHY
    if left < _DISK_WARN:
        status = PartStatus.DOWN if left < _DISK_DOWN else PartStatus.DEGRADED
    hint = (
        ""
        if status is PartStatus.HEALTHY
        else msg("make room on the file system of {directory}", directory=disk.directory)
    )
    return HealthPart("disk", "disk", status, detail, time.monotonic() - started, hint, vital=True)


def certificate_part(
    name: str, chain: Path, served_at: Address | None, server_name: str | None, now: datetime, timeout: float
) -> HealthPart:
    """How long certificate `name` is valid, and whether what nginx serves is the one on disk, which a client
    that asks for `server_name` takes.
    """
    from cryptography import x509

    from techsapo_ops.adapters.tls import served_certificate, trust_problem

    started = time.monotonic()

    def part(status: PartStatus, detail: str, hint: str = "") -> HealthPart:
        took = time.monotonic() - started
        return HealthPart(f"certificate {name}", "certificate", status, detail, took, hint)

    try:
        leaf = x509.load_pem_x509_certificate(chain.read_bytes())
    except FileNotFoundError:
        return part(
            PartStatus.DEGRADED,
            msg("there is no certificate at {chain}", chain=chain),
            msg("`techsapo up` creates the certificate"),
        )
    except OSError as error:
        return part(
            PartStatus.DEGRADED, msg("cannot read {chain}: {strerror}", chain=chain, strerror=error.strerror)
        )
    except ValueError:
        return part(PartStatus.DEGRADED, msg("{chain} is not a PEM certificate", chain=chain))
    if served_at is not None:
        try:
            served = x509.load_der_x509_certificate(
                served_certificate(served_at, server_name, timeout=timeout)
            )
        except OpsError as error:
            return part(PartStatus.DEGRADED, error.message)
        if served != leaf:
            return part(
                PartStatus.DEGRADED,
                msg("nginx serves a certificate other than the stored one"),
                "`techsapo restart --reload nginx`",
            )
    left = leaf.not_valid_after_utc - now
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    until = leaf.not_valid_after_utc.date().isoformat()
    if left <= timedelta(0):
        return part(
            PartStatus.DEGRADED,
            msg("expired on {until}", until=until),
            msg("`techsapo up` renews a self-signed certificate"),
        )
    if served_at is not None and server_name is not None:
        asked, rest = server_name.replace("*", "www", 1), timeout - (time.monotonic() - started)
        try:
            distrust = trust_problem(served_at, asked, timeout=max(rest, 0.001), ca_file=chain)
        except OpsError as error:
            return part(PartStatus.DEGRADED, error.message)
        if distrust:
            return part(PartStatus.DEGRADED, distrust, f"`techsapo certs status {name}`")
    detail = msg("{span} left, until {until}", span=_span(left), until=until)
    # A quarter of its life, for certificates that live for days only.
    soon = left < min(_CERTIFICATE_WARN, life / 4)
    return part(PartStatus.DEGRADED if soon else PartStatus.HEALTHY, detail)


def _span(left: timedelta) -> str:
    if left >= timedelta(days=2):
        return msg("{days} days", days=left.days)
    hours = left.total_seconds() / 3600
    return (
        msg("{hours:.0f} hours", hours=hours)
        if hours >= 2
        else msg("{left:.0f} minutes", left=left.total_seconds() / 60)
    )
