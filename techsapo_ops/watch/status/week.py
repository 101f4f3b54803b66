"""The last days on one screen: who had which alert, what was noisy, what came back, cost and expires.

Each part asks its own source. One whose source is away says why, and the others come all the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.catalogue.alerts import PAGE
from techsapo_ops.catalogue.series import NEXT
from techsapo_ops.certs.needs import certificates_of
from techsapo_ops.certs.status import status
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.job import JobContext, JobResult
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.alertmanager.silencing import over_critical
from techsapo_ops.services.app.rendered_spec import keys_file
from techsapo_ops.services.monitoring import alertmanager_of, prometheus_of
from techsapo_ops.spec.models.providers import ModelProvider
from techsapo_ops.spec.providers import announced_end
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stores.keys import KeyFile
from techsapo_ops.watch.alerts.reports import send_report
from techsapo_ops.watch.backups import backups_of
from techsapo_ops.watch.costs import rows_of
from techsapo_ops.watch.doctor.checks import look, sentences

WEEK = timedelta(days=7)
_SOON = timedelta(days=60)
"""What expires later is nobody's business yet."""
_MOST = 5
"""Entries of a part that are named; the others are counted."""
_NOISY = 3
"""Times that an alert has to fire to be called noisy."""
_ASKED_SECONDS = 20.0
_INDENT = "   "
_FIRING = f'ALERTS{{alertstate="firing",alertname!~"Watchdog|Drill",{NEXT}=""}}'
_BY_ALERT = f"max by (alertname, {PAGE})"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: its heading and its lines."""

    name: str
    heading: str
    lines: tuple[str, ...]
    missing: str = ""
    """Why its source could not be asked; empty where it was."""


@dataclass(frozen=True, slots=True)
class Week:
    """What there is to say of the time from `since` to `until`."""

    project: str
    since: datetime
    until: datetime
    parts: tuple[Topic, ...]

    @property
    def title(self) -> str:
        """What it is about, in one line."""
        return msg(
            "{project}: {since:%Y-%m-%d} to {until:%Y-%m-%d}",
            project=self.project, since=self.since, until=self.until,
        )  # fmt: skip

    @property
    def lines(self) -> Iterator[str]:
        """The parts as people read them, the first line of each behind its heading."""
        for part in self.parts:
            yield msg("{heading}: {line}", heading=part.heading, line=part.lines[0])
            yield from (_INDENT + line for line in part.lines[1:])

    def to_json(self) -> dict[str, Any]:
        """The same lines, by topic."""
        return {
            "project": self.project,
            "since": self.since.isoformat(timespec="seconds"),
            "until": self.until.isoformat(timespec="seconds"),
            **{part.name: {"missing": part.missing or None, "lines": part.lines} for part in self.parts},
        }


@dataclass(frozen=True, slots=True)
class _Asked:
    stack: Stack
    since: datetime
    until: datetime
    server: Prometheus | None

    @property
    def window(self) -> str:
        """The time as a range of PromQL."""
        return f"{round((self.until - self.since).total_seconds())}s"

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Labels and values of what Prometheus says now. Raises OpsError where the stack has none."""
        if self.server is None:
            raise OpsError(msg("this stack runs no Prometheus"))
        return [(dict(sample.labels), sample.value) for sample in self.server.query(expression)]

    def at(self, moment: datetime) -> str:
        """A moment by the clock of who asks."""
        return f"{moment.astimezone(self.until.tzinfo):%Y-%m-%d %H:%M}"


def week_of(stack: Stack, since: datetime, until: datetime, server: Prometheus | None = None) -> Week:
    """The time between, both aware; `server` is asked in place of the stack's own Prometheus."""
    prometheus = server or prometheus_of(stack)
    patient = prometheus.within(_ASKED_SECONDS) if prometheus is not None else None
    asked = _Asked(stack, since, until, patient)
    environment = stack.layout.environment
    project = stack.spec.project if environment is None else f"{stack.spec.project} ({environment})"
    parts = (
        _part("paged", msg("Alerts that paged"), _paged, asked),
        _part("noisy", msg("Noisy alerts"), _noisy, asked),
        _part("backups", msg("Backups"), _backups, asked),
        _part("cost", msg("Cost"), _cost, asked),
        _part("updates", msg("Updates"), _updates, asked),
        _part("silences", msg("Silences"), _silences, asked),
        _part("expires", msg("Expires"), _expires, asked),
    )
    return Week(harmless(project), since, until, parts)


def _part(name: str, heading: str, ask: Callable[[_Asked], list[str]], asked: _Asked) -> Topic:
    try:
        return Topic(name, heading, tuple(ask(asked)))
    except (OpsError, OSError) as error:
        why = error.message if isinstance(error, OpsError) else str(error)
        return Topic(name, heading, (msg("not available: {why}", why=why.partition("\n")[0]),), missing=why)


def _some(lines: list[str], none: str) -> list[str]:
    rest = len(lines) - _MOST
    return [*lines[:_MOST], *([msg("{rest} more", rest=rest)] if rest > 0 else [])] or [none]


def _paged(asked: _Asked) -> list[str]:
    """Alerts that paged, and who acknowledged them."""
    minutes = asked.query(f"count_over_time({_BY_ALERT} ({_FIRING})[{asked.window}:1m])")
    holders: dict[str, set[str]] = defaultdict(set)
    held = f"max by (alert, by) (max_over_time(techsapo_alert_acknowledged[{asked.window}]))"
    for labels, _ in asked.query(held):
        holders[labels.get("alert", "")].add(harmless(labels.get("by", "")))
    lines = []
    for labels, value in sorted(minutes, key=lambda each: -each[1]):
        if labels.get(PAGE) == "true":
            alert = labels["alertname"]
            who = ", ".join(sorted(holders[alert])) or msg("not acknowledged by anyone")
            lines.append(msg("{alert}, {minutes} min: {who}", alert=alert, minutes=round(value), who=who))
    return [*_some(lines, msg("none")), *_unmeasured(asked)]


def _unmeasured(asked: _Asked) -> Iterator[str]:
    """That Prometheus knows less than all of the time: without this, no data would look like no alert."""
    known = sum(value for _, value in asked.query(f"count_over_time(max(up)[{asked.window}:5m])")) / 12
    whole = (asked.until - asked.since).total_seconds() / 3600
    if known < 0.95 * whole:
        yield msg("Prometheus has data for only {known:.0f} h of {whole:.0f} h", known=known, whole=whole)


def _noisy(asked: _Asked) -> list[str]:
    """The alerts that began to fire most often; what ends for less than a minute goes on."""
    began = f"{_BY_ALERT} ({_FIRING}) unless {_BY_ALERT} ({_FIRING} offset 1m)"
    times = asked.query(f"count_over_time(({began})[{asked.window}:1m])")
    counts = sorted(((round(value), labels["alertname"]) for labels, value in times), reverse=True)
    noisy = [(count, name) for count, name in counts if count >= _NOISY]
    lines = [msg("{alert} fired {count} times", alert=name, count=count) for count, name in noisy]
    none = msg("no alert fired {times} times or more", times=_NOISY)
    return _some(lines, none)


def _backups(asked: _Asked) -> list[str]:
    """The last backup that came back, and whether a newer look was bad."""
    backups = backups_of(asked.stack)
    proved = backups.proved
    lines = []
    if proved is None:
        lines.append(msg("no backup was restored as a test"))
    elif proved.where == "here":
        lines.append(
            msg("backup {id} was restored as a test on {when}", id=proved.id, when=asked.at(proved.at))
        )
    else:
        lines.append(
            msg(
                "backup {id} was fetched from off-site and restored as a test on {when}",
                id=proved.id,
                when=asked.at(proved.at),
            )
        )
    if backups.newest_begun is not None:
        lines.append(msg("the latest backup is from {when}", when=asked.at(backups.newest_begun)))
    if backups.failed:
        lines.append(msg("backups that failed verification: {ids}", ids=", ".join(backups.failed[-_MOST:])))
    return lines


def _cost(asked: _Asked) -> list[str]:
    """What whole days cost, by UTC, with as many before, by provider."""
    days = max(round((asked.until - asked.since) / timedelta(days=1)), 1)
    end = asked.until.astimezone(UTC).date()
    begin, before = f"{end - timedelta(days=days)}", f"{end - timedelta(days=2 * days)}"
    spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    rows = rows_of(asked.stack, 2 * days)
    for name, day, usd in (
        *(("", r.day, r.cost_usd) for r in rows.requests),
        *((c.provider, c.day, c.cost_usd) for c in rows.calls),
    ):
        if before <= day < f"{end}":
            spent[name][day < begin] += usd
    now, then = spent.pop("", [0.0, 0.0])
    ranked = sorted(spent.items(), key=lambda each: -each[1][0])
    total = msg(
        "${now:.2f} in {days} days up to {last} (UTC), ${then:.2f} in the {days} days before",
        now=now, days=days, last=f"{end - timedelta(days=1)}", then=then,
    )  # fmt: skip
    each = [
        msg("{name} ${now:.2f} (${then:.2f} in the period before)", name=n, now=a, then=b)
        for n, (a, b) in ranked
    ]
    return [total, *(_some(each, "") if each else [])]


def _updates(asked: _Asked) -> list[str]:
    """Security updates that wait, and services that run what an update has replaced."""
    return sentences(look(asked.stack, asked.until.timestamp())) or [msg("no update or restart is pending")]


def _silences(asked: _Asked) -> list[str]:
    """Silences over critical alerts."""
    alertmanager = alertmanager_of(asked.stack)
    hushed = over_critical(alertmanager.silences(), asked.stack.spec) if alertmanager is not None else ()
    lines = [
        msg(
            "{alerts} silenced until {end} ({by})",
            alerts=joined(", ", _some(list(each.alerts), "")),
            end=asked.at(each.silence.ends),
            by=harmless(each.silence.created_by),
        )
        for each in hushed
    ]
    return _some(lines, msg("no silence covers a critical alert"))


def _expires(asked: _Asked) -> list[str]:
    """Certificates, models and API keys that end soon, or have."""
    stack, zone = asked.stack, asked.until.tzinfo
    ends: list[tuple[datetime, str]] = [
        (each.not_after, msg("certificate {name}", name=each.name))
        for each in status(certificates_of(stack, lambda _: None))
        if each.not_after is not None
    ]
    for name, provider in stack.spec.providers.items():
        if provider.enabled and isinstance(provider, ModelProvider) and (end := announced_end(provider)):
            retires = datetime(end.retires.year, end.retires.month, end.retires.day, tzinfo=zone)
            ends.append((retires, msg("model {model} of provider {name}", model=provider.model, name=name)))
    keys = KeyFile(keys_file(stack.spec, stack.layout)).read()
    ends += [(k.expires, msg("API key {name}", name=k.name)) for k in keys if k.expires and not k.revoked]
    soon = sorted((end, what) for end, what in ends if end < asked.until + _SOON)
    lines = [msg("{what} on {when:%Y-%m-%d}", what=harmless(what), when=end) for end, what in soon]
    return _some(lines, msg("nothing expires within {days} days", days=_SOON.days))


def job(context: JobContext) -> JobResult:
    """Make the report and send it. Raises OpsError where a receiver did not take it."""
    now = datetime.now().astimezone()
    week = week_of(context.stack(), now - WEEK, now)
    return send_report(context, week.title, week.lines)
