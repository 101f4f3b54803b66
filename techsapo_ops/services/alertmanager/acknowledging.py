"""Who has an alert: acknowledgements, which Alertmanager keeps as silences.

Such a silence is not of the alert, which is repeated as before, but of what tells the next receivers that
nobody acknowledged it (services/prometheus/episodes.py). It names one episode by when that began, so
that the next time the alert fires it needs another one, whoever is down meanwhile. It leaves out the next
receivers that were told before: they hear when it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from techsapo_ops.adapters.alertmanager import Alert, Alertmanager, Matcher, Silence
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.series import EPISODE, NEXT, OF_THE_RULE, SINCE
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.alertmanager.silencing import LONGEST_COMMENT, is_comment, moment_text

_ANY_NEXT = Matcher(NEXT, "=~", ".+")
LONGEST_NAME = 64
"""Characters of the name of somebody who acknowledges."""


@dataclass(frozen=True, slots=True)
class Episode:
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
    """Somebody has an episode, from `at` to `until`. `comment` is Alertmanager's, which wants one."""

    id: str
    episode: Episode
    by: str
    at: datetime
    until: datetime
    comment: str

    @property
    def own_comment(self) -> str:
        """What somebody wrote; "" where nobody did."""
        return "" if self.comment == _has(self.by, self.episode) else self.comment

    def __str__(self) -> str:
        own = f": {self.own_comment}" if self.own_comment else ""
        return f"{_has(self.by, self.episode)}, since {moment_text(self.at)}{own}"


class Taken(OpsError):
    """Somebody else has it."""


class NotStored(OpsError):
    """Alertmanager took the acknowledgement, and does not have it."""


class Unfit(OpsError):
    """What `field` of a claim says can't stand in a line."""

    def __init__(self, field: Literal["by", "comment"], allowed: str) -> None:
        self.field = field
        super().__init__(
            msg("--{field}: write {allowed} printable characters", field=field, allowed=allowed), exit_code=2
        )


def episodes(prometheus: Prometheus) -> tuple[Episode, ...]:
    """What fires, the oldest first."""
    firing = (
        Episode({k: v for k, v in s.labels.items() if k not in ("__name__", SINCE)}, s.labels[SINCE])
        for s in prometheus.query(EPISODE)
    )
    return tuple(sorted(firing, key=lambda episode: (float(episode.since), str(episode))))


def acknowledgements(alertmanager: Alertmanager) -> tuple[Acknowledgement, ...]:
    """Those that hold now, the first of each episode first."""
    return acknowledgements_of(alertmanager.silences())


def acknowledgements_of(silences: Iterable[Silence]) -> tuple[Acknowledgement, ...]:
    """Those of `silences` that are one and hold, the first of each episode first."""
    held = []
    for silence in silences:
        equal = {m.name: m.value for m in silence.matchers if m.operator == "="}
        if silence.state != "active" or _ANY_NEXT not in silence.matchers or "alertname" not in equal:
            continue
        if (since := equal.pop(SINCE, None)) is not None:
            episode = Episode(equal, since)
            times = (silence.starts, silence.ends)
            held.append(Acknowledgement(silence.id, episode, silence.created_by, *times, silence.comment))
    return tuple(sorted(held, key=lambda a: (a.at, a.id)))


def holder(episode: Episode, held: Iterable[Acknowledgement]) -> Acknowledgement | None:
    """Who of `held` has the episode."""
    return next((a for a in held if a.episode == episode), None)


def holders(
    prometheus: Prometheus, alertmanager: Alertmanager
) -> Mapping[frozenset[tuple[str, str]], Acknowledgement]:
    """Who has what fires, by the labels that an alert has in Prometheus."""
    held = acknowledgements(alertmanager)
    current = episodes(prometheus) if held else ()
    return {frozenset(i.labels.items()): a for i in current if (a := holder(i, held)) is not None}


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody takes an episode over until a time; `take_over` also where another has it. `mark` follows the
    name wherever it is recorded, such as that nobody verified it.

    Raises Unfit for a name or a comment that is too long, or is more than a line of text.
    """

    by: str
    until: datetime
    comment: str = ""
    take_over: bool = False
    mark: str = ""

    @property
    def recorded(self) -> str:
        """The name as Alertmanager keeps it, and as lists, pages and messages show it."""
        return self.by + self.mark

    def __post_init__(self) -> None:
        if not 0 < len(self.by) <= LONGEST_NAME or not self.by.isprintable():
            raise Unfit("by", msg("a name of 1 to {longest_name}", longest_name=LONGEST_NAME))
        if not is_comment(self.comment):
            raise Unfit("comment", msg("at most {longest_comment}", longest_comment=LONGEST_COMMENT))


def acknowledge(
    alertmanager: Alertmanager,
    wanted: Sequence[Episode],
    claim: Claim,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> tuple[Acknowledgement, ...]:
    """Acknowledge all of `wanted`, at least one. Raises Taken, and changes nothing, where another has one.

    Of two people at once the first has it: whoever finds another's acknowledgement from before the own one
    takes that back. What is returned lacks it, and what Alertmanager does not have after all; where nothing
    is left, that is Taken as well, or NotStored. Raises Unreachable or ApiError where Alertmanager goes away,
    maybe in between: the same once more does no harm.
    """
    before = acknowledgements(alertmanager)
    if not claim.take_over:
        _refuse([a for i in wanted if (a := holder(i, before)) is not None and a.by != claim.recorded])
    alerts = alertmanager.alerts()
    made: dict[str, Episode] = {}
    for episode in wanted:
        made[_silence(alertmanager, episode, claim, clock(), alerts)] = episode
    return _settled(alertmanager, made, before)


def _settled(
    alertmanager: Alertmanager, made: Mapping[str, Episode], before: Iterable[Acknowledgement]
) -> tuple[Acknowledgement, ...]:
    """Which of those that were made hold. Ends the others, and those of `before` in whose place they are."""
    silences = alertmanager.silences()
    replaced = {old.id: old for old in before}
    now = [a for a in acknowledgements_of(silences) if a.id not in replaced]
    first = [a for i in made.values() if (a := holder(i, now)) is not None]
    own = tuple(a for a in first if a.id in made)
    valid = {a.id for a in own}
    for silence in silences:
        if silence.id in made and silence.id not in valid and silence.state != "expired":
            alertmanager.expire(silence.id)
    if not own:
        _refuse(first)
        raise NotStored(
            msg("Alertmanager does not have the acknowledgement"),
            msg(
                "somebody withdrew the acknowledgement at the same moment, or this host's clock was changed; "
                "try again"
            ),
        )
    same = [a.episode.labels for a in own]  # with those of episodes that are over
    withdraw(alertmanager, (old for old in replaced.values() if old.episode.labels in same))
    return own


def withdraw(alertmanager: Alertmanager, given: Iterable[Acknowledgement]) -> None:
    """End acknowledgements: nobody has it any more."""
    for each in given:
        alertmanager.expire(each.id)


def _silence(
    alertmanager: Alertmanager, episode: Episode, claim: Claim, now: datetime, alerts: Iterable[Alert]
) -> str:
    matchers = [Matcher(name, "=", value) for name, value in sorted(episode.labels.items())]
    matchers += [Matcher(SINCE, "=", episode.since), _ANY_NEXT]
    if steps := _notified_steps(episode, alerts):
        matchers.append(Matcher(NEXT, "!~", "|".join(steps)))
    comment = claim.comment or _has(claim.recorded, episode)
    return alertmanager.silence(matchers, now, claim.until, claim.recorded, comment)


def _notified_steps(episode: Episode, alerts: Iterable[Alert]) -> list[str]:
    """Which of the next receivers were told of the episode: a silence would hide its end from them."""
    wanted = episode.labels.items() | {(SINCE, episode.since)}
    return sorted(
        a.labels[NEXT]
        for a in alerts
        if NEXT in a.labels and a.state != "suppressed" and wanted <= a.labels.items()
    )


def _has(by: str, episode: Episode) -> str:
    return f"{by} has {episode}"


def _refuse(taken: Sequence[Acknowledgement]) -> None:
    if taken:
        held = taken[0]
        raise Taken(
            msg(
                "{by} acknowledged {episode} at {moment_text}",
                by=held.by,
                episode=held.episode,
                moment_text=moment_text(held.at),
            ),
            msg("to take over the acknowledgement, add --take-over"),
        )
