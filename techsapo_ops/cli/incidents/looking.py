"""What `techsapo why` reads of a stack: what it is about, and all that its sources say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.gather import Reader, gather
from techsapo_ops.incidents.material import Material, Subject
from techsapo_ops.incidents.readers.prometheus import PrometheusSeries
from techsapo_ops.incidents.readers.services import service_readers, watched
from techsapo_ops.incidents.subject import LATELY, Known, alert_subject, firing
from techsapo_ops.messages import msg
from techsapo_ops.services.monitoring import prometheus_of
from techsapo_ops.services.prometheus.alert_rules import alert_rule, alerts_of
from techsapo_ops.spec.models.investigate import InvestigatedService
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.stack import Stack
from techsapo_ops.watch.evidence.own import own_readers

HOUR = timedelta(hours=1)
AFTER = timedelta(minutes=30)
"""How long after the beginning of an alert is looked at."""
_SUBJECT_SECONDS = 1.5
_READ_SECONDS = 3.5
"""With what is before it, a question is answered within 5 s."""


def looked_at(stack: Stack, about: str, since: timedelta, now: datetime) -> Material | None:
    """All that was read about the alert or question `about`; about the alert that fires where it is empty.

    `since` is how long before its beginning is looked at, for a question before now. None where nothing
    fires. Raises OpsError for an alert that there is not.
    """
    subject = _subject(stack, about, since, now)
    if subject is None:
        return None
    end = min(now, (subject.ended or now) + AFTER, subject.began + max(AFTER, since))
    return gather(subject, subject.began - since, end, readers_of(stack), _READ_SECONDS)


def services_of(stack: Stack) -> tuple[InvestigatedService, ...]:
    """The team's own services."""
    return stack.spec.investigate.services if stack.spec.investigate is not None else ()


def readers_of(stack: Stack) -> Mapping[str, Reader]:
    """All readers of this host by the names of their sources."""
    services, readers = services_of(stack), dict[str, Reader]()
    if (prometheus := prometheus_of(stack, _READ_SECONDS)) is not None:
        readers["Prometheus"] = PrometheusSeries(prometheus, watched(services))
    readers |= own_readers(stack)
    return readers | dict(service_readers(services, stack.directory, stack.runner))


def _subject(stack: Stack, about: str, since: timedelta, now: datetime) -> Subject | None:
    prometheus, known = prometheus_of(stack, _SUBJECT_SECONDS), _known(stack)
    if about and not _is_name(about):
        return known.asked(about, now - since)
    why = msg("this stack runs no Prometheus")
    if prometheus is not None:
        try:
            return _alert(prometheus, about, known, now)
        except (Unreachable, ApiError) as error:
            why = error.message
    if not about:
        return replace(known.asked("", now - since), summary=why)
    # What the alert means is known, and when it began is not.
    entry = alerts_of(stack.spec).get(about)
    if entry is None:
        raise unknown(msg("alert"), about, alerts_of(stack.spec))
    rule = alert_rule(stack.spec, entry, ())
    labels, summary = rule["labels"], entry.summary[stack.spec.locale]
    return Subject(now, about, labels, rule["expr"], summary, services=known.services_of(labels))


def _alert(prometheus: Prometheus, about: str, known: Known, now: datetime) -> Subject | None:
    """The alert `about` as Prometheus has it; the worst of those that fire where it is empty."""
    if not about:
        first = next(iter(firing(prometheus)), None)
        return None if first is None else alert_subject(prometheus, first.labels["alertname"], known, now)
    subject = alert_subject(prometheus, about, known, now)
    if subject is None:
        rules = (rule for group in prometheus.rules().values() for rule in group)
        names = {rule.name for rule in rules if rule.annotations} | alerts().keys()
        if about not in names:
            raise unknown(msg("alert"), about, names)
        raise OpsError(
            msg("{alert} has not fired in the last {hours} hours", alert=about, hours=LATELY // HOUR),
            msg("`techsapo alerts list --firing` lists the firing alerts"),
        )
    return subject


def _is_name(about: str) -> bool:
    """Whether this may be an alert's name, and is no question in words."""
    return about in alerts() or (about.isascii() and about.replace("_", "").isalnum())


def _known(stack: Stack) -> Known:
    topology = stack.topology
    names = {name for service in topology.services for name in (service.name, service.kind)}
    return Known(names, stack.spec.hosts.keys(), watched(services_of(stack)))
