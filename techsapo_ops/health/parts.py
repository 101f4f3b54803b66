"""One check for each kind of part; each returns Parts and raises nothing for what it finds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.build import build, is_other
from techsapo_ops.adapters.disk import human, room
from techsapo_ops.adapters.probe import ProbeResult, probe
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.errors import OpsError
from techsapo_ops.health.report import Part, PartStatus
from techsapo_ops.stack.facts import Probe
from techsapo_ops.stack.service import Service

APP_HEALTH = Probe("http", "/api/v1/health")
_DISK_WARN, _DISK_DOWN = 0.10, 0.02
_CERTIFICATE_WARN = timedelta(days=14)
_GOOD = frozenset({"ok", "healthy", "up", "pass", "ready", "available"})


def service_part(
    service: Service,
    address: Address,
    timeout: float,
    user: str | None = None,
    password: str | None = None,
    ca: Path | None = None,
) -> Part:
    """Ask a service its catalogue probe."""
    found = probe(service.facts.probe, address, timeout=timeout, user=user, password=password, ca=ca)
    return _part(service, found, PartStatus.HEALTHY if found.ok else PartStatus.DOWN)


def private_part(service: Service, found: ProbeResult) -> Part:
    """What the engine found when it asked a service that this host can't reach."""
    return _part(service, found, PartStatus.HEALTHY if found.ok else PartStatus.DOWN)


def app_part(service: Service, address: Address, timeout: float, *, elsewhere: bool = False) -> Part:
    """Ask an instance of the app how it and its dependencies are.

    An instance that answers at all, be it that a dependency fails, is degraded and not down. One that runs
    another build than the one installed here is well, and says so. `elsewhere`: it runs in a container.
    """
    found = probe(APP_HEALTH, address, timeout=timeout)
    said = _json(found.body)
    if said is None:
        return _part(service, found, PartStatus.HEALTHY if found.ok else PartStatus.DOWN)
    word = str(said.get("status", "")).lower()
    troubles = list(_troubles(said))
    if said.get("draining") is True:
        troubles.append("draining: it is about to stop")
    if word == "down":
        status = PartStatus.DOWN
    elif troubles or not found.ok or (word and word not in _GOOD):
        status = PartStatus.DEGRADED
    else:
        status = PartStatus.HEALTHY
    if status is PartStatus.HEALTHY:
        detail = ", ".join(_in_use(said)) or found.detail
    else:
        detail = "; ".join(troubles) or f"says it is {word}"
    runs = _runs(said)
    outdated = runs is not None and is_other(runs, elsewhere=elsewhere)
    if runs is not None:
        detail += f"; build {runs}" + (f", installed is {build()}" if outdated else "")
    hint = _look_at_logs(service, status) or ("`techsapo up`" if outdated else "")
    return Part(service.name, service.kind, status, detail, found.seconds, hint, True, runs, outdated)


def _runs(said: Mapping[str, Any]) -> str | None:
    """The build that an instance tells; before 0.2 it told its version alone. None for no version at all."""
    told = said.get("build") or said.get("version")
    return str(told) if told else None


def prometheus_parts(service: Service, address: Address, timeout: float) -> tuple[Part, ...]:
    """Prometheus itself, then each of its active targets with the duration of its last scrape."""
    started = time.monotonic()
    itself = service_part(service, address, timeout)
    if itself.failing:
        return (itself,)
    left = max(timeout - (time.monotonic() - started), 0.001)
    try:
        targets = Prometheus(address.url(), timeout=left).targets()
    except OpsError as error:
        took = time.monotonic() - started
        return (itself, Part("targets", "target", PartStatus.DEGRADED, error.message, took, error.hint))
    statuses = {"up": PartStatus.HEALTHY, "unknown": PartStatus.STARTING}
    return (
        itself,
        *(
            Part(
                name=f"target {target.job} {target.instance}",
                kind="target",
                status=statuses.get(target.health, PartStatus.DOWN),
                detail=target.error or {"unknown": "not scraped yet"}.get(target.health, target.health),
                seconds=target.scrape_seconds,
            )
            for target in targets
        ),
    )


def disk_part(directory: Path) -> Part:
    """Room on the file system of `directory`, in bytes and inodes, for users other than root."""
    started = time.monotonic()
    try:
        found = room(directory)
    except OSError as error:
        return Part("disk", "disk", PartStatus.DOWN, f"{directory}: {error.strerror}", vital=True)
    detail = f"{human(found.free_bytes)} free of {human(found.total_bytes)} ({found.free:.0%})"
    if found.free_inodes < min(found.free, _DISK_WARN):
        detail = f"{found.free_inodes:.0%} of the inodes free"
    left = min(found.free, found.free_inodes)
    status = PartStatus.HEALTHY
    if left < _DISK_WARN:
        status = PartStatus.DOWN if left < _DISK_DOWN else PartStatus.DEGRADED
    hint = "" if status is PartStatus.HEALTHY else f"make room on the file system of {found.directory}"
    return Part("disk", "disk", status, detail, time.monotonic() - started, hint, vital=True)


def certificate_part(
    name: str, chain: Path, served_at: Address | None, server_name: str | None, now: datetime, timeout: float
) -> Part:
    """How long certificate `name` is valid, and whether what nginx serves is the one on disk, which a client
    that asks for `server_name` takes.
    """
    from cryptography import x509

    from techsapo_ops.adapters.tls import served_certificate
    from techsapo_ops.adapters.tls_trust import trust_problem

    started = time.monotonic()

    def part(status: PartStatus, detail: str, hint: str = "") -> Part:
        took = time.monotonic() - started
        return Part(f"certificate {name}", "certificate", status, detail, took, hint)

    try:
        leaf = x509.load_pem_x509_certificate(chain.read_bytes())
    except FileNotFoundError:
        return part(PartStatus.DEGRADED, f"there is none at {chain}", "`techsapo up` makes it")
    except OSError as error:
        return part(PartStatus.DEGRADED, f"cannot read {chain}: {error.strerror}")
    except ValueError:
        return part(PartStatus.DEGRADED, f"{chain} is not a PEM certificate")
    if served_at is not None:
        try:
            served = x509.load_der_x509_certificate(
                served_certificate(served_at, server_name, timeout=timeout)
            )
        except OpsError as error:
            return part(PartStatus.DEGRADED, error.message)
        if served != leaf:
            return part(PartStatus.DEGRADED, "nginx serves another one", "`techsapo reload nginx`")
    left = leaf.not_valid_after_utc - now
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    until = leaf.not_valid_after_utc.date().isoformat()
    if left <= timedelta(0):
        return part(PartStatus.DEGRADED, f"expired on {until}", "`techsapo up` renews a self-signed one")
    if served_at is not None and server_name is not None:
        asked, rest = server_name.replace("*", "www", 1), timeout - (time.monotonic() - started)
        try:
            distrust = trust_problem(served_at, asked, timeout=max(rest, 0.001), ca_file=chain)
        except OpsError as error:
            return part(PartStatus.DEGRADED, error.message)
        if distrust:
            return part(PartStatus.DEGRADED, distrust, f"`techsapo certs status {name}`")
    detail = f"{_span(left)} left, until {until}"
    # A quarter of its life, for certificates that live for days only.
    soon = left < min(_CERTIFICATE_WARN, life / 4)
    return part(PartStatus.DEGRADED if soon else PartStatus.HEALTHY, detail)


def _part(service: Service, found: ProbeResult, status: PartStatus) -> Part:
    return Part(
        service.name,
        service.kind,
        status,
        found.detail,
        found.seconds,
        _look_at_logs(service, status),
        vital=service.kind in {"app", "nginx"},
    )


def _look_at_logs(service: Service, status: PartStatus) -> str:
    return f"`techsapo logs {service.name}`" if status is PartStatus.DOWN else ""


def _json(body: bytes) -> Mapping[str, Any] | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _dependencies(said: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and facts of each dependency; those of a group, such as the providers, one by one."""
    dependencies = said.get("dependencies")
    for name, facts in dependencies.items() if isinstance(dependencies, dict) else ():
        if not isinstance(facts, dict):
            yield name, {"status": facts}
        elif "status" in facts:
            yield name, facts
        else:
            yield from ((each, value) for each, value in facts.items() if isinstance(value, dict))


def _troubles(said: Mapping[str, Any]) -> Iterator[str]:
    """`name: detail` of each dependency that the app says is not well."""
    for name, facts in _dependencies(said):
        word = str(facts.get("status", "ok")).lower()
        if word not in _GOOD:
            yield f"{name}: {facts.get('detail') or word}"


def _in_use(said: Mapping[str, Any]) -> Iterator[str]:
    """What the app runs on: `cache redis`, `audit sqlite`."""
    if said.get("simulated") is True:
        yield "simulated providers"
    prices: dict[str, list[str]] = {}
    for name, facts in _dependencies(said):
        if "in_use" in facts:
            yield f"{name} {facts['in_use']}"
        price = facts.get("price")
        if isinstance(price, dict) and said.get("simulated") is not True:
            prices.setdefault(str(price.get("source", "unknown")), []).append(name)
    for source, names in prices.items():
        yield f"prices of {' and '.join(names)}: {source}" if len(prices) > 1 else f"prices: {source}"


def _span(left: timedelta) -> str:
    if left >= timedelta(days=2):
        return f"{left.days} days"
    hours = left.total_seconds() / 3600
    return f"{hours:.0f} hours" if hours >= 2 else f"{left.total_seconds() / 60:.0f} minutes"
