"""How Prometheus is, what it scrapes, and which alerts cannot fire."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.errors import OpsError
from techsapo_ops.masking.fields import without_logins
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.blackbox.kind import JOB as PROBES
from techsapo_ops.services.blackbox.kind import asked as asked_of
from techsapo_ops.services.loaded_configuration import server_of
from techsapo_ops.services.probing import UNAUTHORIZED, ask, part_of
from techsapo_ops.services.prometheus.recording import MISSING_SERIES
from techsapo_ops.services.prometheus.scrape import expected_alerts
from techsapo_ops.stack.health import HealthPart, PartStatus
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

_PROBED = f'{{job="{PROBES}",__name__=~"probe_(success|http_status_code|duration_seconds)"}}'
_LOOK = "`techsapo logs blackbox-exporter`"
_FIRST_TARGETS = 60.0
"""Seconds after its start by which Prometheus has its targets: it takes them up within five."""


def health_parts(topology: Topology, service: Service, timeout: float) -> tuple[HealthPart, ...]:
    """Prometheus itself, then each of its active targets with the duration of its last scrape.

    Of what is probed it says what the probe found: that a probe could be made is no news of its target.
    """
    started = time.monotonic()
    answer = ask(topology, service, timeout)
    itself = part_of(service, answer)
    if itself.failing or answer.status == UNAUTHORIZED:
        return (itself,)
    left = max(timeout - (time.monotonic() - started), 0.001)

    def door() -> Prometheus:
        server = server_of(topology, service)
        return Prometheus(server.url, timeout=left, login=server.login)

    return (itself, *target_parts(topology, door))


def target_parts(topology: Topology, door: Callable[[], Prometheus]) -> tuple[HealthPart, ...]:
    """Each active target of the Prometheus behind `door`, what was found by probing, and which alerts can't
    fire.
    """
    started = time.monotonic()
    try:
        asked = door()
        targets = asked.targets()
        urls = {(each.name, each.scope): each.url for each in asked_of(topology)}
        waiting = {each.instance for each in targets if each.job == PROBES and each.health == "unknown"}
        probes = tuple(probe_parts(asked, urls, waiting)) if topology.has("blackbox-exporter") else ()
        silent = cannot_fire(asked, expected_alerts(topology))
        none = () if targets else (_no_targets(asked),)
    except OpsError as error:
        took = time.monotonic() - started
        return (HealthPart("targets", "target", PartStatus.DEGRADED, error.message, took, error.hint),)
    statuses = {"up": PartStatus.HEALTHY, "unknown": PartStatus.STARTING}
    return (
        *(
            HealthPart(
                name=f"target {target.job} {target.instance}",
                kind="target",
                status=statuses.get(target.health, PartStatus.DOWN),
                detail=without_logins(target.error)
                or {"unknown": msg("not scraped yet")}.get(target.health, target.health),
                seconds=target.scrape_seconds,
            )
            for target in targets
            if target.job != PROBES
        ),
        *none,
        *probes,
        *silent,
    )


def _no_targets(asked: Prometheus) -> HealthPart:
    """That it watches nothing, as for some seconds after its start."""
    if (datetime.now(UTC) - asked.started()).total_seconds() < _FIRST_TARGETS:
        return HealthPart("targets", "target", PartStatus.STARTING, msg("nothing is scraped yet"))
    hint = "`techsapo logs prometheus`"
    return HealthPart("targets", "target", PartStatus.DEGRADED, msg("nothing is scraped"), hint=hint)


def asked_within(topology: Topology) -> tuple[Service, ...]:
    """The Prometheis that this host does not reach itself."""
    return tuple(s for s in topology.of_kind("prometheus") if not topology.published(s))


def cannot_fire(asked: Prometheus, expected: Sequence[str]) -> tuple[HealthPart, ...]:
    """The alerts that cannot fire, and why, by what `asked` has loaded; `expected` are those of the spec.

    Nothing where all can. Raises as Prometheus.query does.
    """
    loaded = {rule.name for rules in asked.rules().values() for rule in rules}
    reasons: dict[str, str] = {name: msg("the rule is not loaded") for name in expected if name not in loaded}
    for sample in asked.query(MISSING_SERIES):
        for name in sample.labels.get("alerts", "").split(", "):
            where = sample.labels.get("instance", "")
            reasons.setdefault(
                name, msg("{instance} has no {missing}", instance=where, missing=sample.labels["missing"])
            )
    if not reasons:
        return ()
    what = joined("; ", (msg("{name}: {why}", name=name, why=why) for name, why in sorted(reasons.items())))
    count = len(reasons)
    detail = (
        msg("1 alert cannot fire: {what}", what=what)
        if count == 1
        else msg("{count} alerts cannot fire: {what}", count=count, what=what)
    )
    hint = msg("`techsapo alerts runbook AlertCannotFire`")
    return (HealthPart("alerts", "alerts", PartStatus.DEGRADED, detail, hint=hint),)


def probe_parts(
    server: Prometheus, urls: Mapping[tuple[str, str], str], waiting: Container[str] = ()
) -> Iterator[HealthPart]:
    """A row for each probe that was made; `urls` are what is asked, by name and scope. Raises Unreachable and
    ApiError.

    `waiting` are names of those that this Prometheus has not made yet: for five minutes it still has what
    they found before it was started anew, such as a front that was down with it.
    """
    values: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    for sample in server.query(_PROBED):
        labels = sample.labels
        by_asker = values.setdefault((labels["name"], labels.get("scope", "")), {})
        by_asker.setdefault(labels.get("from", ""), {})[labels["__name__"]] = sample.value
    for (name, scope), by_asker in sorted(values.items()):
        # Of several machines that ask, what the one says that has least to say for it.
        asker, measured = min(by_asker.items(), key=lambda each: (each[1].get("probe_success") == 1, each[0]))
        status, well = int(measured.get("probe_http_status_code", 0)), measured.get("probe_success") == 1
        if name in waiting:
            yield HealthPart(f"probe {name}", "probe", PartStatus.STARTING, msg("not probed yet"))
            continue
        # 0 is what it says where nobody answered, and of connections without HTTP.
        if well:
            said = msg("HTTP {status}", status=status) if status else msg("connected")
        else:
            said = (
                msg("unexpected HTTP {status}", status=status)
                if status
                else _silent(urls.get((name, scope), ""))
            )
            if asker:
                said = msg("from {host}: {said}", host=asker, said=said)
        yield HealthPart(
            name=f"probe {name}",
            kind="probe",
            status=PartStatus.HEALTHY if well else PartStatus.DOWN,
            detail=said,
            seconds=measured.get("probe_duration_seconds"),
            hint="" if well else _LOOK,
        )


def _silent(url: str) -> str:
    return msg("no answer, or no valid certificate") if url.startswith("https:") else msg("no answer")
