"""What keeps a drill from a live stack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.catalogue.alerts import DRILL_LABEL, WATCHDOG
from techsapo_ops.catalogue.series import API_ROUTES
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.messages import joined, msg
from techsapo_ops.stack.journal import CUT_SHORT, half_done
from techsapo_ops.stack.maintenance import maintenance_of
from techsapo_ops.stack.stack import Stack

MOST_ERRORS = 0.05
"""Share of users' requests that may fail."""
FEWEST_ERRORS = 3
"""Failures from which that share says something."""
WINDOW = "2m"
_FAILED = f'techsapo_http_requests_total{{{API_ROUTES},status=~"5.."}}'
_ALL = f"techsapo_http_requests_total{{{API_ROUTES}}}"


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
                yield msg("the critical alert {name} fires", name=name)
        failed = _value(prometheus, f"sum(increase({_FAILED}[{WINDOW}]))")
        asked = _value(prometheus, f"sum(increase({_ALL}[{WINDOW}]))")
    except (Unreachable, ApiError) as error:
        yield msg("Prometheus does not say how the stack does: {message}", message=error.message)
        return
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
