"""What is investigated: an alert as Prometheus has it, now or lately, or a question in words."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from techsapo_ops.adapters.prometheus import Firing, Prometheus, Rule
from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.catalogue.alerts import DRILL, PAGE, SEVERITIES, WATCHDOG
from techsapo_ops.catalogue.series import NEXT, OF_THE_RULE
from techsapo_ops.incidents.labels import Watched, hosts_of, services_of
from techsapo_ops.incidents.material import Subject

LATELY = timedelta(hours=24)
"""How far back an alert that no longer fires is looked for."""
_STEP = 60.0
_GAP = 10 * 60.0
"""Seconds for which an alert may be away and is still the same one (`techsapo:alert:episode`)."""
_LONGEST = 500
_WORD = re.compile(r"[\w.@-]+")


@dataclass(frozen=True, slots=True)
class Known:
    """What names mean: the stack's `services` and `hosts`, and by service of the team's the labels that its
    alerts and series carry.
    """

    services: Collection[str] = ()
    hosts: Collection[str] = ()
    watched: Watched = field(default_factory=dict)

    def asked(self, question: str, now: datetime) -> Subject:
        """A question in words, about the services and hosts that it names."""
        words = set(_WORD.findall(question))
        return Subject(
            began=now,
            question=harmless(question)[:_LONGEST],
            services=frozenset(words & {*self.services, *self.watched}),
            hosts=frozenset(words & set(self.hosts)),
        )


def alert_subject(prometheus: Prometheus, name: str, known: Known, now: datetime) -> Subject | None:
    """The alert `name` as it fires, or fired last within LATELY; None where it did not.

    `began` is when its condition began to hold. Raises Unreachable or ApiError.
    """
    rule = next((r for rules in prometheus.rules().values() for r in rules if r.name == name), None)
    mine = [each for each in _real(prometheus.alerts()) if each.labels.get("alertname") == name]
    if mine:
        labels = [each.labels for each in mine]
        return _subject(
            name, known, labels, (min(each.since for each in mine), None), rule, mine[0].annotations
        )
    selector = f'ALERTS{{alertname="{promql(name)}",{NEXT}=""}}'
    seen = prometheus.query_range(
        f"max without (alertstate) ({selector})", (now - LATELY).timestamp(), now.timestamp(), _STEP
    )
    if not seen:
        return None
    last = max(seen, key=lambda series: max(series.values))
    times = sorted(last.values, reverse=True)
    began = times[0]
    for time in times:
        if began - time > _GAP:
            break
        began = time
    at = (datetime.fromtimestamp(began, UTC), datetime.fromtimestamp(times[0] + _STEP, UTC))
    return _subject(name, known, [last.labels], at, rule, rule.annotations if rule is not None else {})


def firing(prometheus: Prometheus) -> tuple[Firing, ...]:
    """The alerts that fire: those that wake people first, then by severity, the newest first of each.

    Raises Unreachable or ApiError.
    """

    def rank(each: Firing) -> tuple[bool, int, float]:
        severity = each.labels.get("severity", "")
        worst = list(SEVERITIES).index(severity) if severity in SEVERITIES else len(SEVERITIES)
        return each.labels.get(PAGE) != "true", worst, -each.since.timestamp()

    return tuple(sorted((a for a in _real(prometheus.alerts()) if a.state == "firing"), key=rank))


def of_labels(subject: Subject) -> dict[str, str]:
    """The labels that tell which of several an alert is about."""
    return {name: value for name, value in subject.labels.items() if name not in OF_THE_RULE}


def promql(text: str) -> str:
    """`text` within a string of PromQL."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _real(alerts: Iterable[Firing]) -> Iterable[Firing]:
    away = {WATCHDOG, DRILL}
    return (each for each in alerts if each.labels.get("alertname") not in away and NEXT not in each.labels)


def _subject(
    name: str,
    known: Known,
    labels: list[Mapping[str, str]],
    at: tuple[datetime, datetime | None],
    rule: Rule | None,
    annotations: Mapping[str, str],
) -> Subject:
    return Subject(
        began=at[0],
        alert=name,
        labels={key: harmless(value)[:_LONGEST] for key, value in labels[0].items() if key != "alertname"},
        expression=rule.query if rule is not None else "",
        summary=harmless(annotations.get("summary", annotations.get("description", "")))[:_LONGEST],
        services=frozenset().union(*(services_of(each, known.watched, known.services) for each in labels)),
        hosts=frozenset().union(*(hosts_of(each, known.services) for each in labels)),
        ended=at[1],
    )
