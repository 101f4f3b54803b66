"""What a drill on the live stack is not begun with, and at which it is stopped at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Firing, Prometheus
from techsapo_ops.catalogue.alerts import DRILL_LABEL, WATCHDOG
from techsapo_ops.catalogue.rules import API_ROUTES
from techsapo_ops.messages import msg
from techsapo_ops.operations.drills.report import Seen

MOST_ERRORS = 0.05
"""Share of users' requests that may fail."""
FEWEST_ERRORS = 3
"""Failures from which that share says something."""
WINDOW = "2m"
EVERY = 1.0
"""Seconds between two looks."""
_FAILED = f'techsapo_http_requests_total{{{API_ROUTES},status=~"5.."}}'
_ALL = f"techsapo_http_requests_total{{{API_ROUTES}}}"
Ready = Callable[[str], bool]
"""Whether the instance of that name is ready."""


@dataclass(slots=True)
class Guards:
    """Looks at users' errors, at the `others` (instances that have to stay ready), at critical alerts, and at
    what `hindered` says: an apply, a backup, maintenance.

    `prometheus` is None where the stack has none: users' errors and alerts are then not watched, which
    `unwatched` says. It may be away for `patience` seconds after the fault, where that took one of several.
    """

    prometheus: Prometheus | None
    others: Sequence[str]
    ready: Ready
    hindered: Callable[[], str] = lambda: ""
    clock: Callable[[], float] = time.monotonic
    patience: float = 0.0
    unwatched: str = ""
    seen: list[Seen] = field(default_factory=list)
    _before: frozenset[frozenset[tuple[str, str]]] = frozenset()
    _fault: float | None = None
    _looked: float = 0.0

    def before(self) -> tuple[str, ...]:
        """Why it is not begun; nothing where it may be. Looks at everything."""
        found = [*self._instances()]
        if hindrance := self.hindered():
            found.append(hindrance)
        if self.prometheus is None:
            self.unwatched = msg("users' errors and alerts were not watched: this stack runs no Prometheus")
            return tuple(found)
        try:
            found += self._alerts(self.prometheus.alerts())
            found += self._errors(self.prometheus)
        except (Unreachable, ApiError) as error:
            found.append(msg("Prometheus does not say how the stack does: {message}", message=error.message))
        return tuple(found)

    def fault(self) -> None:
        """The fault is made now: what fires from here on is told with how late it is."""
        self._fault = self.clock()

    def during(self) -> str:
        """Why it is stopped now; "" where it goes on. Looks at most once in EVERY seconds."""
        now = self.clock()
        if now - self._looked < EVERY:
            return ""
        self._looked = now
        for why in self._instances():
            return why
        if hindrance := self.hindered():
            return hindrance
        if self.prometheus is None:
            return ""
        try:
            for why in (*self._alerts(self.prometheus.alerts()), *self._errors(self.prometheus)):
                return why
        except (Unreachable, ApiError) as error:
            if self._fault is not None and now - self._fault < self.patience:
                return ""
            return msg("Prometheus no longer says how the stack does: {message}", message=error.message)
        return ""

    def _instances(self) -> Iterator[str]:
        for name in self.others:
            if not self.ready(name):
                yield msg("{name} is not ready, and would have to answer alone", name=name)

    def _alerts(self, alerts: Sequence[Firing]) -> Iterator[str]:
        known = frozenset(frozenset(a.labels.items()) | {("", a.state)} for a in alerts)
        if self._fault is None:
            self._before = known
        for alert in alerts:
            name = alert.labels.get("alertname", "")
            if name == WATCHDOG or alert.labels.get(DRILL_LABEL) == "true":
                continue
            self._note(alert, name)
            if alert.state == "firing" and alert.labels.get("severity") == "critical":
                yield msg("the critical alert {name} fires", name=name)

    def _note(self, alert: Firing, name: str) -> None:
        if self._fault is None or frozenset(alert.labels.items()) | {("", alert.state)} in self._before:
            return
        if not any((s.alert, s.state) == (name, alert.state) for s in self.seen):
            self.seen.append(Seen(name, alert.state, self.clock() - self._fault))

    def _errors(self, prometheus: Prometheus) -> Iterator[str]:
        failed = _value(prometheus, f"sum(increase({_FAILED}[{WINDOW}]))")
        asked = _value(prometheus, f"sum(increase({_ALL}[{WINDOW}]))")
        if failed >= FEWEST_ERRORS and asked > 0 and failed / asked > MOST_ERRORS:
            yield msg(
                "{failed:.0%} of users' requests fail (in {window}; more than {most_errors:.0%})",
                failed=failed / asked,
                window=WINDOW,
                most_errors=MOST_ERRORS,
            )


def _value(prometheus: Prometheus, expression: str) -> float:
    found = prometheus.query(expression)
    return found[0].value if found else 0.0
