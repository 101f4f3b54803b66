"""How services and ages look on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.stack.observed import Observed, ObservedService, Stopped


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
        if seen is not None and seen.state.kept_running:
            yield msg(
                "{name}: runs, although it was {stopped}; `techsapo start {name}` keeps it so",
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
