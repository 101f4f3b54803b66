"""Probes every part of a stack at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.http import preload
from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.errors import OpsError
from techsapo_ops.health.parts import (
    app_part,
    certificate_part,
    disk_part,
    private_part,
    prometheus_parts,
    service_part,
)
from techsapo_ops.health.report import HealthReport, Part, PartStatus
from techsapo_ops.services.redis.tls import ca_file
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

# Python's own work after a probe was cut at its deadline.
_GRACE = 0.25


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    kind: str
    run: Callable[[], tuple[Part, ...]]
    vital: bool = False


Prober = Callable[[Service, float], ProbeResult]
"""Asks a service that this host can't reach, within so many seconds; raises nothing for what it finds."""


def check(
    spec: Spec, topology: Topology, *, timeout: float, now: datetime, private: Prober | None = None
) -> HealthReport:
    """Probe all services, Prometheus's targets, the disk and the served certificates, all at once.

    It takes as long as the slowest probe and no longer than `timeout` seconds (and a moment). What can't
    be reached is a result, not an error. `now` (an aware time) is what certificates are judged by. `private`
    asks the services that are private to the stack, which their engine alone can. Raises OpsError for a
    `timeout` of 0 or less.
    """
    if not timeout > 0:
        raise OpsError(f"a time-out of {timeout:g} s leaves no time to ask", "pass e.g. --timeout 5")
    preload()
    started = time.monotonic()
    jobs = _jobs(spec, topology, timeout, now, private)
    parts = _at_once(jobs, timeout)
    absent = [Part(a.kind, a.kind, PartStatus.ABSENT, a.reason, hint=a.remedy) for a in topology.absent]
    return HealthReport((*parts, *absent), time.monotonic() - started)


def _jobs(
    spec: Spec, topology: Topology, timeout: float, now: datetime, private: Prober | None
) -> list[_Job]:
    jobs = [_service_job(spec, topology, service, timeout, private) for service in topology.services]
    jobs.append(_Job("disk", "disk", lambda: (disk_part(topology.layout.state),), vital=True))
    served = spec.served_certificate
    for name, certificate in spec.certificates.items():
        if certificate.source == "external":
            continue
        nginx = topology.find("nginx") if name == served else None
        at = None
        if nginx is not None:
            at = Address(topology.address(nginx, Viewpoint.HOST).host, spec.nginx.tls_listen)
        names = certificate.names or ((spec.nginx.server_name,) if spec.nginx.server_name else ())
        chain = topology.layout.certs / name / "fullchain.pem"
        jobs.append(_certificate_job(name, chain, at, names[0] if names else None, now, timeout))
    return jobs


def _service_job(
    spec: Spec, topology: Topology, service: Service, timeout: float, private: Prober | None
) -> _Job:
    address = topology.address(service, Viewpoint.HOST)
    vital = service.kind in {"app", "nginx"}

    def run() -> tuple[Part, ...]:
        if private is not None and not topology.published(service):
            return (private_part(service, private(service, timeout)),)
        if service.kind == "app":
            return (app_part(service, address, timeout, elsewhere=private is not None),)
        if service.kind == "prometheus":
            return prometheus_parts(service, address, timeout)
        if service.kind == "redis":
            ca = ca_file(topology.layout) if spec.redis.tls else None
            user, password = spec.redis.user, _reveal(spec.redis.password)
            return (service_part(service, address, timeout, user, password, ca),)
        if service.kind == "mysql" and spec.mysql is not None:
            password = _reveal(spec.mysql.password) or _made_password(topology.layout.mysql_password)
            # Without the password its greeting must do: an unprivileged caller can't read root's key.
            user = spec.mysql.user if password else None
            return (service_part(service, address, timeout, user, password),)
        return (service_part(service, address, timeout),)

    return _Job(service.name, service.kind, run, vital)


def _certificate_job(
    name: str, chain: Path, at: Address | None, server_name: str | None, now: datetime, timeout: float
) -> _Job:
    return _Job(
        f"certificate {name}",
        "certificate",
        lambda: (certificate_part(name, chain, at, server_name, now, timeout),),
    )


def _reveal(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None


def _made_password(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _at_once(jobs: Sequence[_Job], timeout: float) -> list[Part]:
    """Run all jobs in threads of their own and give each until `timeout`.

    Daemon threads, not an executor: a job stuck in the kernel (statvfs on a dead network share) must
    neither hold the report nor the end of the process.
    """
    found: dict[int, tuple[Part, ...]] = {}

    def work(number: int, job: _Job) -> None:
        found[number] = job.run()

    threads = [
        threading.Thread(target=work, args=(number, job), name=f"probe {job.name}", daemon=True)
        for number, job in enumerate(jobs)
    ]
    deadline = time.monotonic() + timeout + _GRACE
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0.0))
    late = f"did not answer within {timeout:g} s"
    return [
        part
        for number, job in enumerate(jobs)
        for part in found.get(
            number, (Part(job.name, job.kind, PartStatus.DOWN, late, timeout, vital=job.vital),)
        )
    ]
