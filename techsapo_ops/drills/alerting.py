"""The drill of an alert: from a rule of Prometheus to the receivers, and to a person who acknowledges it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import get_args
from zoneinfo import ZoneInfo

from techsapo_ops.adapters.alertmanager import Alertmanager, Sent
from techsapo_ops.adapters.http import Unreachable, send
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.alerts import DRILL, PAGE, alerts
from techsapo_ops.drills.report import Phase, Report, perform
from techsapo_ops.drills.traffic import Load, load_of, require_answer
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.job import JobContext, JobResult
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.alertmanager.acknowledging import Acknowledgement, acknowledgements
from techsapo_ops.services.monitoring import alertmanager_of, prometheus_of
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.spec.models.notifications import Weekday
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stores.app_key import DRILL_HEADER, DrillSeal
from techsapo_ops.watch.alerts.delivery import integrations_of, sent_since, undelivered

PATH = "/api/v1/drill/alert"
GRACE = 30.0
"""Seconds that an alert may be late beyond what the intervals of the spec make of it."""
POLL = 0.25
_ENDS = 40
"""Requests by which every instance of the app hears that it is over, at most; it ends by itself too."""


def allowed(spec: Spec) -> float:
    """Seconds after which the alert is late: what scrape, evaluations and grouping take, and GRACE."""
    prometheus, alertmanager = spec.monitoring.prometheus, spec.monitoring.alertmanager
    return 2 * seconds(prometheus.scrape_interval) + seconds(alertmanager.group_wait) + GRACE


def at_work(spec: Spec, now: datetime) -> bool:
    """Whether `now` (an aware time) is within business hours: the spec's, else weekdays from 9 to 17 here."""
    hours = spec.notifications.business_hours
    if hours is None:
        here = now.astimezone()
        return here.weekday() < 5 and 9 <= here.hour < 17
    there = now.astimezone(ZoneInfo(hours.timezone))
    return get_args(Weekday)[there.weekday()] in hours.days and hours.start <= f"{there:%H:%M}" < hours.end


def drill_alert(
    stack: Stack,
    begin: Callable[[float], Report],
    *,
    page: float = 0.0,
    now: datetime,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Let the alert Drill fire, and time it to Prometheus, Alertmanager and the receivers of `info`.

    With `page` it goes to those who are paged instead, and one of them has so many seconds to acknowledge
    it: else the drill has missed, and the alert DrillMissed is a ticket for working hours. Raises OpsError
    where it can't be begun: a drill wakes nobody, so a page waits for business hours.
    """
    spec = stack.spec
    prometheus, server = prometheus_of(stack), alertmanager_of(stack)
    if prometheus is None or server is None:
        raise OpsError(
            msg("this stack runs no Prometheus with an Alertmanager"), msg("there is nothing to drill")
        )
    working = at_work(spec, now)
    if page and not working:
        raise OpsError(
            msg("a drill must not wake anyone: --to-page works only in business hours"),
            msg(
                "business hours are set in `notifications.business_hours`; the default is weekdays from 9 to "
                "17"
            ),
            exit_code=2,
        )
    receiver = PAGE if page else alerts()[DRILL].severity
    wanted = integrations_of(server.status().config, receiver)
    if page and not wanted:
        raise OpsError(
            msg("nobody is paged: notifications.{receiver} has no receiver", receiver=receiver),
            msg("add a receiver, then `techsapo up`"),
        )
    notes = [] if wanted else [msg("receivers of {receiver}: none", receiver=receiver)]
    if wanted and not page and spec.notifications.business_hours is not None and not working:
        wanted = {}
        notes = [
            msg("receivers of info alerts: skipped, because messages of priority P2 wait for business hours")
        ]
    _require_rule(prometheus)
    load, most = load_of(stack), allowed(spec)
    require_answer(load)
    way = Way(prometheus, server, receiver, wanted, server.sent(receiver), stack.pause)
    holder = None
    _fire(load, most + page + 60, page=bool(page))
    say(
        msg(
            "the alert {drill} is firing; waiting at most {most:g} s for its delivery …",
            drill=DRILL,
            most=most,
        )
    )
    try:
        problems = way.follow(most)
        if page and not problems:
            say(
                msg(
                    "acknowledge the alert within {page:g} s: use the link in the message, or `techsapo "
                    "alerts ack {drill}`",
                    page=page,
                    drill=DRILL,
                )
            )
            holder = way.acknowledged(now, page)
    finally:
        with suppress(OpsError):
            _end(load)
    phases = [(name, most) for name in ("detection", "handed_on", *(["delivery"] if wanted else []))]
    phases += [("acknowledged", page)] if page else []
    return replace(
        begin(way.passed()),
        phases=tuple(Phase(name, way.times.get(name), limit) for name, limit in phases),
        facts={
            "receivers": ", ".join(wanted) or "none",
            **({"acknowledged_by": holder.by} if holder is not None else {}),
        },
        problems=tuple(problems),
        notes=tuple(notes),
    )


@dataclass(slots=True)
class Way:
    """The way of the alert to the integrations `wanted` of `receiver`; `before` is what they had been sent.

    `times` says when it came where: `detection`, `handed_on`, `delivery`, in seconds since it was made to
    fire, and `acknowledged`, in seconds since it was delivered.
    """

    prometheus: Prometheus
    server: Alertmanager
    receiver: str
    wanted: Mapping[str, int]
    before: Mapping[str, Sent]
    pause: Callable[[float], None]
    times: dict[str, float] = field(default_factory=dict)
    _fired: float = field(default_factory=time.monotonic)

    def passed(self) -> float:
        """Seconds since it was made to fire, rounded to milliseconds."""
        return round(time.monotonic() - self._fired, 3)

    def follow(self, most: float) -> list[str]:
        """Note when it came where, within `most` seconds; returns what is wrong."""
        while True:
            late = self.passed() >= most
            wrong = self._look(most if late else None)
            if wrong is not None:
                return wrong
            if late:
                where = "Prometheus" if "detection" not in self.times else "Alertmanager"
                where = msg("its receivers") if "handed_on" in self.times else where
                return [msg("the alert did not reach {where} within {most:g} s", where=where, most=most)]
            self.pause(POLL)

    def acknowledged(self, since: datetime, within: float) -> Acknowledgement | None:
        """Who acknowledged it after `since` and within so many seconds of now; None for nobody."""
        began = self.passed()
        while self.passed() - began < within:
            for each in acknowledgements(self.server):
                if each.episode.alert == DRILL and each.at >= since.astimezone(UTC):
                    self.times["acknowledged"] = round(self.passed() - began, 3)
                    return each
            self.pause(POLL)
        return None

    def _look(self, over: float | None) -> list[str] | None:
        """What is wrong where its way has ended; None while it goes on. `over` are the seconds it had."""
        if "detection" not in self.times:
            firing = (a for a in self.prometheus.alerts() if a.state == "firing")
            if any(a.labels.get("alertname") == DRILL for a in firing):
                self.times["detection"] = self.passed()
        elif "handed_on" not in self.times:
            there = [a for a in self.server.alerts() if a.labels.get("alertname") == DRILL]
            if there:
                self.times["handed_on"] = self.passed()
                if there[0].silenced:
                    return [msg("a silence matches the alert; `techsapo alerts silence --list` shows which")]
        elif self.wanted:
            now = self.server.sent(self.receiver)
            sent = {name: sent_since(self.before, now, name) for name in self.wanted}
            if all(sent[name].delivered >= count for name, count in self.wanted.items()):
                self.times["delivery"] = self.passed()
                return []
            if why := undelivered(sent, self.wanted, self.receiver, over):
                return [msg("not delivered: {why}", why=why)]
        return [] if "handed_on" in self.times and not self.wanted else None


def _require_rule(prometheus: Prometheus) -> None:
    rules = {rule.name for group in prometheus.rules().values() for rule in group}
    if DRILL not in rules:
        raise OpsError(
            msg("Prometheus has no alert rule {drill}", drill=DRILL),
            msg("`techsapo up` adds this rule, unless `monitoring.alerts` disables the alert"),
        )


def _fire(load: Load, lasting: float, *, page: bool) -> str:
    """Let one instance fire the alert for so long, 0 to end it; returns its name. Raises OpsError."""
    name = f"{load.prefix}alert-{time.monotonic_ns()}"
    body = json.dumps({"seconds": lasting, "page": page}).encode()
    headers = {
        "X-Request-ID": name,
        DRILL_HEADER: DrillSeal(load.key.reveal().encode()).proof("POST", PATH, name, body),
        "Content-Type": "application/json",
    }
    try:
        answer = send(load.url + PATH, body, timeout=load.timeout, headers=headers, trust=load.trust)
    except Unreachable as error:
        raise OpsError(
            msg("the app can't be asked to fire the alert: {message}", message=error.message), error.hint
        ) from None
    if not answer.ok:
        raise OpsError(
            msg("the app does not fire the alert: HTTP {status}", status=answer.status),
            msg("`techsapo up` updates the app"),
        )
    return str(json.loads(answer.body)["instance"])


def _end(load: Load) -> None:
    """End the alert on every instance behind nginx: the next one to answer may not be the one that fires."""
    counts: dict[str, int] = {}
    for number in range(_ENDS):
        name = _fire(load, 0, page=False)
        counts[name] = counts.get(name, 0) + 1
        if all(count >= 3 for count in counts.values()) and number >= 5:
            return


def job(context: JobContext) -> JobResult:
    """Let the alert of a drill fire, and time it. Raises OpsError where it is late or does not arrive."""
    stack, now = context.stack(), datetime.now(UTC)
    report, file = perform(
        stack, "alert", {"by": "job"},
        lambda begin: drill_alert(stack, begin, now=now, say=context.tell), warn=context.tell,
    )  # fmt: skip
    for phase in report.phases:
        took = "-" if phase.seconds is None else f"{phase.seconds:.1f} s"
        context.tell(f"{phase.name} {took} (objective {phase.objective:g} s)")
    for line in (*report.problems, *report.notes):
        context.tell(line)
    if not report.ok:
        raise OpsError(
            msg("the drill missed its objectives: {missed}", missed=joined("; ", report.missed)),
            msg("details: {file}", file=file),
        )
    return JobResult(msg("{id}: all objectives met", id=report.id))
