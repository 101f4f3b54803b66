"""What `techsapo why` reads of a stack: what it is about, and all that its sources say."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Firing, Prometheus
from techsapo_ops.adapters.questions import at_once
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.gather import Reader, gather, reason
from techsapo_ops.incidents.labels import services_of
from techsapo_ops.incidents.material import Material, Subject
from techsapo_ops.incidents.readers.prometheus import PrometheusSeries
from techsapo_ops.incidents.readers.services import service_readers, watched
from techsapo_ops.incidents.subject import LATELY, Known, alert_subject, firing
from techsapo_ops.masking.masker import Masker
from techsapo_ops.messages import msg
from techsapo_ops.services.alertmanager.silencing import muted
from techsapo_ops.services.monitoring import alertmanager_of, prometheus_of
from techsapo_ops.services.prometheus.alert_rules import alert_rule, alerts_of
from techsapo_ops.spec.models.investigate import InvestigatedService
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.stack import Stack

HOUR = timedelta(hours=1)
ANSWERED = 5.0
"""Seconds from the start of the process to its answer: who waits counts what Python takes to start, too."""
_STARTING = 3.0
"""What of the start is counted at most: on a slower machine the answer takes longer, and sources get time."""
_SHOWING = 0.7
"""Seconds that weighing and showing the evidence takes."""
_SUBJECT = 0.5
"""Share of the rest that is spent at most on what it is about, while what reads the sources is imported."""
_LEAST = 0.5
"""Seconds that a part gets however slow the machine is."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When all sources must have been read, by the clock `now`."""

    at: float
    now: Callable[[], float] = time.time

    @classmethod
    def from_start(cls, started: float, now: Callable[[], float] = time.time) -> Deadline:
        """That of a question which somebody asked at `started`, in Unix seconds."""
        return cls(max(started, now() - _STARTING) + ANSWERED - _SHOWING, now)

    def left(self, share: float = 1.0) -> float:
        """Seconds until then, or that share of them; _LEAST at least."""
        return max(_LEAST, share * (self.at - self.now()))


def looked_at(
    stack: Stack, about: str, since: timedelta, now: datetime, deadline: Deadline
) -> Material | None:
    """All that was read about the alert or question `about`; about the alert that fires where it is empty.

    `since` is how long before its beginning is looked at, for a question before now. None where nothing
    fires. Raises OpsError for an alert that there is not.
    """
    subject = _subject(stack, about, since, now, deadline.left(_SUBJECT))
    if subject is None:
        return None
    seconds = deadline.left()
    return gather(subject, *subject.window(now, since), readers_of(stack, seconds), seconds)


def mask_of(stack: Stack) -> Callable[[str], str]:
    """Takes out what looks like a secret, and those that the stack has, where this user may read them."""
    from techsapo_ops.watch.secrets import scrubber_of

    try:
        return scrubber_of(stack.layout, stack).scrub
    except OpsError:  # who may not read them may read fewer logs, and the rules find what looks like one
        return Masker("secrets").mask


def watched_services(stack: Stack) -> tuple[InvestigatedService, ...]:
    """The team's own services."""
    return stack.spec.investigate.services if stack.spec.investigate is not None else ()


def readers_of(stack: Stack, seconds: float) -> Mapping[str, Reader]:
    """All readers of this host by the names of their sources; `seconds` is how long an answer may take."""
    from techsapo_ops.watch.evidence.own import own_readers

    services, readers = watched_services(stack), dict[str, Reader]()
    if (prometheus := prometheus_of(stack, seconds)) is not None:
        readers["Prometheus"] = PrometheusSeries(prometheus, watched(services))
    readers |= own_readers(stack)
    if stack.spec.knowledge:
        from techsapo_ops.apply.knowledge import knowledge_of
        from techsapo_ops.incidents.knowledge import OwnKnowledge

        readers[msg("own pages")] = OwnKnowledge(
            lambda query, limit: knowledge_of(stack).search(query, limit)
        )
    return readers | dict(service_readers(services, stack.directory, stack.runner))


def _load_readers() -> None:
    """Import what the readers need, while Prometheus is waited for."""
    import techsapo_ops.watch.evidence.own  # noqa: F401


def _subject(stack: Stack, about: str, since: timedelta, now: datetime, seconds: float) -> Subject | None:
    prometheus, known = prometheus_of(stack, seconds), _known(stack)
    if about and not _is_name(about):
        return known.asked(about, now - since)
    why = msg("this stack runs no Prometheus")
    if prometheus is not None:
        asked: dict[str, Callable[[], Subject | None]] = {
            "alert": partial(_alert, stack, prometheus.within(seconds), about, now),
            "readers": _load_readers,
        }
        answer = at_once(asked, seconds)["alert"]
        if not isinstance(answer, Exception):
            return answer
        if not isinstance(answer, Unreachable | ApiError | TimeoutError):
            raise answer
        why = reason(answer)
    if not about:
        return replace(known.asked("", now - since), summary=why)
    # What the alert means is known, and when it began is not.
    entry = alerts_of(stack.spec).get(about)
    if entry is None:
        raise unknown(msg("alert"), about, alerts_of(stack.spec))
    rule = alert_rule(stack.spec, entry, ())
    labels, summary = rule["labels"], entry.summary[stack.spec.locale]
    services = services_of(labels, known.watched, known.services)
    return Subject(now, about, labels, rule["expr"], summary, services=services)


def _alert(stack: Stack, prometheus: Prometheus, about: str, now: datetime) -> Subject | None:
    """The alert `about` as Prometheus has it; the worst of those that fire where it is empty."""
    known = _known(stack)
    if not about:
        first = next(iter(unmuted_first(firing(prometheus), alertmanager_of(stack, _LEAST))), None)
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


def unmuted_first(alerts: Sequence[Firing], server: Alertmanager | None) -> Sequence[Firing]:
    """`alerts` in their order, those last that `server` mutes for a silence or a worse alert.

    RedisErrors is not what to look into while RedisDown explains it. If `server` does not answer, all count.
    """
    try:
        hushed = muted(server.alerts(), ()) if server is not None else {}
    except (Unreachable, ApiError):
        hushed = {}
    return sorted(alerts, key=lambda each: frozenset(each.labels.items()) in hushed)


def _is_name(about: str) -> bool:
    """Whether this may be an alert's name, and is no question in words."""
    return about in alerts() or (about.isascii() and about.replace("_", "").isalnum())


def _known(stack: Stack) -> Known:
    topology = stack.topology
    names = {name for service in topology.services for name in (service.name, service.kind)}
    return Known(names, stack.spec.hosts.keys(), watched(watched_services(stack)))
