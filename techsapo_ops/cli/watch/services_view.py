"""How services, ages, states and a health check look on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.stack.observed import Observed, ObservedService, Stopped
    from techsapo_ops.watch.health.report import HealthReport


_STATES = {
    str(word): word
    for word in (
        msg("running"), msg("starting"), msg("stopped"), msg("backoff"), msg("crashed"), msg("ready"),
        msg("healthy"), msg("degraded"), msg("down"), msg("absent"), msg("untested"), msg("failed"),
        msg("missing"), msg("warning"), msg("note"), msg("attention"), msg("skipped"), msg("rolled-back"),
        msg("firing"), msg("pending"), msg("silenced"), msg("inhibited"), msg("quiet"), msg("off"),
        msg("unknown"), msg("unreachable"), msg("active"), msg("revoked"), msg("expired"), msg("installed"),
    )
}  # fmt: skip
_ACTIONS = {
    str(word): word
    for word in (
        msg("create"), msg("recreate"), msg("restart"), msg("reload"), msg("remove"), msg("nothing"),
        msg("added"), msg("changed"), msg("removed"), msg("edited"),
    )
}  # fmt: skip
STATE_COLUMNS = frozenset({"state", "status", "result"})
"""Headings of the columns that hold states."""


def state_word(state: str) -> str:
    """A state for the reader: a message where we know the word, else the word itself."""
    return _STATES.get(str(state), state)


def action_word(action: str) -> str:
    """What a step does to a service or a file, or has done: a message where we know it, else itself."""
    return _ACTIONS.get(str(action), action)


def age(started: datetime | None, now: datetime | None = None) -> str:
    """How long something runs: `42s`, `3m`, `2h 5m`, `4d 1h`; `-` when it does not."""
    if started is None:
        return "-"
    seconds = max(int(((now or datetime.now(UTC)) - started).total_seconds()), 0)
    if seconds < 60:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h {minutes}m"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h"


def stopped_lines(observed: Observed) -> Iterator[str]:
    """What somebody has stopped, a line each, with what starts it again."""
    for name, stopped in observed.stopped.items():
        seen = observed.services.get(name)
        if seen is not None and seen.state.running_or_restarting:
            yield msg(
                "{name}: running, although it was {stopped}; `techsapo start {name}` keeps it running",
                name=name,
                stopped=stopped,
            )
        else:
            yield msg("{name}: {stopped}; `techsapo start {name}` starts it", name=name, stopped=stopped)


def service_json(
    service: ObservedService, now: datetime, stopped: Mapping[str, Stopped] | None = None
) -> dict[str, Any]:
    """One service with stable keys; `stopped` are those that somebody has stopped."""
    held = (stopped or {}).get(service.name)
    return {
        "service": service.name,
        "kind": service.kind,
        "state": str(service.state),
        "pid": service.pid,
        "host": service.host,
        "port": service.port,
        "user": service.user,
        "uptime_seconds": int((now - service.started).total_seconds()) if service.started else None,
        "restarts": service.restarts,
        "exit_code": service.exit_code,
        "build": service.build or None,
        "replaced": service.replaced or None,
        "stopped": held.to_json() if held is not None else None,
        **({"machine": service.machine} if service.machine else {}),
    }


EXIT_CODES = {"healthy": 0, "degraded": 1, "down": 2}
WRONG = 3
"""Exit code for a wrong spec or usage, in place of the usual ones."""
_NO_SERVICES = frozenset({"disk", "target", "certificate", "updates", "maintenance", "restore", "data"})
"""Kinds of parts that are no service."""


def summary(report: HealthReport) -> str:
    """`healthy: 9 of 9 parts well, 1 not known yet, 2 absent, 31 ms`."""
    asked = [p for p in report.probes if p.status not in {"absent", "untested", "starting"}]
    line = msg(
        "{status}: {count} of {count2} parts ok",
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
            msg(
                "can't be reached: {why}; {count} services not checked", why=why, count=report.count_on(host)
            ),
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
    by_urgency = (
        [p.hint for p in report.probes if p.outdated],
        [p.hint for p in report.probes if p.kind == "updates"],
        [p.hint for p in report.probes if p.status == "untested"],
    )
    return next((hint for hints in by_urgency for hint in hints if hint), "")
