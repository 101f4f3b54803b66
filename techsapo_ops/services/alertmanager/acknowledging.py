"""Who has an alert: acknowledgements, which Alertmanager keeps as silences.

Such a silence is not of the alert, which is repeated as before, but of what tells the next receivers that
nobody acknowledged it (services/prometheus/next_receivers.py). It names one incident by when that began, so
that the next time the alert fires it needs another one, whoever is down meanwhile. It leaves out the next
receivers that were told before: they hear when it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from techsapo_ops.adapters.alertmanager import Alert, Alertmanager, Matcher
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.rules import INCIDENT, NEXT, OF_THE_RULE, SINCE
from techsapo_ops.errors import OpsError
from techsapo_ops.services.alertmanager.beginnings import moment_text

_ANY_NEXT = Matcher(NEXT, "=~", ".+")
LONGEST_NAME = 64
"""Characters of the name of somebody who acknowledges."""


@dataclass(frozen=True, slots=True)
class Incident:
    """A series of an alert that fires; `since` tells this time from others, as the label of that name."""

    labels: Mapping[str, str]
    since: str

    @property
    def alert(self) -> str:
        """The alert's name."""
        return self.labels["alertname"]

    @property
    def began(self) -> datetime:
        """When it began to fire."""
        return datetime.fromtimestamp(float(self.since), UTC)

    @property
    def of(self) -> str:
        """What tells it from others of its alert, such as `instance=app-1`; "" where nothing has to."""
        return ", ".join(f"{k}={v}" for k, v in sorted(self.labels.items()) if k not in OF_THE_RULE)

    def __str__(self) -> str:
        return f"{self.alert} ({self.of})" if self.of else self.alert


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody has an incident, from `at` to `until`."""

    id: str
    incident: Incident
    by: str
    at: datetime
    until: datetime
    comment: str

    def __str__(self) -> str:
        own = "" if self.comment == _has(self.by, self.incident) else f": {self.comment}"
        return f"{_has(self.by, self.incident)}, since {moment_text(self.at)}{own}"


class Taken(OpsError):
    """Somebody else has it."""


def incidents(prometheus: Prometheus) -> tuple[Incident, ...]:
    """What fires, the oldest first."""
    found = (
        Incident({k: v for k, v in s.labels.items() if k not in ("__name__", SINCE)}, s.labels[SINCE])
        for s in prometheus.query(INCIDENT)
    )
    return tuple(sorted(found, key=lambda incident: (float(incident.since), str(incident))))


def acknowledgements(alertmanager: Alertmanager) -> tuple[Acknowledgement, ...]:
    """Those that hold now, the first of each incident first."""
    found = []
    for silence in alertmanager.silences():
        equal = {m.name: m.value for m in silence.matchers if m.operator == "="}
        if silence.state != "active" or _ANY_NEXT not in silence.matchers or "alertname" not in equal:
            continue
        if (since := equal.pop(SINCE, None)) is not None:
            incident = Incident(equal, since)
            times = (silence.starts, silence.ends)
            found.append(Acknowledgement(silence.id, incident, silence.created_by, *times, silence.comment))
    return tuple(sorted(found, key=lambda a: (a.at, a.id)))


def holder(incident: Incident, held: Iterable[Acknowledgement]) -> Acknowledgement | None:
    """Who of `held` has the incident."""
    return next((a for a in held if a.incident == incident), None)


def holders(
    prometheus: Prometheus, alertmanager: Alertmanager
) -> Mapping[frozenset[tuple[str, str]], Acknowledgement]:
    """Who has what fires, by the labels that an alert has in Prometheus."""
    held = acknowledgements(alertmanager)
    current = incidents(prometheus) if held else ()
    return {frozenset(i.labels.items()): a for i in current if (a := holder(i, held)) is not None}


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody takes an incident over until a time; `take_over` also where another has it."""

    by: str
    until: datetime
    comment: str = ""
    take_over: bool = False


def acknowledge(
    alertmanager: Alertmanager,
    wanted: Sequence[Incident],
    claim: Claim,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> tuple[Acknowledgement, ...]:
    """Acknowledge all of `wanted`, at least one. Raises Taken, and changes nothing, where another has one.

    Of two people at once the first has it: whoever finds another's acknowledgement from before the own one
    takes that back. What is returned lacks it, and where nothing is left, that is Taken as well.
    """
    before = acknowledgements(alertmanager)
    if not claim.take_over:
        _refuse([a for i in wanted if (a := holder(i, before)) is not None and a.by != claim.by])
    told = alertmanager.alerts()
    made = {_silence(alertmanager, incident, claim, clock(), told) for incident in wanted}
    same = [incident.labels for incident in wanted]  # with those of incidents that are over
    withdraw(alertmanager, (old for old in before if old.incident.labels in same))
    now = acknowledgements(alertmanager)
    first = [a for i in wanted if (a := holder(i, now)) is not None]
    withdraw(alertmanager, (a for a in now if a.id in made and a not in first))
    own = tuple(a for a in first if a.id in made)
    if not own:
        _refuse(first)
    return own


def withdraw(alertmanager: Alertmanager, given: Iterable[Acknowledgement]) -> None:
    """End acknowledgements: nobody has it any more."""
    for each in given:
        alertmanager.expire(each.id)


def _silence(
    alertmanager: Alertmanager, incident: Incident, claim: Claim, now: datetime, told: Iterable[Alert]
) -> str:
    matchers = [Matcher(name, "=", value) for name, value in sorted(incident.labels.items())]
    matchers += [Matcher(SINCE, "=", incident.since), _ANY_NEXT]
    if steps := _told_steps(incident, told):
        matchers.append(Matcher(NEXT, "!~", "|".join(steps)))
    comment = claim.comment or _has(claim.by, incident)
    return alertmanager.silence(matchers, now, claim.until, claim.by, comment)


def _told_steps(incident: Incident, alerts: Iterable[Alert]) -> list[str]:
    """Which of the next receivers were told of the incident: a silence would hide its end from them."""
    wanted = incident.labels.items() | {(SINCE, incident.since)}
    return sorted(
        a.labels[NEXT]
        for a in alerts
        if NEXT in a.labels and a.state != "suppressed" and wanted <= a.labels.items()
    )


def _has(by: str, incident: Incident) -> str:
    return f"{by} has {incident}"


def _refuse(taken: Sequence[Acknowledgement]) -> None:
    if taken:
        held = taken[0]
        raise Taken(
            f"{held.by} has {held.incident}, since {moment_text(held.at)}",
            "if you take it over, say so: --take-over",
        )
