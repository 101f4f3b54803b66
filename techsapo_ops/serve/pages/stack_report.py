"""What Prometheus tells of the stack's services, disks and certificates."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from techsapo_ops.adapters.prometheus import Prometheus, Sample
from techsapo_ops.catalogue.alerts import DISKS, cut_off, server_up
from techsapo_ops.catalogue.series import EPISODES_JOB, FRONT_ADDRESS, of_newest_copy
from techsapo_ops.serve.bodies.monitoring import CertificateBody, DiskBody, FrontBody, ServiceBody
from techsapo_ops.services.app.kind import JOB


class Queried(Protocol):
    """What answers an expression of PromQL. Raises Unreachable or ApiError."""

    def query(self, expression: str, /) -> Sequence[Sample]:
        """The instant vector of an expression now."""
        ...


class NewestCopies:
    """A Prometheus of several hosts, read as the alerts read it: what jobs, backups and certificates left on
    each of them counts once, by the newest copy.
    """

    def __init__(self, prometheus: Queried) -> None:
        self._prometheus = prometheus

    def query(self, expression: str, /) -> Sequence[Sample]:
        """The same of the host alone whose files are the newest."""
        return self._prometheus.query(of_newest_copy(expression))


def services_of(prometheus: Prometheus) -> list[ServiceBody]:
    """The services: instances of the app with what each of them can't reach, then the others. On several
    machines each is called by its own, as `redis-b` is.

    Raises Unreachable or ApiError, as all of these do.
    """
    builds = {
        sample.labels.get("instance", ""): sample.labels.get("version", "")
        for sample in prometheus.query("techsapo_build_info")
    }
    lacks: dict[str, list[str]] = {}
    for name, metric in cut_off().items():
        for sample in prometheus.query(f"{metric} > 0"):
            lacks.setdefault(sample.labels.get("instance", ""), []).append(name)
    servers, services = server_up(), []
    scraped: dict[str, dict[str, bool]] = {}
    for sample in prometheus.query("up"):
        job, instance = sample.labels.get("job", ""), sample.labels.get("instance", "")
        host = sample.labels.get("host", "")
        if job in servers:
            scraped.setdefault(job, {})[host] = sample.value == 1
            continue
        if job == EPISODES_JOB or "from" in sample.labels:
            continue  # how machines hear of each other
        ours = job == JOB
        own = ours or instance == (f"{job}-{host}" if host else job)
        services.append(
            ServiceBody(
                name=instance if own else f"{job} {instance}",
                kind=job,
                up=sample.value == 1,
                version=builds.get(instance, "") if ours else "",
                lacks=lacks.get(instance, []) if ours else [],
            )
        )
    for job, series in servers.items():
        if job not in scraped:
            continue
        states: dict[str, list[bool]] = {}
        for sample in prometheus.query(series):
            # A Sentinel, which the same exporter asks, says it of itself.
            if sample.labels.get("job", job) == job:
                states.setdefault(sample.labels.get("host", ""), []).append(sample.value == 1)
        name = series.removesuffix("_up")
        for host, answers in scraped[job].items():
            # An exporter that is away tells nothing of its server.
            up = all(states[host]) if host in states and answers else None
            called = f"{name}-{host}" if host else name
            services.append(ServiceBody(name=called, kind=name, up=up, version="", lacks=[]))
    return sorted(services, key=lambda each: (each.kind != JOB, each.kind, each.name))


def disks_of(prometheus: Prometheus, thresholds: Mapping[str, float]) -> list[DiskBody]:
    """The file systems that can fill up, the fullest first; one that is mounted twice is listed once."""
    sizes = {_place(s.labels): s.value for s in prometheus.query(f"node_filesystem_size_bytes{{{DISKS}}}")}
    disks: dict[tuple[str, str], DiskBody] = {}
    for sample in prometheus.query(f"node_filesystem_avail_bytes{{{DISKS}}}"):
        place = _place(sample.labels)
        size = sizes.get(place, 0.0)
        if size <= 0:
            continue
        instance, device, mountpoint = place
        known = disks.get((instance, device))
        if known is None or len(mountpoint) < len(known.mountpoint):
            disks[instance, device] = DiskBody(
                mountpoint=mountpoint,
                instance=instance,
                used_percent=round(100 - 100 * sample.value / size, 2),
                free_bytes=sample.value,
                full_percent=thresholds.get("DiskAlmostFull", 90.0),
            )
    return sorted(disks.values(), key=lambda disk: -disk.used_percent)


def certificates_of(prometheus: Queried) -> list[CertificateBody]:
    """The certificates, the first to end first."""
    begins = {
        s.labels.get("name"): s.value for s in prometheus.query("techsapo_cert_not_before_timestamp_seconds")
    }
    served = {s.labels.get("name"): s.value for s in prometheus.query("techsapo_cert_served_matches")}
    failed = {s.labels.get("name"): s.value for s in prometheus.query("techsapo_cert_renewal_failures")}
    certificates = []
    for sample in prometheus.query("techsapo_cert_not_after_timestamp_seconds"):
        name, ends = sample.labels.get("name", ""), sample.value
        length = ends - begins.get(name, ends)
        certificates.append(
            CertificateBody(
                name=name,
                source=sample.labels.get("source", ""),
                ends=ends,
                left_percent=None if length <= 0 else round(max(0.0, 100 * (ends - time.time()) / length), 1),
                served=None if name not in served else served[name] == 1,
                failures=int(failed.get(name, 0)),
            )
        )
    return sorted(certificates, key=lambda each: each.ends)


def _place(labels: Mapping[str, str]) -> tuple[str, str, str]:
    return labels.get("instance", ""), labels.get("device", ""), labels.get("mountpoint", "")


def front_of(prometheus: Prometheus) -> FrontBody | None:
    """Which of several hosts have the address that they share; None where none is known to have it."""
    fronts = [sample.labels for sample in prometheus.query(FRONT_ADDRESS)]
    if not fronts:
        return None
    hosts = sorted({labels.get("host", "") for labels in fronts})
    return FrontBody(address=fronts[0].get("address", ""), hosts=hosts)
