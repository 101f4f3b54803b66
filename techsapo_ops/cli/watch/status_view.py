"""How `techsapo status` looks: a line a part and below it what needs somebody, or the same as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from techsapo_ops.catalogue.alerts import WATCHDOG
from techsapo_ops.cli.watch.services_view import age, away_rows, next_step, state_word, summary
from techsapo_ops.jobs.runs import Run
from techsapo_ops.messages import joined, msg

if TYPE_CHECKING:
    from techsapo_ops.apply.drift import DriftReport
    from techsapo_ops.certs.status import Status as CertificateStatus
    from techsapo_ops.jobs.runs import JobStatus
    from techsapo_ops.stack.observed import Observed
    from techsapo_ops.stack.stack import Stack
    from techsapo_ops.watch.alerts.firing import Listed, Listing
    from techsapo_ops.watch.backups import Backups
    from techsapo_ops.watch.costs import Spent
    from techsapo_ops.watch.health.report import HealthReport
    from techsapo_ops.watch.status.status import Look, StackStatus, Versions

_MOST = 6
"""Lines below a part; the rest is counted."""
LABEL = 14
"""Cells of a label."""
_NOW = ("firing", "pending")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `label` begins a part. `state` is a word that has a colour, see cli.output."""

    text: str
    state: str = ""
    label: str = ""

    def __str__(self) -> str:
        return msg("{label:{width}} {text}", label=self.label, width=LABEL, text=self.text).rstrip()


def lines(status: StackStatus, stack: Stack) -> Iterator[Line]:
    """The screen."""
    at = f"{status.at.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    first = msg(
        "{status} on {engine}, {at}, {seconds:.1f} s",
        status=state_word(status.status.value),
        engine=stack.topology.engine,
        at=at,
        seconds=status.seconds,
    )
    yield Line(first, status.status.value, stack.spec.project)
    if status.maintenance is not None:
        yield Line(str(status.maintenance), "warning", msg("maintenance"))
    yield from _part(msg("health"), status.health, _health)
    yield from _part(msg("services"), status.services, lambda observed: _services(observed, status.at))
    if status.front is not None:
        address = str(stack.spec.floating_address)
        yield from _part(msg("address"), status.front, lambda hosts: _front(hosts, address))
    yield from _part(msg("alerts"), status.alerts, lambda listing: _alerts(listing, status.at))
    yield from _part(msg("backups"), status.backups, lambda backups: _backups(backups, status.at))
    yield from _part(msg("certificates"), status.certificates, _certificates)
    yield from _part(msg("budget"), status.budget, _budget)
    yield from _part(msg("jobs"), status.jobs, lambda jobs: _jobs(jobs, status.at))
    yield from _part(msg("drift"), status.drift, _drift)
    yield from _part(msg("versions"), status.versions, _versions)


def next_of(status: StackStatus) -> str:
    """What to do next; empty where nothing asks for somebody."""
    if (health := status.health.value) is not None and health.failing:
        return next_step(health)
    if (listing := status.alerts.value) is not None:
        for each in _holding(listing):
            if each.state == "firing" and each.acknowledged is None:
                return f"`techsapo alerts show {each.alert.name}`"
    if (drift := status.drift.value) is not None and drift.findings:
        return "techsapo changes drift"
    return next_step(health) if health is not None else ""


def _part(label: str, look: Look[Any], show: Callable[[Any], Iterator[Line]]) -> Iterator[Line]:
    if look.value is None:
        yield Line(msg("unknown: {why}", why=look.why), "warning", label)
        return
    for number, line in enumerate(show(look.value)):
        yield replace(line, label=label if number == 0 else "")


def _some(first: Line, below: Sequence[Line]) -> Iterator[Line]:
    yield first
    yield from below[:_MOST]
    if len(below) > _MOST:
        yield Line(msg("  and {count} more", count=len(below) - _MOST))


def _health(report: HealthReport) -> Iterator[Line]:
    absent = [p for p in report.probes if p.status == "absent"]
    named = [
        Line(msg("  {name}: {detail}", name=p.name, detail=p.detail), p.status.value)
        for p in (*report.failing, *absent)
        if not p.away
    ]
    named[:0] = [
        Line(msg("  {name}: {detail}", name=host, detail=words), "down") for host, words in away_rows(report)
    ]
    yield from _some(Line(summary(report), report.status.value), named)


def _services(observed: Observed, now: datetime) -> Iterator[Line]:
    every = list(observed.services.values())
    up = [s for s in every if s.state.runs]
    if not every:
        yield Line(msg("no service has been started yet"), "warning")
        return
    since = min((s.started for s in up if s.started is not None), default=None)
    first = msg("{count} of {count2} running", count=len(up), count2=len(every)) + (
        msg(", for up to {age}", age=age(since, now)) if since is not None else ""
    )
    below = [
        Line(
            msg("  {name}: {state}", name=s.name, state=observed.stopped.get(s.name) or state_word(s.state)),
            str(s.state),
        )
        for s in every
        if not s.state.runs
    ]
    yield from _some(Line(first, "ok" if len(up) == len(every) else "warning"), below)


def _front(hosts: Sequence[str], address: str) -> Iterator[Line]:
    words = {
        0: msg("no host has the address {address}", address=address),
        1: msg("host {host} has the address {address}", host="".join(hosts), address=address),
    }
    twice = msg(
        "more than one host has the address {address}: {hosts}", address=address, hosts=", ".join(hosts)
    )
    yield Line(words.get(len(hosts), twice), "ok" if len(hosts) == 1 else "down")


def _holding(listing: Listing) -> list[Listed]:
    """What fires or is about to, but for the one that always does."""
    return [f for f in listing.alerts if f.state in _NOW and f.alert.name != WATCHDOG]


def _alerts(listing: Listing, now: datetime) -> Iterator[Line]:
    if listing.trouble:
        yield Line(msg("unknown: {trouble}", trouble=listing.trouble), "warning")
        return
    held = _holding(listing)
    hushed = sum(f.state in {"silenced", "inhibited"} for f in listing.alerts)
    counts = [(sum(f.state == state for f in held), state) for state in _NOW]
    words = joined(", ", [_counted(state, count) for count, state in counts if count]) or msg("none firing")
    if hushed:
        words += msg(", {hushed} silenced or inhibited", hushed=hushed)
    first = Line(words, "failed" if counts[0][0] else "ok")
    alert_lines = Counter(
        Line(msg("  {alert}", alert=_alert(each, now)), _alert_state(each)) for each in held
    )
    below = [
        line if count == 1 else replace(line, text=msg("{text} ({count} times)", text=line.text, count=count))
        for line, count in alert_lines.items()
    ]
    if listing.untold:
        below.insert(0, Line(msg("  {untold}", untold=listing.untold), "warning"))
    yield from _some(first, below)


def _counted(state: str, count: int) -> str:
    if state == "firing":
        return msg("{count} firing", count=count)
    return msg("{count} pending", count=count)


def _alert(each: Listed, now: datetime) -> str:
    since = msg(" for {age}", age=age(each.since, now)) if each.since is not None else ""
    held = each.acknowledged
    who = msg("not acknowledged") if held is None else msg("acknowledged by {by}", by=held.by)
    if held is not None and held.own_comment:
        who += msg(" ({comment})", comment=held.own_comment)
    if each.state == "pending":
        about = {"name": each.alert.name, "severity": each.alert.severity, "since": since}
        if not each.summary:
            return msg("{name} ({severity}) pending{since}; fires if the condition lasts", **about)
        return msg(
            "{name} ({severity}) pending{since}; fires if the condition lasts: {summary}",
            summary=each.summary, **about,
        )  # fmt: skip
    return msg(
        "{name} ({severity}) firing{since}; {who}: {summary}",
        name=each.alert.name,
        severity=each.alert.severity,
        since=since,
        who=who,
        summary=each.summary,
    )


def _alert_state(each: Listed) -> str:
    if each.state != "firing" or each.acknowledged is not None:
        return "warning"
    return "failed" if each.alert.severity == "critical" else "warning"


def _backups(backups: Backups, now: datetime) -> Iterator[Line]:
    if backups.newest is None:
        yield Line(msg("there is no backup"), "warning")
        return
    proved = backups.proved
    if proved is None:
        first = Line(msg("no backup has been restored as a test yet"), "warning")
    else:
        how = msg("restored as a test") if proved.where == "here" else msg("restored from off-site")
        first = Line(
            msg(
                "restorable: {backup}, {how} {age} ago",
                backup=proved.id or msg("one"),
                how=how,
                age=age(proved.at, now),
            ),
            "ok",
        )
    yield first
    yield Line(
        msg(
            "latest of {count}: {newest}, {age} old",
            newest=backups.newest,
            age=age(backups.newest_begun, now),
            count=backups.count,
        ),
    )
    for name, shrink in backups.shrunk:
        yield Line(msg("{name}: {shrink}", name=name, shrink=shrink), "warning")
    if backups.failed:
        yield Line(
            msg("backups that failed the last check: {failed}", failed=", ".join(backups.failed[-3:])),
            "failed",
        )


def _certificates(certificates: tuple[CertificateStatus, ...]) -> Iterator[Line]:
    if not certificates:
        yield Line(msg("none in the spec"))
    for each in certificates[:_MOST]:
        left = "" if each.days_left is None else msg("{days_left:.0f} days left", days_left=each.days_left)
        renews = (
            msg("renews {renews_at:%Y-%m-%d}", renews_at=each.renews_at) if each.renews_at is not None else ""
        )
        facts = joined(", ", list(filter(None, (left, renews, *each.attention)))) or msg("no information")
        yield Line(msg("{name}: {facts}", name=each.name, facts=facts), "warning" if each.attention else "ok")
    if len(certificates) > _MOST:
        yield Line(msg("and {count} more", count=len(certificates) - _MOST))


def _budget(spent: Spent) -> Iterator[Line]:
    parts = (
        msg(
            "today {day_percent:.0f} % of ${daily_usd:.2f}",
            day_percent=spent.day_percent,
            daily_usd=spent.daily_usd,
        ),
        msg(
            "this month {month_percent:.0f} % of ${monthly_usd:.2f}",
            month_percent=spent.month_percent,
            monthly_usd=spent.monthly_usd,
        ),
    )
    over = max(spent.day_percent, spent.month_percent)
    yield Line(joined(", ", parts), "failed" if over >= 100 else "ok")
    if spent.rows_lost:
        yield Line(msg("the amounts may be higher: some rows of the audit log are lost"), "warning")


def _jobs(jobs: tuple[JobStatus, ...], now: datetime) -> Iterator[Line]:
    due = sorted((j for j in jobs if j.next is not None), key=lambda j: (j.next, j.job.name))
    soon = [f"{j.job.name} {_due(j.next, now)}" for j in due[:3] if j.next is not None]
    failed = [j for j in jobs if j.last is not None and not j.last.ok and j.last.result != "running"]
    words = msg("next: {soon}", soon=", ".join(soon)) if soon else msg("no run is scheduled")
    below = [
        Line(msg("  {name}: {failure}", name=j.job.name, failure=_failure(j.last, now)), "failed")
        for j in failed
        if j.last is not None
    ]
    below += [
        Line(
            msg("  {name}: the run at {time} did not start", name=j.job.name, time=_due(j.missed, now)),
            "failed",
        )
        for j in jobs
        if j.missed is not None
    ]
    yield from _some(Line(words, "ok" if soon and not below else "warning"), below)


def _due(when: datetime, now: datetime) -> str:
    here, today = when.astimezone(), now.astimezone().date()
    return f"{here:%H:%M}" if here.date() == today else f"{here:%m-%d %H:%M}"


def _failure(run: Run, now: datetime) -> str:
    return msg("{result} {age} ago", result=state_word(run.result), age=age(run.started, now)) + (
        msg(": {error}", error=run.error) if run.error else ""
    )


def _drift(report: DriftReport) -> Iterator[Line]:
    if not report.findings:
        yield Line(msg("none: as applied by apply @{id}", id=report.against.id), "ok")
        return
    below = [Line(msg("  {name}: {what}", name=f.name or f.kind, what=f.what)) for f in report.findings]
    count = msg("1 difference") if len(below) == 1 else msg("{count} differences", count=len(below))
    yield from _some(
        Line(msg("{count} from apply @{id}", count=count, id=report.against.id), "warning"), below
    )


def _versions(versions: Versions) -> Iterator[Line]:
    yield Line(
        msg(
            "techsapo {build}, Python {python}",
            build=versions.build,
            python=versions.python,
        ),
    )
    if versions.apply is not None and versions.applied is not None:
        when = f"{versions.applied.astimezone():%Y-%m-%d %H:%M}"
        yield Line(
            msg(
                "apply @{apply} on {when} by {applied_by}",
                apply=versions.apply,
                when=when,
                applied_by=versions.applied_by,
            ),
        )
    if versions.others:
        yield Line(msg("services of another build: {others}", others=", ".join(versions.others)), "warning")
