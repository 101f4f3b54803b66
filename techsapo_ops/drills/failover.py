"""The drill of a failover, guarded: an instance of the app or a host is lost, under simulated traffic."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.catalogue.alerts import DRILL_LABEL, WATCHDOG
from techsapo_ops.catalogue.series import API_ROUTES
from techsapo_ops.drills.outcome import Outcome
from techsapo_ops.drills.report import FAILOVER, SERVICE, Phase, Report
from techsapo_ops.drills.traffic import Load, Traffic
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.monitoring import prometheus_of
from techsapo_ops.stack.journal import CUT_SHORT, half_done
from techsapo_ops.stack.maintenance import maintenance_of
from techsapo_ops.stack.stack import Stack
from techsapo_ops.watch.costs import drill_rows_of

MOST_ERRORS = 0.05
"""Share of users' requests that may fail."""
FEWEST_ERRORS = 3
"""Failures from which that share says something."""
WINDOW = "2m"
_FAILED = f'techsapo_http_requests_total{{{API_ROUTES},status=~"5.."}}'
_ALL = f"techsapo_http_requests_total{{{API_ROUTES}}}"


QUIET = 3.0
"""Seconds of traffic before the fault, to compare with."""
AFTER = 3.0
"""Seconds of traffic after everything is back."""
BACK = 300.0
"""Seconds after which everything has to be back; a database may copy all that it has."""
SECONDS = 600.0
"""For how long there may have to be traffic."""
ROWS = 60.0
"""Seconds for which a row of the audit log may be on its way, in a batch or in a spool."""
LOSING = 2.0
"""Seconds that it takes at most until what is killed is gone."""
POLL = 0.1


class Fault(Protocol):
    """What is lost, and how it comes back."""

    @property
    def name(self) -> str:
        """What is lost, as a person calls it."""
        ...

    @property
    def alone(self) -> bool:
        """Whether it comes back without the drill: else the time from `put_back` on is the recovery."""
        ...

    def before(self) -> Iterable[str]:
        """Why it can't be lost now, as sentences."""
        ...

    def strike(self) -> None:
        """Lose it. Raises OpsError where it is no longer what somebody agreed to."""
        ...

    def over(self, passed: float) -> bool:
        """Whether it was away for long enough, `passed` seconds after it was lost."""
        ...

    def put_back(self) -> str:
        """Bring it back where it has not come back alone; returns a note for the report, or ""."""
        ...

    def missing(self) -> Sequence[str]:
        """What is not back yet, as sentences."""
        ...

    def facts(self) -> dict[str, str]:
        """What the report says of it in the end."""
        ...


@dataclass(frozen=True, slots=True)
class Course:
    """When it was lost, let back in, and back: in seconds since the traffic began."""

    struck: float
    returned: float
    back: float


def failover(
    stack: Stack,
    begin: Callable[[float], Report],
    fault: Fault,
    load: Load,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Lose what `fault` names, and measure what users of `load` would notice. `begin` makes the report.

    No apply and no backup can begin meanwhile. Raises OpsError, before anything is touched, where a guard is
    against it, and where something does not come back. Whatever ends it, what was lost is brought back.
    """
    notes: list[str] = []
    with alone(stack):
        prometheus = prometheus_of(stack)
        if why := (*fault.before(), *reasons(stack, prometheus)):
            closed = maintenance_of(stack.layout) is not None
            command = "`techsapo maintenance off`" if closed else "`techsapo health`"
            raise OpsError(
                msg("the drill was not started: {reasons}", reasons=joined("; ", why)),
                msg("run {command}, then try again", command=command),
            )
        if prometheus is None:
            notes.append(msg("users' errors and alerts were not checked: there is no Prometheus"))
        began = time.monotonic()
        with Traffic(load) as traffic:
            say(
                msg(
                    "simulated traffic: {rate:g} requests a second, ids {prefix}…",
                    rate=load.rate,
                    prefix=load.prefix,
                )
            )
            while traffic.now() < QUIET:
                stack.pause(POLL)
            struck = traffic.now()
            try:  # what fails half way is brought back, too
                fault.strike()
                say(msg("{name} was killed", name=fault.name))
                while not fault.over(traffic.now() - struck):
                    stack.pause(POLL)
            finally:
                returned = traffic.now()
                if note := _bring_back(stack, fault, traffic, say):
                    notes.append(note)
                course = Course(struck, returned, traffic.now())
            while traffic.now() < course.back + AFTER:
                stack.pause(POLL)
        report = begin(time.monotonic() - began)
        return _filled(stack, report, fault, load, traffic.outcome(), course, notes)


def _bring_back(stack: Stack, fault: Fault, traffic: Traffic, say: Callable[[str], None]) -> str:
    """Bring it back; returns a note for the report, or "". Raises OpsError where it takes too long."""
    began = traffic.now()
    if note := fault.put_back():
        say(note)
    while missing := fault.missing():
        if traffic.now() - began > BACK:
            raise OpsError(
                msg("not everything is back after {seconds:.0f} s: {reasons}",
                    seconds=traffic.now() - began, reasons=joined("; ", missing)),
                msg("`techsapo health` shows what is missing"),
            )  # fmt: skip
        stack.pause(POLL)
    say(msg("{name} is back", name=fault.name))
    return note


def _filled(
    stack: Stack,
    report: Report,
    fault: Fault,
    load: Load,
    outcome: Outcome,
    course: Course,
    notes: list[str],
) -> Report:
    since = course.struck if fault.alone else course.returned
    settled = outcome.settled_after(course.struck, course.back if fault.alone else course.returned)
    lost, doubled, again = _written(stack, load.prefix, outcome, course.struck)
    problems = []
    if lost:
        problems.append(msg("requests missing from the audit log: {some}", some=_some(lost)))
    if doubled:
        problems.append(msg("requests run twice: {some}", some=_some(doubled)))
    if again:
        notes.append(
            msg(
                "requests run again, because they were in progress when their instance or host was killed: "
                "{some}",
                some=_some(again),
            )
        )
    notes += [
        msg("failed requests: {reason}, {count}", reason=why, count=n) for why, n in outcome.failed.items()
    ]
    return replace(
        report,
        phases=(
            Phase("failover", _rounded(settled), FAILOVER),
            Phase("recovery", _rounded(course.back - since), SERVICE),
        ),
        counts={
            "sent": len(outcome.finished),
            "answered": len(outcome.answered),
            "failed": outcome.failed_count,
            "retried": outcome.retried,
            "unfinished": outcome.unfinished,
            "longest_gap_seconds": _rounded(outcome.gap.seconds),
            "longest_answer_seconds": _rounded(outcome.longest),
            "lost_writes": len(lost),
            "doubled": len(doubled),
            "carried_out_again": len(again),
        },
        facts={**fault.facts(), "run": load.run},
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _written(
    stack: Stack, prefix: str, outcome: Outcome, struck: float
) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    """Ids that were answered and have no row in the audit log, ids that were carried out twice, and those of
    which that could not be helped: one that was under way where it was lost may have its row there already,
    and its answer nowhere else. Raises OpsError.
    """
    until = time.monotonic() + ROWS
    while True:
        rows = Counter(drill_rows_of(stack, prefix))
        lost = [name for name in outcome.answered if not rows[name]]
        if not lost or time.monotonic() >= until:
            break
        stack.pause(1.0)
    twice = {name for name, count in rows.items() if count > 1} | set(outcome.doubled)
    again = twice & outcome.under_way(struck, struck + LOSING) - set(outcome.doubled)
    return lost, sorted(twice - again), sorted(again)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _some(names: Sequence[str]) -> str:
    more = msg(" and {count} more", count=len(names) - 5) if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


@contextmanager
def alone(stack: Stack) -> Iterator[None]:
    """Keep every apply, restart, restore and backup from beginning. Raises OpsError while one runs."""
    with ExitStack() as locks:
        locks.enter_context(at_work(stack.layout, 0.0))
        repository = repository_of(stack)
        if repository.path.is_dir():
            locks.enter_context(repository.lock())
        yield


def hindrance(stack: Stack) -> str:
    """What is under way that a fault would do harm to; "" for nothing."""
    if (closed := maintenance_of(stack.layout)) is not None:
        return str(closed)
    cut_short = half_done(stack.layout).items()
    return next((joined("; ", (said, CUT_SHORT[operation].then)) for operation, said in cut_short), "")


def reasons(stack: Stack, prometheus: Prometheus | None) -> Iterator[str]:
    """Why there may be no fault now, as sentences.

    Without `prometheus` nobody knows of users' errors and critical alerts, and they are no reason.
    """
    if why := hindrance(stack):
        yield why
    if prometheus is None:
        return
    try:
        for alert in prometheus.alerts():
            labels = alert.labels
            name = labels.get("alertname", "")
            critical = alert.state == "firing" and labels.get("severity") == "critical"
            if critical and name != WATCHDOG and labels.get(DRILL_LABEL) != "true":
                yield msg("the critical alert {name} is firing", name=name)
        failed = _value(prometheus, f"sum(increase({_FAILED}[{WINDOW}]))")
        asked = _value(prometheus, f"sum(increase({_ALL}[{WINDOW}]))")
    except (Unreachable, ApiError) as error:
        yield msg("Prometheus can't be asked about the stack: {message}", message=error.message)
        return
    if failed >= FEWEST_ERRORS and asked > 0 and failed / asked > MOST_ERRORS:
        yield msg(
            "{failed:.0%} of users' requests failed in the last {window} (limit: {most_errors:.0%})",
            failed=failed / asked,
            window=WINDOW,
            most_errors=MOST_ERRORS,
        )


def _value(prometheus: Prometheus, expression: str) -> float:
    rows = prometheus.query(expression)
    return rows[0].value if rows else 0.0
