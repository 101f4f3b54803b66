"""Checks of what is no service: the disk and the certificates. They raise nothing for what they find."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.resources import human, room
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.health import HealthPart, PartStatus

_DISK_WARN, _DISK_DOWN = 0.10, 0.02
_CERTIFICATE_WARN = timedelta(days=14)


def disk_part(directory: Path) -> HealthPart:
    """Room on the file system of `directory`, in bytes and inodes, for users other than root."""
    started = time.monotonic()
    try:
        found = room(directory)
    except OSError as error:
        return HealthPart("disk", "disk", PartStatus.DOWN, f"{directory}: {error.strerror}", vital=True)
    detail = msg(
        "{free_bytes} free of {total_bytes} ({free:.0%})",
        free_bytes=human(found.free_bytes),
        total_bytes=human(found.total_bytes),
        free=found.free,
    )
    if found.free_inodes < min(found.free, _DISK_WARN):
        detail = msg("{free_inodes:.0%} of the inodes free", free_inodes=found.free_inodes)
    left = min(found.free, found.free_inodes)
    status = PartStatus.HEALTHY
    if left < _DISK_WARN:
        status = PartStatus.DOWN if left < _DISK_DOWN else PartStatus.DEGRADED
    hint = (
        ""
        if status is PartStatus.HEALTHY
        else msg("make room on the file system of {directory}", directory=found.directory)
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
            PartStatus.DEGRADED, msg("there is none at {chain}", chain=chain), msg("`techsapo up` makes it")
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
                PartStatus.DEGRADED, msg("nginx serves another one"), "`techsapo restart --reload nginx`"
            )
    left = leaf.not_valid_after_utc - now
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    until = leaf.not_valid_after_utc.date().isoformat()
    if left <= timedelta(0):
        return part(
            PartStatus.DEGRADED,
            msg("expired on {until}", until=until),
            msg("`techsapo up` renews a self-signed one"),
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
