"""A health check in a line, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from techsapo_ops.cli.state_words import state_word
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.watch.health.report import HealthReport

EXIT_CODES = {"healthy": 0, "degraded": 1, "down": 2}
WRONG = 3
"""Exit code for a wrong spec or usage, in place of the usual ones."""
_NO_SERVICES = frozenset({"disk", "target", "certificate", "updates", "maintenance", "restore", "data"})
"""Kinds of parts that are no service."""


def summary(report: HealthReport) -> str:
    """`healthy: 9 of 9 parts well, 1 not known yet, 2 absent, 31 ms`."""
    asked = [p for p in report.probes if p.status not in {"absent", "untested", "starting"}]
    line = msg(
        "{status}: {count} of {count2} parts well",
        status=state_word(report.status.value),
        count=len(asked) - len(report.failing),
        count2=len(asked),
    )
    if starting := sum(p.status == "starting" for p in report.probes):
        line = msg("{line}, {count} not known yet", line=line, count=starting)
    if absent := sum(p.status == "absent" for p in report.probes):
        line = msg("{line}, {count} absent", line=line, count=absent)
    if untested := sum(p.status == "untested" for p in report.probes):
        line = msg("{line}, {count} untested", line=line, count=untested)
    return msg("{line}, {seconds:.0f} ms", line=line, seconds=report.seconds * 1000)


def away_rows(report: HealthReport) -> list[tuple[str, str]]:
    """Each host that can't be reached, and what is said of it in place of a line for each of its services."""
    return [
        (
            host,
            msg("can't be reached: {why}; {count} services not asked", why=why, count=report.count_on(host)),
        )
        for host, why in report.unreachable.items()
    ]


def next_step(report: HealthReport) -> str:
    """What to do about the first thing that needs somebody; empty where nothing does."""
    if report.unreachable:
        return "techsapo hosts check"
    services = [p for p in report.probes if p.kind not in _NO_SERVICES]
    if all(p.status in {"down", "absent"} for p in services):
        return "techsapo up"
    if report.failing:  # what waits for an update is not what is unwell now
        why_off = [p.hint for p in report.failing if p.kind == "restore"]
        logs = [f"techsapo logs {p.name}" for p in report.failing if p in services]
        return next((hint for hint in (*why_off, *(p.hint for p in report.failing), *logs) if hint), "")
    if report.firing:
        return f"techsapo alerts show {report.firing[0]}"
    told = (
        [p.hint for p in report.probes if p.outdated],
        [p.hint for p in report.probes if p.kind == "updates"],
        [p.hint for p in report.probes if p.status == "untested"],
    )
    return next((hint for hints in told for hint in hints if hint), "")
