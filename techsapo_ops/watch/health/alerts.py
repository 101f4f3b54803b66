"""Who has what fires and what nobody has, and the silences over critical alerts, for the report."""

from __future__ import annotations

import threading
import time

from techsapo_ops.catalogue.alerts import DRILL, WATCHDOG, alerts
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.alertmanager.acknowledging import Acknowledgement, holders
from techsapo_ops.services.alertmanager.silencing import Hushed, moment_text, over_critical
from techsapo_ops.services.monitoring import alertmanager_of, prometheus_of
from techsapo_ops.stack.health import HealthPart, PartStatus
from techsapo_ops.stack.stack import Stack

MOST = 3
"""Alerts that are named of a silence; the others are counted."""


def silence_parts(stack: Stack, timeout: float) -> tuple[HealthPart, ...]:
    """One part where there are any: no fault, somebody means it. An Alertmanager that does not answer has a
    part of its own.
    """
    alertmanager = alertmanager_of(stack, timeout)
    if alertmanager is None:
        return ()
    try:
        found = over_critical(alertmanager.silences(), stack.spec)
    except OpsError:
        return ()
    if not found:
        return ()
    detail = joined("; ", map(_words, found))
    hint = msg("`techsapo alerts silence --list`, and `--expire ID` ends one")
    return (HealthPart("silences", "silences", PartStatus.HEALTHY, detail, hint=hint),)


def _words(hushed: Hushed) -> str:
    shown = ", ".join(hushed.alerts[:MOST])
    if (more := len(hushed.alerts) - MOST) > 0:
        shown = msg("{shown} and {more} more", shown=shown, more=more)
    return msg(
        "nobody is told of {shown} until {end} ({by}: {comment})",
        shown=shown,
        end=moment_text(hushed.silence.ends),
        by=hushed.silence.created_by,
        comment=hushed.silence.comment,
    )


class AskedMeanwhile:
    """Asks while other parts are probed. A stack without these servers, and servers that do not answer, tell
    nothing: the report has their parts.
    """

    def __init__(self, stack: Stack, timeout: float) -> None:
        self._stack = stack
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout
        self._found: tuple[Acknowledgement, ...] = ()
        self._firing: tuple[str, ...] = ()
        self._thread = threading.Thread(target=self._ask, name="who has which alert", daemon=True)
        self._thread.start()

    def found(self) -> tuple[Acknowledgement, ...]:
        """What was told within the time."""
        self._thread.join(max(self._deadline - time.monotonic(), 0.0))
        return self._found

    def firing(self) -> tuple[str, ...]:
        """The alerts that fire and nobody has, the critical ones first; what was told within the time."""
        self._thread.join(max(self._deadline - time.monotonic(), 0.0))
        return self._firing

    def _ask(self) -> None:
        prometheus = prometheus_of(self._stack, self._timeout)
        alertmanager = alertmanager_of(self._stack, self._timeout)
        if prometheus is None or alertmanager is None:
            return
        try:
            self._found = tuple(holders(prometheus, alertmanager).values())
            known = [a for a in prometheus.alerts() if a.state == "firing"]
        except OpsError:
            return
        taken = {each.incident.alert for each in self._found} | {WATCHDOG, DRILL}
        told = {a.labels.get("alertname", ""): a.labels.get("severity", "") for a in known}
        free = [name for name in told if name in alerts() and name not in taken]
        self._firing = tuple(sorted(free, key=lambda name: (told[name] != "critical", name)))
