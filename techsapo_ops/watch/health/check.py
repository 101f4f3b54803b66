"""Probes every part of a stack at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from techsapo_ops.adapters.http import preload
from techsapo_ops.adapters.questions import at_once
from techsapo_ops.adapters.textfile import read_textfile
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.runs import JobStatus, Runs, job_statuses
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.lost_data import lost_data
from techsapo_ops.services.nginx.certificate import tls_address
from techsapo_ops.services.probing import health_of, part_of
from techsapo_ops.services.registry import kind_of
from techsapo_ops.spec.cron import local_zone
from techsapo_ops.stack.engine import Prober
from techsapo_ops.stack.health import HealthPart, PartStatus
from techsapo_ops.stack.journal import CUT_SHORT, Operation, half_restored
from techsapo_ops.stack.layout import SCHEDULER
from techsapo_ops.stack.maintenance import maintenance_of
from techsapo_ops.stack.observed import FOLDER_GONE, Stopped, stopped_of
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology
from techsapo_ops.watch.health.report import (
    AskedMeanwhile,
    HealthReport,
    certificate_part,
    disk_part,
    silence_parts,
)


def with_one_of_each(parts: Sequence[HealthPart]) -> list[HealthPart]:
    """`parts`, where several have what one alone may have, or each of a kind was asked and none has it."""
    wrong: dict[str, str] = {}
    for kind in {part.kind for part in parts if part.sole is not None}:
        alike = [part for part in parts if part.kind == kind]
        having = [part.name for part in alike if part.sole]
        if len(having) > 1:
            wrong |= {name: _also(each for each in having if each != name) for name in having}
        elif not having and all(part.sole is False for part in alike):
            wrong |= {
                part.name: msg("no other service of this kind has the leading role, either") for part in alike
            }
    return [
        replace(part, status=PartStatus.DEGRADED, detail=joined("; ", (part.detail, wrong[part.name])))
        if part.name in wrong and part.status is PartStatus.HEALTHY
        else part
        for part in parts
    ]


def _also(others: Iterable[str]) -> str:
    return msg(
        "{others} also has the leading role, but only one service may have it", others=", ".join(others)
    )


def jobs_part(topology: Topology, now: datetime) -> tuple[HealthPart, ...]:
    """What the records of jobs say of whoever starts them: a run that was missed is a fault.

    Nothing where the scheduler is one of the services, which has a heartbeat, and where nobody is to start
    any. Raises nothing for what it finds.
    """
    schedule, layout = topology.spec.schedule, topology.layout
    if schedule.by == "none" or topology.has(SCHEDULER):
        return ()
    try:
        zone = local_zone()
        statuses = job_statuses(schedule, Runs(layout.jobs), layout.textfiles, now.astimezone(zone), zone)
    except OpsError as error:
        return (HealthPart("jobs", "jobs", PartStatus.UNTESTED, error.message),)
    hint = "`techsapo cron install`" if schedule.by == "cron" else "`techsapo jobs`"
    if missed := [status for status in statuses if status.missed is not None]:
        return (HealthPart("jobs", "jobs", PartStatus.DEGRADED, _words(missed), hint=hint),)
    if not any(status.last for status in statuses):
        return (HealthPart("jobs", "jobs", PartStatus.UNTESTED, msg("no job has run yet"), hint=hint),)
    return (HealthPart("jobs", "jobs", PartStatus.HEALTHY, msg("every job started on time")),)


def _words(missed: list[JobStatus]) -> str:
    return joined(
        ", ",
        (
            msg(
                "job {name} was due at {time:%Y-%m-%d %H:%M} and did not start",
                name=status.job.name, time=status.missed,
            )
            for status in missed
        ),
    )  # fmt: skip


# Python's own work after a probe was cut at its deadline.
_GRACE = 0.25
_SHRUNK = "techsapo_backup_shrunk"


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    kind: str
    run: Callable[[], tuple[HealthPart, ...]]
    vital: bool = False


def check(stack: Stack, *, timeout: float, now: datetime) -> HealthReport:
    """Probe all services, Prometheus's targets, the disk and the served certificates, all at once.

    It takes as long as the slowest probe and no longer than `timeout` seconds (and a moment). What can't
    be reached is a result, not an error. `now` (an aware time) is what certificates are judged by. Raises
    OpsError for a `timeout` of 0 or less.
    """
    if not timeout > 0:
        raise OpsError(
            msg("a timeout of {timeout:g} s leaves no time to check", timeout=timeout),
            msg("pass e.g. --timeout 5"),
        )
    preload()
    started = time.monotonic()
    topology = stack.topology
    away = _away(stack)
    held = AskedMeanwhile(stack, timeout + _GRACE)
    disk = _Job("disk", "disk", lambda: (disk_part(stack.layout.state),), vital=True)
    updates = _Job("updates", "updates", partial(_updates, stack))
    data = _Job("data", "data", partial(_data, stack))
    jobs = [
        *_services(stack, timeout, away),
        *_targets(stack, timeout, away),
        disk,
        *_certificates(topology, now, timeout),
        _Job("silences", "silences", partial(silence_parts, stack, timeout)),
        updates,
        data,
    ]
    closed = (*_half_restored(stack), *_maintenance(stack, now), *_shrunk(stack))
    absent = [HealthPart(a.kind, a.kind, PartStatus.ABSENT, a.reason, hint=a.remedy) for a in topology.absent]
    asked = _not_applied(stack, with_one_of_each(_at_once(jobs, timeout)))
    parts = (*asked, *closed, *jobs_part(topology, now), *absent)
    return HealthReport(parts, time.monotonic() - started, held.acknowledged(), held.firing(), away)


def _away(stack: Stack) -> Mapping[str, str]:
    """The machines that can't be reached, and why."""
    try:
        return stack.engine.away()
    except OpsError:  # the probes report it
        return {}


def _services(stack: Stack, timeout: float, away: Mapping[str, str]) -> Iterator[_Job]:
    """The services: those that this host does not reach are asked by their engine."""
    topology, stopped = stack.topology, _stopped(stack)
    inside = None
    for service in topology.services:
        vital = kind_of(service).vital
        if service.name in stopped:
            ask = partial(_left_stopped, service, str(stopped[service.name]))
        elif topology.places.publishes(service):
            ask = partial(health_of, topology, service, timeout)
        elif service.machine.name in away:
            ask = partial(_not_reached, service, service.machine.name, away)
        else:
            inside = inside or stack.engine.prober_inside()
            ask = partial(_inside, inside, service, timeout)
        yield _Job(service.name, service.kind, ask, vital)


def _targets(stack: Stack, timeout: float, away: Mapping[str, str]) -> Iterator[_Job]:
    """What is scraped, where a Prometheus is not reached from this host: of several the first one says it."""
    from techsapo_ops.services.monitoring import prometheus_of
    from techsapo_ops.services.prometheus.health import asked_within, target_parts

    if all(service.machine.name in away for service in asked_within(stack.topology)):
        return
    asked = prometheus_of(stack, timeout)
    if asked is not None:
        yield _Job("targets", "target", partial(target_parts, stack.topology, lambda: asked))


def _not_applied(stack: Stack, parts: Sequence[HealthPart]) -> list[HealthPart]:
    """`parts`, where a service that does not answer was never applied, or was rolled back."""
    names = {service.name for service in stack.topology.services}
    if not any(p.name in names and p.status is PartStatus.DOWN for p in parts):
        return list(parts)
    try:
        seen = stack.engine.observe()
    except OpsError:
        return list(parts)
    if not (seen.running and seen.services):
        return list(parts)
    missing = names - {*seen.services, *seen.stopped}
    why = msg("this service is in the spec, but not in the last apply")
    hint = msg("`techsapo plan` shows what differs; `techsapo up` starts the service")
    return [
        replace(p, detail=why, hint=hint)
        if p.name in missing and p.status is PartStatus.DOWN and not p.away
        else p
        for p in parts
    ]


def _stopped(stack: Stack) -> Mapping[str, Stopped]:
    """What somebody has stopped; none for a user who may not read it, to whom the probes report it."""
    try:
        return stopped_of(stack.layout)
    except OpsError:
        return {}


def _left_stopped(service: Service, words: str) -> tuple[HealthPart, ...]:
    hint = f"`techsapo start {service.name}`"
    vital = kind_of(service).vital
    return (HealthPart(service.name, service.kind, PartStatus.DOWN, words, hint=hint, vital=vital),)


def _not_reached(service: Service, machine: str, away: Mapping[str, str]) -> tuple[HealthPart, ...]:
    words = msg("{machine} can't be reached: {why}", machine=machine, why=away[machine])
    hint, vital = f"`techsapo hosts check {machine}`", kind_of(service).vital
    return (
        HealthPart(service.name, service.kind, PartStatus.DOWN, words, hint=hint, vital=vital, away=machine),
    )


def _inside(prober: Prober, service: Service, timeout: float) -> tuple[HealthPart, ...]:
    return (part_of(service, prober(service, timeout)),)


def _data(stack: Stack) -> tuple[HealthPart, ...]:
    """That data is gone which was there."""
    try:
        lost = lost_data(stack.topology, stack.engine, stack.topology.engine)
    except OpsError as error:
        return (HealthPart("data", "data", PartStatus.UNTESTED, error.message, hint=error.hint),)
    hint = msg("`techsapo up` names the latest backup of the lost data")
    detail = joined("; ", (str(each) for each in lost))
    return (HealthPart("data", "data", PartStatus.DOWN, detail, hint=hint),) if lost else ()


def _updates(stack: Stack) -> tuple[HealthPart, ...]:
    """What still runs from before an update. It is no fault: it works.

    Where data folders are gone, that alone.
    """
    try:
        services = stack.engine.observe().services.values()
    except OpsError as error:
        return (HealthPart("updates", "updates", PartStatus.UNTESTED, error.message),)
    if gone := [s.name for s in services if s.drift == FOLDER_GONE]:
        detail = msg(
            "the data folder of {names} was removed; the data is lost when these services stop",
            names=", ".join(gone),
        )
        hint = msg(
            "back up what still runs with `techsapo backup`, then run `techsapo up "
            "--empty` and `techsapo restore`"
        )
        return (HealthPart("data", "data", PartStatus.DEGRADED, detail, hint=hint),)
    replaced = [
        (msg("{name} {replaced}", name=s.name, replaced=s.replaced), s.begins_again)
        for s in services
        if s.replaced
    ]
    if not replaced:
        return ()
    detail = joined("; ", (what for what, _ in replaced))
    return (HealthPart("updates", "updates", PartStatus.HEALTHY, detail, hint=f"`{replaced[0][1]}`"),)


def _maintenance(stack: Stack, now: datetime) -> tuple[HealthPart, ...]:
    """That users are turned away: meant, until the time when it was to end is over."""
    maintenance = maintenance_of(stack.layout)
    if maintenance is None:
        return ()
    status = PartStatus.DEGRADED if maintenance.forgotten(now) else PartStatus.HEALTHY
    hint = msg("`techsapo maintenance off` lets users in again")
    return (HealthPart("maintenance", "maintenance", status, str(maintenance), hint=hint),)


def _half_restored(stack: Stack) -> tuple[HealthPart, ...]:
    """That a restore was cut short: its apps are off, and nothing in their logs says why."""
    if not half_restored(stack.layout):
        return ()
    left = CUT_SHORT[Operation.RESTORE]
    return (HealthPart("restore", "restore", PartStatus.DOWN, left.what, hint=left.then),)


def _shrunk(stack: Stack) -> tuple[HealthPart, ...]:
    """That a backup has less than half of what the one before had, as the last command on backups left it."""
    try:
        samples = read_textfile(stack.layout.textfiles, "backups")
    except OpsError:  # node exporter can't read it either, and JobAbsent fires
        return ()
    sources = [s.labels["source"] for s in samples if s.metric == _SHRUNK and s.value]
    if not sources:
        return ()
    detail = msg("the data of {sources} has shrunk: see the latest backup", sources=", ".join(sources))
    hint = msg(
        "check with `techsapo backup show`, then run `techsapo backup accept ID` or `techsapo restore ID`"
    )
    return (HealthPart("backups", "backups", PartStatus.DEGRADED, detail, hint=hint),)


def _certificates(topology: Topology, now: datetime, timeout: float) -> Iterator[_Job]:
    spec = topology.spec
    for name, certificate in spec.certificates.items():
        if certificate.source == "external":
            continue
        at = tls_address(topology) if name == spec.served_certificate else None
        names = certificate.names or ((spec.nginx.server_name,) if spec.nginx.server_name else ())
        chain = topology.layout.certs / name / "fullchain.pem"
        look = partial(certificate_part, name, chain, at, names[0] if names else None, now, timeout)
        yield _Job(f"certificate {name}", "certificate", partial(_alone, look))


def _alone(look: Callable[[], HealthPart]) -> tuple[HealthPart, ...]:
    return (look(),)


def _at_once(jobs: Sequence[_Job], timeout: float) -> list[HealthPart]:
    """Run all jobs at the same time and give each until `timeout`."""
    outcomes = at_once({str(number): job.run for number, job in enumerate(jobs)}, timeout + _GRACE)
    parts: list[HealthPart] = []
    for job, outcome in zip(jobs, outcomes.values(), strict=True):
        if isinstance(outcome, Exception):
            late = isinstance(outcome, TimeoutError)
            why = (
                msg("did not answer within {timeout:g} s", timeout=timeout)
                if late
                else msg("{kind}: {told}", kind=type(outcome).__name__, told=outcome)
            )
            parts.append(HealthPart(job.name, job.kind, PartStatus.DOWN, why, timeout, vital=job.vital))
        else:
            parts += outcome
    return parts
