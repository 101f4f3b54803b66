"""Asks a service whether it is ready, with the login that the stack has there."""

from __future__ import annotations

from dataclasses import replace

from techsapo_ops.adapters.probe import ProbeResult, Question, probe
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of
from techsapo_ops.services.runtime import runtime_of
from techsapo_ops.services.scheduler.heartbeat import forget, last_beat
from techsapo_ops.spec.secret import Secret
from techsapo_ops.spec.store_access import speaks_tls
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.health import HealthPart, PartStatus
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.own_tls import ca_file
from techsapo_ops.stack.service import HEARTBEAT, Login, Service
from techsapo_ops.stack.topology import Topology

UNAUTHORIZED = 401


def health_of(topology: Topology, service: Service, timeout: float) -> tuple[HealthPart, ...]:
    """`service`, asked from this host within `timeout` seconds: by `health_parts` of its kind, where there is
    more to ask than its probe. Raises nothing for what it finds.
    """
    own = runtime_of(service.kind).health_parts
    if own is not None:
        return own(topology, service, timeout)
    return (part_of(service, ask(topology, service, timeout)),)


def forget_sign_of_life(service: Service, layout: Layout) -> None:
    """Before `service` is started anew: what one that was killed has left tells nothing of the new one."""
    if service.facts.probe.kind == HEARTBEAT:
        forget(layout.textfiles)


def ask(
    topology: Topology, service: Service, timeout: float, question: Question | None = None
) -> ProbeResult:
    """What `service` answers to its probe, or to another `question`, asked from this host.

    Raises nothing for what it finds.
    """
    if service.facts.probe.kind == HEARTBEAT:
        return last_beat(topology.layout.textfiles)
    login = kind_of(service).login(topology) or Login()
    password = login.password or _stored_password(login)
    answer = probe(
        question or service.facts.probe,
        topology.address(service, Viewpoint.HOST),
        timeout=timeout,
        # Without the password a greeting must do: an unprivileged caller can't read root's key.
        user=login.user if password else None,
        password=password.reveal() if password else None,
        ca=ca_file(topology.layout, service.kind) if speaks_tls(topology.spec, service.kind) else None,
    )
    if answer.status == UNAUTHORIZED and login.password_file is not None and not password:
        # It answers, and as it should: whoever asks has not what it asks for.
        return replace(
            answer,
            ok=True,
            detail=msg("HTTP 401: a login is required, but this user can't read the password"),
        )
    if password is None and login.greeting and login.greeting in answer.detail:
        return replace(
            answer,
            ok=True,
            detail=msg(
                "answers, but this user can't read {password_file}", password_file=login.password_file
            ),
        )
    return answer


def _stored_password(login: Login) -> Secret | None:
    try:
        text = login.password_file.read_text(encoding="utf-8").strip() if login.password_file else ""
    except OSError:
        return None
    return Secret(text) if text else None


def part_of(service: Service, answer: ProbeResult, status: PartStatus | None = None) -> HealthPart:
    """The state of a service by the `answer` to its probe; by default it is down where the probe failed."""
    if status is None:
        well = PartStatus.DEGRADED if answer.wrong else PartStatus.HEALTHY
        status = well if answer.ok else PartStatus.DOWN
    return HealthPart(
        service.name,
        service.kind,
        status,
        answer.detail,
        answer.seconds,
        f"`techsapo logs {service.name}`" if answer.wrong else look_at_logs(service, status),
        vital=kind_of(service).vital,
        sole=answer.sole,
    )


def look_at_logs(service: Service, status: PartStatus) -> str:
    """The hint to a service that is down; a restart ends one that hangs as well."""
    command = "restart" if service.facts.probe.kind == HEARTBEAT else "logs"
    return f"`techsapo {command} {service.name}`" if status is PartStatus.DOWN else ""
