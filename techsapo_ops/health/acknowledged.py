"""Who has what fires, and what of it nobody has, for the report."""

from __future__ import annotations

import threading
import time

from techsapo_ops.catalogue.alerts import DRILL, WATCHDOG, alerts
from techsapo_ops.errors import OpsError
from techsapo_ops.services.alertmanager.acknowledging import Acknowledgement, holders
from techsapo_ops.services.monitoring import alertmanager_of, prometheus_of
from techsapo_ops.stack.stack import Stack


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
