"""The drill of an alert: from a rule of Prometheus to the receivers, and how late it is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import get_args
from zoneinfo import ZoneInfo

from techsapo_ops.adapters.alertmanager import Alertmanager, Sent
from techsapo_ops.adapters.http import Unreachable, send
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.alerts import DRILL, WATCHDOG, Alert, Severity, alerts
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.drills.load import Load
from techsapo_ops.operations.drills.report import Phase, Report, Seen
from techsapo_ops.operations.drills.target import load_of
from techsapo_ops.operations.drills.traffic import look
from techsapo_ops.operations.watch.delivery import integrations_of, sent_since, try_out, undelivered
from techsapo_ops.services.alertmanager.configuration import WATCHDOG_RECEIVER
from techsapo_ops.services.monitoring import alertmanager_of, prometheus_of
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.spec.models.notifications import Weekday
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stores.drill_seal import HEADER, DrillSeal

PATH = "/api/v1/drill/alert"
GRACE = 30.0
"""Seconds that an alert may be late beyond what the intervals of the spec make of it."""
POLL = 0.25
_ENDS = 40
"""Requests by which every instance of the app is told that it is over, at most; it ends by itself too."""


def allowed(spec: Spec) -> float:
    """Seconds after which the alert is late: what scrape, evaluations and grouping take, and GRACE."""
    prometheus, alertmanager = spec.monitoring.prometheus, spec.monitoring.alertmanager
    waits = (
        prometheus.scrape_interval,
        prometheus.evaluation_interval,
        alertmanager.group_wait,
    )
    return sum(seconds(each) for each in waits) + GRACE


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
    also: Severity | None = None,
    now: datetime,
    say: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Let the alert Drill fire, and time it to Prometheus, Alertmanager and the receivers of `info`.

    `also` sends a synthetic alert of that severity through Alertmanager alone. Where `info` has no receiver,
    that is `warning`. Raises OpsError where it can't be begun: nobody is woken by a drill, so one of
    critical alerts waits for business hours.
    """
    spec = stack.spec
    prometheus, server = prometheus_of(stack), alertmanager_of(stack)
    if prometheus is None or server is None:
        raise OpsError(
            msg("this stack runs no Prometheus with an Alertmanager"), msg("there is nothing to drill")
        )
    if also == "critical" and not at_work(spec, now):
        raise OpsError(
            msg("a drill wakes nobody: critical alerts are drilled in business hours alone"),
            msg("notifications.business_hours says which; without it, weekdays from 9 to 17"),
            exit_code=2,
        )
    _known(prometheus)
    load, most = load_of(stack), allowed(spec)
    look(load)
    started = clock()
    wanted = integrations_of(server.status().config, alerts()[DRILL].severity)
    if spec.notifications.business_hours is not None and not at_work(spec, now):
        wanted, held = {}, True
    else:
        held = False
    notes = [
        *(
            [msg("receivers of info: they wait for business hours, as alerts of priority P2 do")]
            if held
            else ()
        ),
        *([msg("receivers of info: there are none")] if not wanted and not held else ()),
    ]
    before = server.sent(alerts()[DRILL].severity)
    _fire(load, most + 60)
    say(msg("{drill} fires; at most {most:g} s until it has arrived …", drill=DRILL, most=most))
    way = Way(prometheus, server, wanted, before)
    times, problems = way.times, list[str]()
    try:
        problems += way.follow(most, clock, stack.pause)
    finally:
        with suppress(OpsError):
            _end(load)
    phases = [
        Phase("detection", times.get("detection"), most),
        Phase("handed_on", times.get("held"), most),
    ]
    if wanted:
        phases.append(Phase("delivery", times.get("delivery"), most))
    elif also is None and integrations_of(server.status().config, "warning") and not held:
        also = "warning"
    if also is not None:
        say(msg("a synthetic {also} alert goes through Alertmanager alone …", also=also))
        try:
            arrived = try_out(stack, _of(also), server, within=most, drill=True)
            notes.append(
                msg(
                    "receivers of {also} ({integrations}): after {seconds:.1f} s from Alertmanager on",
                    also=also,
                    integrations=", ".join(arrived.integrations),
                    seconds=arrived.seconds,
                )
            )
        except OpsError as error:
            problems.append(msg("receivers of {also}: {message}", also=also, message=error.message))
    watchdog, silent = _watchdog(prometheus, server)
    seen = [Seen(DRILL, "firing", times["detection"])] if "detection" in times else []
    return replace(
        begin(clock() - started),
        phases=tuple(phases),
        facts={"receivers": ", ".join(wanted) or "none", "watchdog": watchdog},
        alerts=tuple(seen),
        problems=(*problems, *silent),
        notes=tuple(notes),
    )


@dataclass(slots=True)
class Way:
    """The way of the alert to the receivers `wanted`, of which `before` says what they had been sent.

    `times` says when it came where: `detection`, `held`, `delivery`, in seconds since it was let fire.
    """

    prometheus: Prometheus
    server: Alertmanager
    wanted: Mapping[str, int]
    before: Mapping[str, Sent]
    times: dict[str, float] = field(default_factory=dict)

    def follow(self, most: float, clock: Callable[[], float], pause: Callable[[float], None]) -> list[str]:
        """Note when it came where, within `most` seconds of now; returns what is wrong."""
        fired = clock()
        while True:
            passed = clock() - fired
            wrong = self._look(passed, lambda: clock() - fired, most)
            if wrong is not None:
                return wrong
            if passed >= most:
                where = "Prometheus" if "detection" not in self.times else "Alertmanager"
                where = msg("its receivers") if "held" in self.times else where
                return [msg("the alert did not come to {where} within {most:g} s", where=where, most=most)]
            pause(POLL)

    def _look(self, passed: float, since: Callable[[], float], most: float) -> list[str] | None:
        """What is wrong where its way has ended; None while it goes on."""
        severity, times = alerts()[DRILL].severity, self.times
        if "detection" not in times:
            found = self.prometheus.alerts()
            if any(a.labels.get("alertname") == DRILL and a.state == "firing" for a in found):
                times["detection"] = since()
        elif "held" not in times:
            held = [a for a in self.server.alerts() if a.labels.get("alertname") == DRILL]
            if held:
                times["held"] = since()
                if held[0].silenced:
                    return [msg("a silence matches the alert: `techsapo alerts silence --list`")]
        elif self.wanted:
            now = self.server.sent(severity)
            told = {name: sent_since(self.before, now, name) for name in self.wanted}
            if all(told[name].delivered >= count for name, count in self.wanted.items()):
                times["delivery"] = since()
                return []
            if why := undelivered(told, self.wanted, severity, most if passed >= most else None):
                return [msg("not delivered: {why}", why=why)]
        return [] if "held" in times and not self.wanted else None


def _known(prometheus: Prometheus) -> None:
    rules = {rule.name for group in prometheus.rules().values() for rule in group}
    if DRILL not in rules:
        raise OpsError(
            msg("Prometheus has no rule {drill}", drill=DRILL),
            msg("`techsapo up` gives it one; or it is off in monitoring.alerts"),
        )


def _post(load: Load, name: str, lasting: float) -> str:
    """Tell one instance for how long the alert fires; returns its name. Raises OpsError."""
    seal = DrillSeal(load.key.reveal().encode())
    body = json.dumps({"seconds": lasting}).encode()
    headers = {
        "X-Request-ID": name,
        HEADER: seal.proof("POST", PATH, name, body),
        "Content-Type": "application/json",
    }
    try:
        answer = send(
            load.url + PATH,
            body,
            timeout=load.timeout,
            headers=headers,
            trust=load.trust,
        )
    except Unreachable as error:
        raise OpsError(
            msg("the app can't be told to fire the alert: {message}", message=error.message), error.hint
        ) from None
    if not answer.ok:
        raise OpsError(
            msg("the app does not fire the alert: HTTP {status}", status=answer.status),
            msg("`techsapo up` brings it up to date"),
        )
    return str(json.loads(answer.body)["instance"])


def _fire(load: Load, lasting: float) -> None:
    _post(load, f"{load.prefix}alert", lasting)


def _end(load: Load) -> None:
    """Tell every instance that nginx asks: which one was told to fire may not be the next that answers."""
    told: dict[str, int] = {}
    for number in range(_ENDS):
        name = _post(load, f"{load.prefix}end-{number}", 0)
        told[name] = told.get(name, 0) + 1
        if all(count >= 3 for count in told.values()) and number >= 5:
            return


def _of(severity: Severity) -> Alert:
    """An alert to stand for those of `severity`: the first of the catalogue that is sent as most are."""
    found = (a for a in alerts().values() if a.severity == severity and a.name not in (WATCHDOG, DRILL))
    return next(a for a in found if not a.muted_by and a.priority != "P2")


def _watchdog(prometheus: Prometheus, server: Alertmanager) -> tuple[str, list[str]]:
    """How the dead man's switch does, and what is wrong with it."""
    try:
        if not any(a.labels.get("alertname") == WATCHDOG for a in prometheus.alerts()):
            return msg("does not fire"), [
                msg("{watchdog} does not fire: a watcher elsewhere would raise an alarm", watchdog=WATCHDOG)
            ]
        if not integrations_of(server.status().config, WATCHDOG_RECEIVER):
            return msg("fires, nobody is told (notifications.watchdog)"), []
        sent = server.sent(WATCHDOG_RECEIVER).values()
    except (Unreachable, ApiError) as error:
        return msg("not known"), [msg("{watchdog}: {message}", watchdog=WATCHDOG, message=error.message)]
    delivered, failed = sum(s.delivered for s in sent), sum(s.failed for s in sent)
    if not delivered:
        return msg("fires, has not arrived"), [
            msg(
                "{watchdog} has not arrived at its receiver ({failed} tries failed)",
                watchdog=WATCHDOG,
                failed=failed,
            )
        ]
    arrives = msg(
        "arrives ({delivered} times since Alertmanager's start, {failed} tries failed)",
        delivered=delivered,
        failed=failed,
    )
    return arrives, []
