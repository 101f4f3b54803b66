"""What keeps a drill from a live stack, and stops it there at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.backup.repository import repository_of
from techsapo_ops.catalogue.alerts import DRILL_LABEL, WATCHDOG
from techsapo_ops.catalogue.rules import API_ROUTES
from techsapo_ops.messages import msg
from techsapo_ops.operations.apply.journal import Journal
from techsapo_ops.operations.apply.ledger import Ledger
from techsapo_ops.operations.apply.stop import locked
from techsapo_ops.stack.maintenance import maintenance_of
from techsapo_ops.stack.restore_journal import interrupted
from techsapo_ops.stack.stack import Stack

MOST_ERRORS = 0.05
"""Share of users' requests that may fail."""
FEWEST_ERRORS = 3
"""Failures from which that share says something."""
WINDOW = "2m"
EVERY = 1.0
"""Seconds between two looks."""
PATIENCE = 15.0
"""Seconds for which Prometheus may be away after the fault: of several, one may have gone with it."""
_FAILED = f'techsapo_http_requests_total{{{API_ROUTES},status=~"5.."}}'
_ALL = f"techsapo_http_requests_total{{{API_ROUTES}}}"


@contextmanager
def alone(stack: Stack) -> Iterator[None]:
    """Keep every apply, restart, restore and backup from beginning. Raises OpsError while one runs."""
    with ExitStack() as locks:
        locks.enter_context(locked(stack.layout, 0.0))
        repository = repository_of(stack)
        if repository.path.is_dir():
            locks.enter_context(repository.lock())
        yield


def hindrance(stack: Stack) -> str:
    """What is under way that a fault would do harm to; "" for nothing."""
    if (closed := maintenance_of(stack.layout)) is not None:
        return str(closed)
    if Journal(Ledger(stack.layout.state)).path.exists():
        return msg("an apply was cut short: `techsapo up` completes it")
    if stack.layout.recovery_journal.exists():
        return msg("a recovery was cut short: `techsapo recover` completes it")
    if interrupted(stack.layout) is not None:
        return msg("a restore was cut short: `techsapo restore` completes it")
    return ""


@dataclass(slots=True)
class Guards:
    """Watches users' errors and critical alerts, and `here`: reasons of the stack itself, as sentences.

    `prometheus` is None where the stack has none: users' errors and alerts are then not watched.
    """

    prometheus: Prometheus | None
    here: Callable[[], Iterable[str]]
    clock: Callable[[], float] = time.monotonic
    _struck: float | None = None
    _looked: float = 0.0

    def reasons(self) -> Iterator[str]:
        """Why there may be no fault now."""
        yield from self.here()
        if self.prometheus is None:
            return
        try:
            for alert in self.prometheus.alerts():
                labels = alert.labels
                name = labels.get("alertname", "")
                critical = alert.state == "firing" and labels.get("severity") == "critical"
                if critical and name != WATCHDOG and labels.get(DRILL_LABEL) != "true":
                    yield msg("the critical alert {name} fires", name=name)
            yield from self._errors(self.prometheus)
        except (Unreachable, ApiError) as error:
            if self._struck is None or self.clock() - self._struck >= PATIENCE:
                yield msg("Prometheus does not say how the stack does: {message}", message=error.message)

    def struck(self) -> None:
        """The fault is made now."""
        self._struck = self.clock()

    def stop(self) -> str:
        """Why the drill is to be stopped now; "" where it goes on. Looks at most once in EVERY seconds."""
        now = self.clock()
        if now - self._looked < EVERY:
            return ""
        self._looked = now
        return next(self.reasons(), "")

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
    rows = prometheus.query(expression)
    return rows[0].value if rows else 0.0
